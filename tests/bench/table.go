// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"math"
	"sort"
	"strconv"
	"text/tabwriter"
	"time"
)

// row is one line: our figure, the peer's, and the bar for their ratio.
type row struct {
	what, ours, peer, ratio, bar, verdict string
}

type table []row

// Bars: at most, or at least, so many times the peer's figure; or none.
type bar struct {
	limit float64
	least bool
	unit  string
}

func atMost(limit float64, unit string) bar  { return bar{limit, false, unit} }
func atLeast(limit float64, unit string) bar { return bar{limit, true, unit} }

var noBar = bar{} // judges nothing

func (b bar) String() string {
	sign := "<="
	if b.least {
		sign = ">="
	}
	return fmt.Sprintf("%s %s%s", sign, strconv.FormatFloat(math.Round(b.limit*100)/100, 'f', -1, 64), b.unit)
}

func (b bar) verdict(figure float64) string {
	if figure <= b.limit != b.least || figure == b.limit {
		return "ok"
	}
	return "MISS"
}

// add adds a row whose ratio is judged; a nil bar judges nothing.
func (t *table) add(what, ours, peer string, ratio float64, limit *bar) {
	r := row{what: what, ours: ours, peer: peer, ratio: fmt.Sprintf("%.2fx", ratio), bar: "-", verdict: "-"}
	if limit != nil {
		r.bar, r.verdict = limit.String(), limit.verdict(ratio)
	}
	*t = append(*t, r)
}

// addAbsolute adds a row whose own figure is judged.
func (t *table) addAbsolute(what string, figure float64, ours, peer string, limit bar) {
	if limit == noBar {
		*t = append(*t, row{what, ours, peer, "-", "-", "-"})
		return
	}
	*t = append(*t, row{what, ours, peer, "-", limit.String(), limit.verdict(figure)})
}

// compareTimes adds a row of medians, each with the least and the most.
func (t *table) compareTimes(what string, ours, peer []time.Duration, limit *bar) {
	if len(ours) == 0 || len(peer) == 0 {
		*t = append(*t, row{what, spread(ours), spread(peer), "-", "-", "-"})
		return
	}
	t.add(what, spread(ours), spread(peer), float64(median(ours))/float64(median(peer)), limit)
}

// compareFigures adds a row of medians, of which ours is judged by itself.
func (t *table) compareFigures(what string, ours, peer []float64, format string, limit bar) {
	text := func(figures []float64) string {
		if len(figures) == 0 {
			return "-"
		}
		sort.Float64s(figures)
		return fmt.Sprintf(format+" ("+format+" to "+format+")", median(figures), figures[0], figures[len(figures)-1])
	}
	t.addAbsolute(what, median(ours), text(ours), text(peer), limit)
}

// worst adds a row of the longest times, of which ours is judged by itself.
func (t *table) worst(what string, ours, peer []time.Duration, limit time.Duration) {
	text := func(times []time.Duration) string {
		return fmt.Sprintf("%s (p50 %s, %d)", duration(slowest(times)), duration(median(times)), len(times))
	}
	t.addAbsolute(what, slowest(ours).Seconds()*1000, text(ours), text(peer), atMost(limit.Seconds()*1000, " ms"))
}

// compareP99 adds a row of the times that one of a hundred calls takes longer than.
func (t *table) compareP99(what string, ours, peer []time.Duration, limit *bar) {
	a, b := quantile(ours, 0.99), quantile(peer, 0.99)
	t.add(what, duration(a), duration(b), float64(a)/float64(b), limit)
}

// spread is the median, and what all lie between.
func spread(times []time.Duration) string {
	if len(times) == 0 {
		return "-"
	}
	if len(times) == 1 {
		return duration(times[0])
	}
	return fmt.Sprintf("%s (%s to %s)", duration(median(times)), duration(quantile(times, 0)), duration(slowest(times)))
}

// quantile is the time that so much of all are not longer than: 0.99 of a hundred is the 99th.
func quantile(times []time.Duration, part float64) time.Duration {
	sorted := append([]time.Duration(nil), times...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	if len(sorted) == 0 {
		return 0
	}
	at := int(math.Ceil(part*float64(len(sorted)))) - 1
	if at < 0 {
		at = 0
	}
	return sorted[at]
}

func (t table) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\tclonefs\tpeer\tratio\tbar\t")
	for _, r := range t {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.what, r.ours, r.peer, r.ratio, r.bar, r.verdict)
	}
	_ = w.Flush() // standard output; nobody else to tell
}

func median[T time.Duration | float64](figures []T) T {
	sorted := append([]T(nil), figures...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	if len(sorted) == 0 {
		return 0
	}
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func duration(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%.0f us", float64(d.Nanoseconds())/1000)
}

func rate(perSecond float64) string { return fmt.Sprintf("%.0f/s", perSecond) }

func throughput(bytes int, took time.Duration) float64 {
	return float64(bytes) / (1 << 20) / took.Seconds()
}

func mibPerSecond(figure float64) string { return fmt.Sprintf("%.0f MiB/s", figure) }
