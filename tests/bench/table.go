// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"sort"
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

func (b bar) String() string {
	sign := "<="
	if b.least {
		sign = ">="
	}
	return fmt.Sprintf("%s %g%s", sign, b.limit, b.unit)
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
	*t = append(*t, row{what, ours, peer, "-", limit.String(), limit.verdict(figure)})
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
