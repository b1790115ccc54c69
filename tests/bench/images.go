// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

// imageRows: a whole image in, containers from it, and all of it out again. Each part can be run alone: it starts
// the sides that it needs, if they do not run yet, and unpacks what is not there.
type imageRows struct {
	*bench
	*images
	sides   map[string]*stock
	watches map[*stock]*memoryWatch
	trees   map[*image]*listing // as the first side has unpacked it
	figures map[string][]time.Duration
	times   chart
	space   chart
}

func (b *bench) imageRows() (err error) {
	r := &imageRows{bench: b, sides: map[string]*stock{}, watches: map[*stock]*memoryWatch{}, trees: map[*image]*listing{},
		figures: map[string][]time.Duration{}}
	r.times = chart{name: "times", title: fmt.Sprintf("an image of %d files and 12 layers, medians", b.files), unit: "seconds", logarithmic: true}
	r.space = chart{name: "space", title: "what is on disk, pool off", unit: "times what the image has"}
	defer func() {
		for _, s := range r.sides {
			s.stop()
		}
	}()
	progress("images of %d files from /usr and %d layers of %d files; %s", b.files, upperLayers, layerFiles, versionOf(b.containerd))
	if r.images, err = makeImages(filepath.Join(b.dir, "images"), b.files); err != nil {
		return err
	}
	err = b.runParts([]part{
		{"unpack of the image", r.unpackRows},
		{"native", r.nativeRows},
		{"big layer on a small base", r.stackedRows},
		{"run of an image below another", r.runBelowRows},
		{"second image", r.secondRows},
		{"Commit of a container", r.commitRows},
		{"Remove", r.removeRows},
		{"spare ready", r.spareRows},
		{"burst", r.burstRows},
		{"load", r.loadRows},
		{"memory", r.memoryRows},
	})
	if drawing := r.draw(); err == nil {
		err = drawing
	}
	return err
}

var versionPattern = regexp.MustCompile(`v?\d+\.\d+\.\d+`)

func versionOf(containerd string) string {
	if containerd == "" {
		return "no containerd of 1.7.4 or later: all are called directly, and the peers are a Go program"
	}
	text, _ := exec.Command(containerd, "--version").Output()
	return "containerd " + versionPattern.FindString(string(text))
}

// Sides by name. The images' blobs are put into them when they are needed.
const (
	oursFull = "clonefs-full"  // no spares, durable
	oursOff  = "clonefs-loose" // not flushed
	oursPool = "clonefs-pool"  // as users have it
	overlay  = "overlayfs"
)

func (r *imageRows) side(name string) (s *stock, err error) {
	if s = r.sides[name]; s != nil {
		return s, nil
	}
	switch name {
	case oursFull:
		s, err = r.stockOursWith(name, settings{containerd: r.containerd})
	case oursOff:
		s, err = r.stockOursWith(name, settings{containerd: r.containerd, durability: "off", pool: "auto"})
	case oursPool:
		s, err = r.stockOursWith(name, settings{containerd: r.containerd, pool: "auto", args: []string{"--log-level", "debug"}})
	default:
		s, err = r.stockPeerWith(name, name, settings{containerd: r.containerd})
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r.sides[name] = s
	if name != overlay {
		r.watches[s] = (&side{daemon: s.worker}).watch(longSampleTime)
	}
	return s, nil
}

// with are sides that have the blobs of these images.
func (r *imageRows) with(names []string, all ...*image) (sides []*stock, err error) {
	for _, name := range names {
		s, err := r.side(name)
		if err != nil {
			return nil, err
		}
		for _, m := range all {
			if err := s.putImage(m); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		sides = append(sides, s)
	}
	return sides, nil
}

// unpacked are sides that have unpacked the image, and have come to rest.
func (r *imageRows) unpacked(names []string, m *image) (sides []*stock, err error) {
	if sides, err = r.with(names, m); err != nil {
		return nil, err
	}
	for _, s := range sides {
		if _, err = s.unpack(m); err == nil {
			err = s.settle()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return sides, nil
}

func clearAll(sides []*stock) error {
	for _, s := range sides {
		if err := s.clear(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// turns lets sides do something in each round; another one begins each time.
func (r *imageRows) turns(sides []*stock, f func(round int, s *stock) error) error {
	for round := 0; round < r.rounds; round++ {
		for turn := range sides {
			s := sides[(round+turn)%len(sides)]
			if err := f(round, s); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return nil
}

// note keeps a time, and shows it.
func (r *imageRows) note(what string, s *stock, took time.Duration) {
	r.figures[what+s.name] = append(r.figures[what+s.name], took)
	progress("%s: %s %s", what, s.name, duration(took))
}

func (r *imageRows) noted(what, side string) []time.Duration { return r.figures[what+side] }

// Of files one in so many is read again after the first round.
const sampleOf = 20

// check compares what a side has unpacked with what the first side has; in the first round all of it is read.
func (r *imageRows) check(s *stock, m *image, round int) (*listing, error) {
	every := uint32(1)
	if round > 0 {
		every = sampleOf
	}
	l, err := s.look(m.top(), every)
	if err != nil {
		return nil, err
	}
	if r.trees[m] == nil {
		r.trees[m] = l
	}
	if s.snapshotter == "native" {
		return l, l.withoutFolderTimes().differs(r.trees[m].withoutFolderTimes())
	}
	return l, l.differs(r.trees[m])
}

// draw makes the charts.
func (r *imageRows) draw() error {
	for _, c := range []*chart{&r.times, &r.space} {
		if err := c.draw(r.charts); err != nil {
			return err
		}
	}
	return nil
}

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func exists(program string) bool {
	_, err := os.Stat(program)
	return err == nil
}
