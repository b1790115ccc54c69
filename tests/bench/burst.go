// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/containerd/containerd/api/types"

	"clonefs/tests/gotool/harness"
)

const (
	spareBig   = "a spare ready, the image"
	spareSmall = "a spare ready, the small image"
	burstBig   = "8 containers at once"
	burstSmall = "50 containers one after another"

	smallSpareCalls = 100
	atOnce          = 8
	inSequence      = 50
	idleTime        = 300 * time.Millisecond
	quietTime       = 10 * time.Second // after it the daemon makes all the spares that it will make
)

// sparesMade is how many spares of a snapshot clonefsd has made until now.
func (s *stock) sparesMade(parent string) int {
	pattern := regexp.MustCompile("a spare of .*" + regexp.QuoteMeta(parent) + " .* is ready after")
	return len(pattern.FindAllString(s.worker.Log(), -1))
}

// awaitIdle waits until the daemon has nothing to do: its spares are made, its trash is empty.
func (s *stock) awaitIdle() error {
	for end := time.Now().Add(settleBound); time.Now().Before(end); {
		before, err := cpu(s.worker.Pid())
		if err != nil {
			return err
		}
		time.Sleep(idleTime)
		after, err := cpu(s.worker.Pid())
		if err != nil {
			return err
		}
		if after-before <= tick {
			return s.settle()
		}
	}
	return fmt.Errorf("%s is still busy after %s", s.name, settleBound)
}

// awaitSpares waits until all spares of a snapshot are made.
func (s *stock) awaitSpares(parent string) error {
	for last := -1; s.sparesMade(parent) != last; {
		last = s.sparesMade(parent)
		time.Sleep(quietTime)
		if err := s.awaitIdle(); err != nil {
			return err
		}
	}
	return nil
}

// spareRows times Prepare when there is a spare, which is awaited each time.
func (r *imageRows) spareRows() error {
	for _, of := range []struct {
		what  string
		m     *image
		calls int
	}{{spareBig, r.whole, spareCalls}, {spareSmall, r.small, smallSpareCalls}} {
		sides, err := r.with([]string{oursPool, overlay}, of.m)
		if err != nil {
			return err
		}
		before := sides[0].sparesMade(of.m.top()) // of what is gone
		if sides, err = r.unpacked([]string{oursPool, overlay}, of.m); err != nil {
			return err
		}
		taken, err := r.spares(sides, of.what, of.m, of.calls, before)
		if err != nil {
			return err
		}
		if err := clearAll(sides); err != nil {
			return err
		}
		ours, peer := r.noted(of.what, oursPool), r.noted(of.what, overlay)
		what := fmt.Sprintf("Prepare of a container of %d files, a spare ready", r.filesOf(of.m))
		p50, p99 := atMost(1, "x"), atMost(1.5, "x")
		r.table.compareTimes(fmt.Sprintf("%s (%d of %d calls), p50; overlayfs", what, taken, of.calls), ours, peer, &p50)
		r.table.compareP99("the same, p99", ours, peer, &p99)
		r.times.addTimes(fmt.Sprintf("container\nof %d,\nspare ready", r.filesOf(of.m)), ours, peer, nil)
	}
	return nil
}

// isLayer tells whether a snapshot is of an image.
func (r *imageRows) isLayer(name string) bool {
	for _, layer := range append(r.whole.chain(), r.small.chain()...) {
		if name == layer {
			return true
		}
	}
	return false
}

func (r *imageRows) filesOf(m *image) int {
	if m == r.small {
		return smallFiles(r.files)
	}
	return r.files
}

// spares begins with those that the top of an image gets soon after it was unpacked, and counts those taken.
func (r *imageRows) spares(sides []*stock, what string, m *image, calls, before int) (taken int, err error) {
	ours := sides[0]
	var times [2][]time.Duration
	for call := 0; call < calls; call++ {
		if err := r.awaitSpare(ours, m.top(), before+call); err != nil {
			return 0, err
		}
		if err := sides[1].settle(); err != nil {
			return 0, err
		}
		there, err := ours.worker.Trees()
		if err != nil {
			return 0, err
		}
		for i := len(sides) - 1; i >= 0; i-- { // ours last, since the next spare is made then
			began := time.Now()
			mounts, err := sides[i].prepare(fmt.Sprintf("container %d", call), m.top())
			if err != nil {
				return 0, err
			}
			times[i] = append(times[i], time.Since(began))
			if i == 0 && isOneOf(ours.worker, mounts, there) {
				taken++
			}
		}
	}
	for i, s := range sides {
		r.noteAll(what, s, times[i])
	}
	return taken, nil
}

// isOneOf tells whether the tree of a container was there before; if not, it is no spare.
func isOneOf(d *harness.Daemon, mounts []*types.Mount, there []string) bool {
	dir, err := folder(mounts)
	if err != nil {
		return false
	}
	tree, err := d.TreeOf(dir)
	if err != nil {
		return false
	}
	for _, one := range there {
		if one == tree {
			return true
		}
	}
	return false
}

// awaitSpare waits until more spares have been made than this, and none is being made.
func (r *imageRows) awaitSpare(s *stock, parent string, more int) error {
	for end := time.Now().Add(spareBound); s.sparesMade(parent) <= more; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%s has made %d spares, and should have made more than %d", s.name, s.sparesMade(parent), more)
		}
	}
	return s.awaitIdle()
}

// burstRows: more containers than there are spares, with the pool as it is by default. The first burst finds what an
// image gets that was just unpacked, the others what the pool has learned from the one before.
func (r *imageRows) burstRows() error {
	ours, err := r.side(oursPool)
	if err != nil {
		return err
	}
	var sides []*stock
	for _, m := range []*image{r.whole, r.small} {
		if sides, err = r.unpacked([]string{oursPool, overlay}, m); err == nil {
			err = ours.awaitSpares(m.top())
		}
		if err != nil {
			return err
		}
	}
	err = r.turns(sides, func(_ int, s *stock) error {
		for _, of := range []struct {
			what string
			run  func(s *stock) ([]time.Duration, error)
		}{{burstBig, r.runAtOnce}, {burstSmall, r.runInSequence}} {
			if err := s.awaitIdle(); err != nil {
				return err
			}
			times, err := of.run(s)
			if err != nil {
				return err
			}
			r.noteAll(of.what, s, times)
			if err := s.removeBut(r.isLayer); err != nil {
				return err
			}
		}
		return s.awaitIdle()
	})
	if err != nil {
		return err
	}
	limit := atMost(2, "x")
	for _, what := range []string{burstBig, burstSmall} {
		m := map[string]*image{burstBig: r.whole, burstSmall: r.small}[what]
		n := map[string]int{burstBig: atOnce, burstSmall: inSequence}[what]
		ours, peer := r.noted(what, oursPool), r.noted(what, overlay)
		r.table.compareTimes(fmt.Sprintf("%s of %d files, Prepare and Mounts, p50; overlayfs", what, r.filesOf(m)), ours, peer, &limit)
		r.table.compareTimes("the first of these alone, after the unpack", ours[:n], peer[:n], nil)
	}
	r.times.addTimes(fmt.Sprintf("%d containers\nat once", atOnce), r.noted(burstBig, oursPool), r.noted(burstBig, overlay), nil)
	r.times.addTimes(fmt.Sprintf("%d small ones\none by one", inSequence), r.noted(burstSmall, oursPool), r.noted(burstSmall, overlay), nil)
	return clearAll(sides)
}

func (r *imageRows) runAtOnce(s *stock) ([]time.Duration, error) {
	var group sync.WaitGroup
	times, failures := make([]time.Duration, atOnce), make([]error, atOnce)
	for i := 0; i < atOnce; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			times[i], failures[i] = s.run(fmt.Sprintf("container %d", i), r.whole.top())
		}(i)
	}
	group.Wait()
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	return times, nil
}

func (r *imageRows) runInSequence(s *stock) (times []time.Duration, err error) {
	for i := 0; i < inSequence; i++ {
		took, err := s.run(fmt.Sprintf("container %d", i), r.small.top())
		if err != nil {
			return nil, err
		}
		times = append(times, took)
	}
	return times, nil
}
