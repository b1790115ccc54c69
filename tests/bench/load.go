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

// soFar are the times until now.
func (p *probes) soFar() map[string][]time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	times := map[string][]time.Duration{}
	for what, all := range p.times {
		times[what] = append([]time.Duration(nil), all...)
	}
	return times
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

// underLoad keeps the times of probes by what was asked, and by the side.
type underLoad map[string][]time.Duration

func (u underLoad) add(s *stock, times map[string][]time.Duration) {
	for what, all := range times {
		u[what+s.name] = append(u[what+s.name], all...)
	}
}

// loadRows: small calls while the image is unpacked and big containers are made of it, and alone; where all is flushed, and
// where nobody flushes. A peer flushes nothing by itself, so that one run gives both.
func (r *imageRows) loadRows() error {
	sides, err := r.with([]string{oursPool, oursOff, overlay}, r.whole)
	if err != nil {
		return err
	}
	alone, loose, synced := underLoad{}, underLoad{}, underLoad{}
	err = r.turns(sides, func(round int, s *stock) error {
		if round > r.rounds/2 {
			return nil // there are many calls in each
		}
		if err := s.makeEight(); err != nil {
			return err
		}
		err := r.probed(s, func(*probes) error { time.Sleep(aloneTime); return nil }, alone)
		if err == nil {
			err = r.probed(s, func(p *probes) error { return r.load(s, p, loose) }, synced)
		}
		if err != nil {
			return err
		}
		progress("load, round %d: %s %d calls of Stat", round+1, s.name, len(synced[probeStat+s.name]))
		return s.clear()
	})
	if err != nil {
		return err
	}
	r.addLoad(alone, synced)
	r.addPrepares("nobody flushes", loose[probePrepare+oursOff], loose[probePrepare+overlay])
	return nil
}

// probed keeps the times of probes during something.
func (r *imageRows) probed(s *stock, during func(*probes) error, all underLoad) error {
	p, err := startProbes(s)
	if err != nil {
		return err
	}
	err = during(p)
	times, failure := p.end()
	all.add(s, times)
	if err == nil {
		err = failure
	}
	if err != nil {
		return err
	}
	return s.removeBut(func(name string) bool { return name == "eight" || name == "probed" })
}

// load is an unpack, and then big containers, whose times are kept as those of a load that nobody flushes, and then a flush.
func (r *imageRows) load(s *stock, p *probes, loose underLoad) error {
	if _, err := s.unpack(r.whole); err != nil {
		return err
	}
	for i := 0; i < bigAtOnce; i++ {
		if _, err := s.run(fmt.Sprintf("big %d", i), r.whole.top()); err != nil {
			return err
		}
	}
	loose.add(s, p.soFar())
	if s.name == oursOff {
		return nil
	}
	return r.flush()
}

func (r *imageRows) addPrepares(how string, ours, peer []time.Duration) {
	limit := atMost(1, "x")
	r.table.compareTimes(fmt.Sprintf("%s meanwhile, %s, p50 of %d; overlayfs under the same load", probePrepare, how, len(ours)), ours, peer, &limit)
	r.table.compareP99("the same, p99", ours, peer, &limit)
}

func (r *imageRows) addLoad(alone, loaded underLoad) {
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
	r.addPrepares("sync -f", loaded[probePrepare+oursPool], loaded[probePrepare+overlay])
}
