// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"sync"
	"testing"
	"time"

	"clonefs/tests/gotool/harness"
)

const (
	smallCallBound = time.Second
	fewestCalls    = 200
)

// While a clone of 30,000 files runs, small calls go on. A proof of "never waits for it", not of speed.
func TestLargeWorkNeverDelaysSmallCalls(t *testing.T) {
	d, s := start(t)
	bigLayer(t, s, 30000)
	population(t, s)
	duringBig(t, s, "a big clone", func() error { _, err := s.Prepare("big child", "big"); return err })
	duringBig(t, s, "a big removal", func() error {
		if err := s.Remove("big child"); err != nil {
			return err
		}
		return d.AwaitDeletion(time.Minute)
	})
	answers(t, d)
}

// duringBig makes small calls from four clients until the big call has ended.
func duringBig(t *testing.T, s *harness.Snapshots, what string, big func() error) {
	t.Helper()
	done := make(chan error, 1)
	finished := make(chan bool)
	began := time.Now()
	go func() { done <- big(); close(finished) }()
	var (
		group   sync.WaitGroup
		mu      sync.Mutex
		count   int
		slowest time.Duration
	)
	for w := 0; w < 4; w++ {
		group.Add(1)
		go func(key string) {
			defer group.Done()
			for {
				for _, call := range smallCalls(s, key) {
					start := time.Now()
					if err := call(); err != nil {
						t.Errorf("during %s: %v", what, err)
						return
					}
					took := time.Since(start)
					select {
					case <-finished:
						return // this one does not count
					default:
					}
					mu.Lock()
					count++
					if took > slowest {
						slowest = took
					}
					mu.Unlock()
				}
			}
		}(numbered("small", w))
	}
	must(t, <-done)
	took := time.Since(began)
	group.Wait()
	t.Logf("%s took %v: %d small calls meanwhile, the slowest %v", what, took, count, slowest)
	if slowest > harness.Bound(smallCallBound) {
		t.Errorf("during %s a small call took %v", what, slowest)
	}
	if took > 500*time.Millisecond && count < fewestCalls {
		t.Errorf("during %s of %v only %d small calls ended", what, took, count)
	}
	for w := 0; w < 4; w++ {
		_ = s.Remove(numbered("small", w)) // there if the round was cut
	}
}

func smallCalls(s *harness.Snapshots, key string) []func() error {
	return []func() error{
		func() error { return prepare(key, "base")(s) },
		func() error { return stat(key)(s) },
		func() error { return mounts(key)(s) },
		func() error { return s.SetLabels(key, "a", "b") },
		func() error { _, err := s.List("name==" + key); return err },
		func() error { return s.Remove(key) },
	}
}
