// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"sync"
	"time"
)

// bigPrepare compares Prepare of the big tree with native's, side by side in each round, and takes our
// memory meanwhile.
func (b *bench) bigPrepare() error {
	var times [2][]time.Duration
	peak, err := b.ours.watchMemory(func() error {
		for round := 0; round < b.rounds; round++ {
			for i, s := range []*side{b.ours, b.native} {
				if err := s.settle(); err != nil {
					return err
				}
				took, err := s.timedPrepare("child", "big")
				if err != nil {
					return err
				}
				times[i] = append(times[i], took)
				if err := s.Remove("child"); err != nil {
					return err
				}
				if err := s.settle(); err != nil {
					return err
				}
				progress("Prepare of the big tree, round %d: %s %s", round+1, s.name, duration(took))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	ours, native := median(times[0]), median(times[1])
	limit := atMost(0.35, "x")
	b.nativePrepare = native
	b.table.add(fmt.Sprintf("Prepare, %d files (%d MB), no spare; peer native", b.files, b.bytes>>20), duration(ours), duration(native),
		float64(ours)/float64(native), &limit)
	b.addMemory("peak memory meanwhile", peak, 64)
	return nil
}

const aloneCalls = 200

// smallBesideBig compares Prepare of a small snapshot while the big one is cloned with the same alone.
func (b *bench) smallBesideBig() error {
	var alone, beside []time.Duration
	for round := 0; round < b.rounds; round++ {
		if err := b.ours.settle(); err != nil {
			return err
		}
		for i := 0; i < aloneCalls; i++ {
			took, err := b.ours.prepareSmall()
			if err != nil {
				return err
			}
			alone = append(alone, took)
		}
		if err := b.ours.settle(); err != nil {
			return err
		}
		more, err := b.ours.smallDuringBig()
		if err != nil {
			return err
		}
		beside = append(beside, more...)
		if err := b.ours.Remove("child"); err != nil {
			return err
		}
	}
	limit := atMost(2, "x")
	b.table.add(fmt.Sprintf("Prepare, 8 files, beside a big one (%d calls); peer: alone", len(beside)),
		duration(median(beside)), duration(median(alone)), float64(median(beside))/float64(median(alone)), &limit)
	return b.ours.settle()
}

func (s *side) prepareSmall() (time.Duration, error) {
	took, err := s.timedPrepare("small child", "small")
	if err != nil {
		return 0, err
	}
	return took, s.Remove("small child")
}

// smallDuringBig times small Prepares from the start of a big one to its end.
func (s *side) smallDuringBig() ([]time.Duration, error) {
	done := make(chan error, 1)
	go func() { done <- s.prepare("child", "big") }()
	var times []time.Duration
	for {
		took, err := s.prepareSmall()
		if err != nil {
			return nil, err
		}
		times = append(times, took) // it began while the big one ran
		select {
		case err := <-done:
			return times, err
		default:
		}
	}
}

const (
	callers    = 32
	windowTime = 2 * time.Second
)

// manyCallers compares the rate of Prepare+Remove of small snapshots with overlayfs.
func (b *bench) manyCallers() error {
	overlay, err := b.launch("overlayfs", "--snapshotter", "overlayfs")
	if err != nil {
		return err
	}
	defer overlay.stop()
	if err := overlay.Layer("small", "", eightFiles); err != nil {
		return err
	}
	var rates, drained [2][]float64
	for round := 0; round < b.rounds; round++ {
		for i, s := range []*side{b.ours, overlay} {
			if err := s.settle(); err != nil {
				return err
			}
			began := time.Now()
			calls, err := s.hammer()
			if err != nil {
				return err
			}
			rates[i] = append(rates[i], calls/time.Since(began).Seconds())
			if err := s.settle(); err != nil {
				return err
			}
			drained[i] = append(drained[i], calls/time.Since(began).Seconds())
		}
	}
	limit := atLeast(2, "x")
	for _, line := range []struct {
		what  string
		rates [2][]float64
		limit *bar
	}{
		{fmt.Sprintf("Prepare+Remove, 8 files, %d callers; peer overlayfs", callers), rates, &limit},
		{"the same, with deletion and syncfs", drained, nil},
	} {
		ours, peer := median(line.rates[0]), median(line.rates[1])
		b.table.add(line.what, rate(ours), rate(peer), ours/peer, line.limit)
	}
	return nil
}

// hammer lets all callers prepare and remove for a while; the number of pairs.
func (s *side) hammer() (float64, error) {
	return inParallel(callers, func(caller int) error {
		key := fmt.Sprintf("caller %d", caller)
		if err := s.prepare(key, "small"); err != nil {
			return err
		}
		return s.Remove(key)
	})
}

// inParallel counts how often n callers do something in a window of time.
func inParallel(n int, f func(caller int) error) (float64, error) {
	var (
		group   sync.WaitGroup
		mu      sync.Mutex
		total   int
		failure error
	)
	end := time.Now().Add(windowTime)
	for caller := 0; caller < n; caller++ {
		group.Add(1)
		go func(caller int) {
			defer group.Done()
			count, err := 0, error(nil)
			for ; err == nil && time.Now().Before(end); count++ {
				err = f(caller)
			}
			mu.Lock()
			defer mu.Unlock()
			total += count
			if err != nil {
				failure = err
			}
		}(caller)
	}
	group.Wait()
	return float64(total), failure
}
