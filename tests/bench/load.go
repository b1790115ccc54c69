// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"sync"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"

	"clonefs/tests/gotool/harness"
)

// probes are small calls that go on while something else happens: what is asked of containerd, and what is asked of
// the daemon below it.
type probes struct {
	s       *stock
	active  string // as the daemon below knows it
	times   map[string][]time.Duration
	mu      sync.Mutex
	stopped chan bool
	group   sync.WaitGroup
	failure error
	calls   int
}

const (
	probeStat    = "Stat"
	probeMounts  = "Mounts"
	probePrepare = "Prepare of 8 files"
	probeBelow   = "Stat, asked of the daemon itself"
	mountsBelow  = "Mounts, asked of the daemon itself"

	probeGap   = 2 * time.Millisecond
	prepareGap = 30 * time.Millisecond
	aloneTime  = 5 * time.Second
	bigAtOnce  = 2
)

// startProbes needs the snapshots "eight" and "probed" on it.
func startProbes(s *stock) (*probes, error) {
	p := &probes{s: s, times: map[string][]time.Duration{}, stopped: make(chan bool)}
	if s.managed && s.name != overlay {
		var err error
		if p.active, err = s.below("probed"); err != nil {
			return nil, err
		}
		direct := harness.SnapshotsOn(s.worker.Conn, s.snapshotter)
		p.repeat(probeGap, map[string]func() error{
			probeBelow:  func() error { _, err := direct.Stat(p.active); return err },
			mountsBelow: func() error { _, err := direct.Mounts(p.active); return err },
		})
	}
	p.repeat(probeGap, map[string]func() error{
		probeStat:   func() error { _, err := s.stat("eight"); return err },
		probeMounts: func() error { _, err := s.mounts("probed"); return err },
	})
	p.repeat(prepareGap, map[string]func() error{
		probePrepare: func() error {
			p.calls++ // in this loop alone
			_, err := s.prepare(fmt.Sprintf("probe %d", p.calls), "eight")
			return err
		},
	})
	return p, nil
}

// repeat makes calls one after the other, again and again.
func (p *probes) repeat(gap time.Duration, calls map[string]func() error) {
	p.group.Add(1)
	go func() {
		defer p.group.Done()
		for {
			for what, call := range calls {
				began := time.Now()
				err := call()
				took := time.Since(began)
				p.mu.Lock()
				p.times[what] = append(p.times[what], took)
				if err != nil && p.failure == nil {
					p.failure = fmt.Errorf("%s: %w", what, err)
				}
				p.mu.Unlock()
				if err != nil {
					return
				}
			}
			select {
			case <-p.stopped:
				return
			case <-time.After(gap):
			}
		}
	}()
}

func (p *probes) end() (map[string][]time.Duration, error) {
	close(p.stopped)
	p.group.Wait()
	return p.times, p.failure
}

func (s *stock) stat(name string) (snapshotsapi.Info, error) {
	ctx, cancel := layerContext()
	defer cancel()
	answer, err := s.snapshots().Stat(ctx, &snapshotsapi.StatSnapshotRequest{Snapshotter: s.snapshotter, Key: name})
	if err != nil {
		return snapshotsapi.Info{}, err
	}
	return answer.Info, nil
}

// makeEight commits eight files, and prepares a container of them.
func (s *stock) makeEight() error {
	mounts, err := s.prepare("making eight", "")
	if err == nil {
		err = mounted(mounts, eightFiles.Write)
	}
	if err == nil {
		err = s.commit("eight", "making eight")
	}
	if err == nil {
		_, err = s.prepare("probed", "eight")
	}
	if err != nil {
		return err
	}
	return s.settle()
}

// loadRows: small calls while the image is unpacked and big containers are made of it, and alone.
func (r *imageRows) loadRows() error {
	sides, err := r.with([]string{oursPool, overlay}, r.whole)
	if err != nil {
		return err
	}
	alone, loaded := map[string][]time.Duration{}, map[string][]time.Duration{}
	err = r.turns(sides, func(round int, s *stock) error {
		if round > r.rounds/2 {
			return nil // there are many calls in each
		}
		if err := s.makeEight(); err != nil {
			return err
		}
		for _, of := range []struct {
			times map[string][]time.Duration
			load  func() error
		}{{alone, func() error { time.Sleep(aloneTime); return nil }}, {loaded, func() error { return r.load(s) }}} {
			p, err := startProbes(s)
			if err != nil {
				return err
			}
			err = of.load()
			times, failure := p.end()
			if err == nil {
				err = failure
			}
			if err != nil {
				return err
			}
			for what, all := range times {
				of.times[what+s.name] = append(of.times[what+s.name], all...)
			}
			if err := s.removeBut(func(name string) bool { return name == "eight" || name == "probed" }); err != nil {
				return err
			}
		}
		progress("load, round %d: %s %d calls of Stat", round+1, s.name, len(loaded[probeStat+s.name]))
		return s.clear()
	})
	if err != nil {
		return err
	}
	r.addLoad(alone, loaded)
	return nil
}

// load is an unpack, and then big containers.
func (r *imageRows) load(s *stock) error {
	if _, err := s.unpack(r.whole); err != nil {
		return err
	}
	for i := 0; i < bigAtOnce; i++ {
		if _, err := s.run(fmt.Sprintf("big %d", i), r.whole.top()); err != nil {
			return err
		}
	}
	return nil
}

func (r *imageRows) addLoad(alone, loaded map[string][]time.Duration) {
	for _, what := range []string{probeStat, probeMounts, probeBelow, mountsBelow} {
		ours, before := loaded[what+oursPool], alone[what+oursPool]
		if len(ours) == 0 {
			continue
		}
		limit := 2 * quantile(before, 0.99)
		if limit < milliseconds(5) {
			limit = milliseconds(5)
		}
		peer := "-"
		if times := loaded[what+overlay]; len(times) > 0 {
			peer = duration(quantile(times, 0.99))
		}
		text := fmt.Sprintf("%s (alone %s)", duration(quantile(ours, 0.99)), duration(quantile(before, 0.99)))
		r.table.addAbsolute(fmt.Sprintf("%s during an unpack and a big Prepare, p99 of %d; overlayfs", what, len(ours)),
			quantile(ours, 0.99).Seconds()*1000, text, peer, atMost(float64(limit.Microseconds())/1000, " ms"))
	}
	ours, peer := loaded[probePrepare+oursPool], loaded[probePrepare+overlay]
	limit := atMost(1, "x")
	r.table.compareTimes(fmt.Sprintf("%s meanwhile, p50 of %d; overlayfs under the same load", probePrepare, len(ours)), ours, peer, &limit)
	r.table.compareP99("the same, p99", ours, peer, &limit)
}
