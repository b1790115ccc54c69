// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// What was noted of an unpack.
const (
	unpackLoose = "unpack, nobody flushes"
	unpackSync  = "unpack, sync -f"
	unpackOn    = "unpack of a big layer on a small base"
	commitApply = "Commit after Apply"
)

// Labels of bars that native's part has something to add to.
const (
	labelUnpack = "unpack"
	labelInodes = "inodes"
	labelDisk   = "disk"
)

// footprint is what an unpack left on the volume, and what the image shows.
type footprint struct {
	took  used // since the unpack began
	after used
	seen  *listing
	image *image
}

// inodes of each visible path.
func (f footprint) inodes() float64 { return float64(f.took.inodes) / float64(len(f.seen.of)) }

// beyond is what is used beyond the files of all layers, in MB.
func (f footprint) beyond() float64 { return float64(f.took.bytes-f.image.bytes()) / 1e6 }

func (f footprint) bytes() float64 { return float64(f.took.bytes) / float64(f.image.bytes()) }

// unpackOnce unpacks an image, checks the result, and leaves it there. The time is
// taken twice, when the last Commit is answered, and when all is on disk. Its lower layers may be there.
func (r *imageRows) unpackOnce(s *stock, m *image, round int, loose, synced string) (f footprint, err error) {
	if err := s.settle(); err != nil {
		return f, err
	}
	before, err := r.used()
	if err != nil {
		return f, err
	}
	began := time.Now()
	commits, err := s.unpack(m)
	if err != nil {
		return f, err
	}
	took := time.Since(began)
	if err := r.flush(); err != nil {
		return f, err
	}
	if loose != "" {
		r.note(loose, s, took)
	}
	if synced != "" {
		r.note(synced, s, time.Since(began))
	}
	if s.name == oursPool || s.name == overlay {
		r.figures[commitApply+s.name] = append(r.figures[commitApply+s.name], commits...)
	}
	if err := s.settle(); err != nil { // what is made in the background is part of it
		return f, err
	}
	if f.after, err = r.used(); err != nil {
		return f, err
	}
	f.took, f.image = f.after.since(before), m
	f.seen, err = r.check(s, m, round)
	return f, err
}

func (r *imageRows) unpackRows() error {
	sides, err := r.with([]string{oursPool, oursFull, oursOff, overlay}, r.whole)
	if err != nil {
		return err
	}
	left := map[string][]footprint{}
	err = r.turns(sides, func(round int, s *stock) error {
		loose, synced := unpackLoose, unpackSync
		switch s.name { // a peer flushes nothing by itself, so that one run gives both
		case oursFull, oursPool:
			loose = ""
		case oursOff:
			synced = ""
		}
		f, err := r.unpackOnce(s, r.whole, round, loose, synced)
		if err != nil {
			return err
		}
		left[s.name] = append(left[s.name], f)
		return s.clear()
	})
	if err != nil {
		return err
	}
	limit := atMost(0.45, "x")
	what := fmt.Sprintf("unpack, %d files, %d layers, %.1f GB", r.files, len(r.whole.layers), float64(r.whole.bytes())/1e9)
	r.table.compareTimes(what+", sync -f; overlayfs", r.noted(unpackSync, oursPool), r.noted(unpackSync, overlay), &limit)
	r.table.compareTimes("the same, nobody flushes", r.noted(unpackLoose, oursOff), r.noted(unpackLoose, overlay), &limit)
	r.table.compareTimes("the same without spares, sync -f", r.noted(unpackSync, oursFull), r.noted(unpackSync, overlay), nil)
	r.times.addTimes(labelUnpack, r.noted(unpackSync, oursPool), r.noted(unpackSync, overlay), nil)
	r.addFootprints(left) // without spares
	r.table.worst("Commit after Apply, slowest", r.noted(commitApply, oursPool), r.noted(commitApply, overlay), milliseconds(10))
	return nil
}

func (r *imageRows) addFootprints(left map[string][]footprint) {
	figures := func(side string, of func(footprint) float64) (all []float64) {
		for _, f := range left[side] {
			all = append(all, of(f))
		}
		return all
	}
	ours, peer := left[oursFull], figures(overlay, footprint.inodes)
	r.table.compareFigures(fmt.Sprintf("inodes of each of %d visible files", len(ours[0].seen.of)), figures(oursFull, footprint.inodes), peer, "%.2f",
		atMost(2.1, ""))
	r.table.compareFigures("disk beyond the files", figures(oursFull, footprint.beyond), figures(overlay, footprint.beyond), "%.0f MB", atMost(200, " MB"))
	r.space.add(labelInodes, figures(oursFull, footprint.inodes), peer, nil)
	r.space.add(labelDisk, figures(oursFull, footprint.bytes), figures(overlay, footprint.bytes), nil)
}

func (r *imageRows) stackedRows() error {
	sides, err := r.with([]string{oursFull, overlay}, r.stacked)
	if err != nil {
		return err
	}
	left := map[string][]footprint{}
	err = r.turns(sides, func(round int, s *stock) error {
		empty, err := r.used()
		if err != nil {
			return err
		}
		if _, err := s.unpack(r.small); err != nil {
			return err
		}
		f, err := r.unpackOnce(s, r.stacked, round, "", unpackOn)
		if err != nil {
			return err
		}
		f.took = f.after.since(empty) // with the base
		left[s.name] = append(left[s.name], f)
		return s.clear()
	})
	if err != nil {
		return err
	}
	limit := atMost(0.6, "x")
	r.table.compareTimes(fmt.Sprintf("a layer of %d files on %d files, sync -f; overlayfs", r.files, smallFiles(r.files)), r.noted(unpackOn, oursFull),
		r.noted(unpackOn, overlay), &limit)
	inodes := map[string][]float64{}
	for side, all := range left {
		for _, f := range all {
			inodes[side] = append(inodes[side], f.inodes())
		}
	}
	r.table.compareFigures("its inodes of each visible file", inodes[oursFull], inodes[overlay], "%.2f", atMost(2.2, ""))
	r.times.addTimes("big layer\non a small one", r.noted(unpackOn, oursFull), r.noted(unpackOn, overlay), nil)
	r.space.add("inodes,\nbig on small", inodes[oursFull], inodes[overlay], nil)
	return nil
}
