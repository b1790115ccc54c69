// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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

// More big Prepares than calls of a method are read at once leave room for small ones of the same method.
func TestManyBigPreparesLetSmallOnesIn(t *testing.T) {
	const bigs = 400
	d, s := start(t, "--config", noPool(t))
	bigLayer(t, s, 5000)
	population(t, s)
	before := read(t, s)
	ctx, giveUp := context.WithCancel(context.Background())
	defer giveUp()
	var ended int32
	done := make(chan bool)
	go func() {
		defer close(done)
		together(t, bigs, func(i int) error {
			key := numbered("big child", i)
			_, err := s.API.Prepare(ctx, &snapshotsapi.PrepareSnapshotRequest{Snapshotter: "clonefs", Key: key, Parent: "big"})
			atomic.AddInt32(&ended, 1)
			if err == nil {
				return s.Remove(key)
			}
			if status.Code(err) != codes.Canceled {
				return err
			}
			return nil
		})
	}()
	slowest, count := time.Duration(0), 0
	for began := time.Now(); time.Since(began) < 3*time.Second; count++ {
		start := time.Now()
		must(t, prepare("small", "base")(s))
		if took := time.Since(start); took > slowest {
			slowest = took
		}
		must(t, s.Remove("small"))
	}
	left := bigs - atomic.LoadInt32(&ended)
	t.Logf("beside %d big Prepares, %d of them still under way in the end, %d small ones took %v at most", bigs, left, count, slowest)
	if slowest > harness.Bound(smallCallBound) {
		t.Errorf("a small Prepare took %v", slowest)
	}
	if left <= 256 {
		t.Errorf("only %d big Prepares were left, which proves nothing", left)
	}
	giveUp()
	<-done
	late := 0
	for i := 0; i < bigs; i++ {
		if awaitEnd(t, s, numbered("big child", i)) {
			late++ // the answer was on its way
		}
	}
	if late > 8 {
		t.Errorf("%d Prepares were done for clients that had gone", late)
	}
	if difference := read(t, s).differsFrom(before); difference != "" {
		t.Error(difference)
	}
	answers(t, d)
}
