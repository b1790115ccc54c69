// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// chart is a picture with a group of bars for each thing that was measured.
type chart struct {
	name, title, unit string
	logarithmic       bool
	groups            []group
}

// group is a bar for each of chartSides; NaN for none.
type group struct {
	label   string
	figures [3]float64
}

var chartSides = [3]string{"clonefs", "overlayfs", "native"}

// add adds the medians; nil for none.
func (c *chart) add(label string, ours, overlay, native []float64) {
	g := group{label: label}
	for i, figures := range [][]float64{ours, overlay, native} {
		g.figures[i] = math.NaN()
		if len(figures) > 0 {
			g.figures[i] = median(figures)
		}
	}
	c.groups = append(c.groups, g)
}

func (c *chart) addTimes(label string, ours, overlay, native []time.Duration) {
	c.add(label, seconds(ours), seconds(overlay), seconds(native))
}

func seconds(times []time.Duration) (all []float64) {
	for _, t := range times {
		all = append(all, t.Seconds())
	}
	return all
}

// setNative gives a group that is there the bar that was missing.
func (c *chart) setNative(label string, figure float64) {
	for i := range c.groups {
		if c.groups[i].label == label {
			c.groups[i].figures[2] = figure
		}
	}
}

// draw lets gnuplot make NAME.svg in a folder. Without gnuplot, a folder or a figure there is no picture.
func (c *chart) draw(dir string) error {
	if dir == "" || len(c.groups) == 0 {
		return nil
	}
	if _, err := exec.LookPath("gnuplot"); err != nil {
		progress("skip: no chart of %s, there is no gnuplot (Debian package gnuplot-nox)", c.name)
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file := filepath.Join(dir, c.name+".svg")
	cmd := exec.Command("gnuplot")
	cmd.Stdin = strings.NewReader(c.script(file))
	if output, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(output)) > 0 {
		return fmt.Errorf("gnuplot: %v: %s", err, output)
	}
	progress("drew %s", file)
	return nil
}

func (c *chart) script(file string) string {
	var s strings.Builder
	s.WriteString("$figures << END\n")
	for _, g := range c.groups {
		fmt.Fprintf(&s, "%q", g.label) // gnuplot knows \n in it, too
		for _, figure := range g.figures {
			if math.IsNaN(figure) {
				s.WriteString(" ?")
			} else {
				fmt.Fprintf(&s, " %g", figure)
			}
		}
		s.WriteString("\n")
	}
	s.WriteString("END\n")
	fmt.Fprintf(&s, "set terminal svg size %d,440 font 'sans-serif,12' background rgb 'white'\n", 220+120*len(c.groups))
	fmt.Fprintf(&s, "set output %q\nset title %q\nset ylabel %q\n", file, c.title, c.unit)
	s.WriteString("set bmargin 4\n")
	s.WriteString("set datafile missing '?'\nset style data histograms\nset style histogram clustered gap 1\nset style fill solid border -1\n" +
		"set boxwidth 0.9\nset key tmargin right horizontal\nset grid ytics\nset xtics scale 0\n")
	if c.logarithmic {
		s.WriteString("set logscale y\nset yrange [0.0001:*]\nset format y '%g'\n")
	} else {
		s.WriteString("set yrange [0:*]\n")
	}
	var plots []string
	for i, name := range chartSides {
		if c.has(i) {
			color := [3]string{"#2a78b5", "#d98b2b", "#9a9a9a"}[i]
			plots = append(plots, fmt.Sprintf("$figures using %d:xtic(1) title %q linecolor rgb %q", i+2, name, color))
		}
	}
	fmt.Fprintf(&s, "plot %s\n", strings.Join(plots, ", "))
	return s.String()
}

// has tells whether there is any bar of a side.
func (c *chart) has(side int) bool {
	for _, g := range c.groups {
		if !math.IsNaN(g.figures[side]) {
			return true
		}
	}
	return false
}
