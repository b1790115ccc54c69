// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
)

// zeros has no end; XFS stores them all.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// fillUp takes all blocks of the volume of dir and all inodes that it has blocks for, but for spare bytes.
func fillUp(dir string, spare int64) error {
	data, err := os.OpenFile(filepath.Join(dir, "data"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer data.Close()
	for _, size := range []int{1 << 20, 4 << 10} {
		for err == nil {
			_, err = io.CopyBuffer(struct{ io.Writer }{data}, io.LimitReader(zeros{}, int64(size)), make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
		if err = data.Sync(); err != nil {
			return err
		}
	}
	for i := 0; err == nil; i++ {
		err = os.WriteFile(filepath.Join(dir, numbered("inode", i)), nil, 0o600)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	info, err := data.Stat()
	if err == nil {
		err = data.Truncate(info.Size() - spare)
	}
	if err == nil {
		err = data.Sync()
	}
	return err
}

func TestOnAFullVolumePrepareIsRefusedAndRemoveMakesRoom(t *testing.T) {
	const views = 200
	d := harness.Start(t, harness.Volume(t, 320)+"/root")
	s := d.Snapshots("clonefs")
	must(t, s.LayerBy("base", "", func(dir string) error { return harness.Fill(dir, 2000) }))
	var base string
	for i := 0; i < views; i++ {
		var err error
		base, err = s.View(numbered("view", i), "base") // their removal gives no room back
		must(t, err)
	}
	filler, err := s.Prepare("filler", "")
	must(t, err)

	// With nothing left it fails at once, with a little amid the clone. The key is free again each time.
	refused := func() {
		t.Helper()
		before := read(t, s)
		for _, spare := range []int64{0, 256 << 10, 512 << 10, 768 << 10} {
			must(t, fillUp(filler, spare))
			_, err := s.Prepare("child", "base")
			fails(t, err, codes.ResourceExhausted, "No space left on device")
			d.AwaitTrees(t, trees(t, d, base, filler))
		}
		if difference := read(t, s).differsFrom(before); difference != "" {
			t.Error(difference)
		}
		must(t, fillUp(filler, 0))
	}
	refused()
	for i := 0; i < views/2; i++ {
		must(t, s.Remove(numbered("view", i)))
	}
	d, s = restart(t, d)
	refused()
	for i := views / 2; i < views-1; i++ {
		must(t, s.Remove(numbered("view", i)))
	}

	must(t, s.Remove("filler"))
	d.AwaitTrees(t, trees(t, d, base))
	child, err := s.Prepare("child", "base")
	must(t, err)
	want, err := harness.ReadFiles(base)
	must(t, err)
	equal(t, "number of files", len(want), 2000)
	must(t, harness.SameFiles(child, want))
}

// trees are the names below ROOT/trees of mount sources.
func trees(t *testing.T, d *harness.Daemon, sources ...string) []string {
	t.Helper()
	var names []string
	for _, source := range sources {
		name, err := d.TreeOf(source)
		must(t, err)
		names = append(names, name)
	}
	return names
}

// Delays of the background flush: soon, and never in the time of a test.
const (
	flushSoon  = "flush_delay_seconds = 1"
	flushNever = "flush_delay_seconds = 3600"
)

// unflushed makes a store in which "before" is flushed, and the committed "base" and the active "work" are not.
func unflushed(t *testing.T) (root string) {
	t.Helper()
	d, s := start(t)
	must(t, s.Layer("before", "", baseFiles))
	harness.StopClean(t, d)
	d = harness.Start(t, d.Root, "--config", configFile(t, flushNever))
	s = d.Snapshots("clonefs")
	must(t, s.Layer("base", "before", harness.Files{"etc/hosts": "top"}))
	_, err := s.Prepare("work", "before")
	must(t, err)
	d.Kill()
	return d.Root
}

// launch starts a daemon that need not end well.
func launch(t *testing.T, o harness.Options) (*harness.Daemon, *harness.Snapshots) {
	t.Helper()
	d, err := harness.Launch(o)
	must(t, err)
	t.Cleanup(d.Kill)
	return d, d.Snapshots("clonefs")
}

// logged waits until the daemon has said something.
func logged(t *testing.T, d *harness.Daemon, text string) {
	t.Helper()
	harness.Eventually(t, 15*time.Second, func() string {
		if !strings.Contains(d.Log(), text) {
			return fmt.Sprintf("%q is not in the log\n%s", text, d.Log())
		}
		return ""
	})
}

// damaged checks that "base" and "work" of an unflushed store are kept and not handed out, and "before" is.
func damaged(t *testing.T, s *harness.Snapshots) {
	t.Helper()
	equal(t, "snapshots", sortedNames(list(t, s)), "[base before work]")
	_, err := s.Prepare("child", "base")
	fails(t, err, codes.FailedPrecondition, "base", "damaged")
	_, err = s.View("child", "base")
	fails(t, err, codes.FailedPrecondition, "base", "damaged")
	_, err = s.Mounts("work")
	fails(t, err, codes.FailedPrecondition, "work", "damaged")
	fails(t, s.Commit("done", "work"), codes.FailedPrecondition, "work", "damaged")
	whole(t, s, "before", baseFiles)
}

// whole checks that a committed snapshot is handed out with its files.
func whole(t *testing.T, s *harness.Snapshots, name string, files harness.Files) {
	t.Helper()
	dir, err := s.Prepare("child of "+name, name)
	must(t, err)
	must(t, harness.SameFiles(dir, files))
	must(t, s.Remove("child of "+name))
}

// The kernel reports lost writes once. What was not flushed then is damaged for good, also when that could not be
// noted at once; what comes later is not.
func TestAFlushThatFailsDamagesWhatItWasFor(t *testing.T) {
	harness.NeedFaults(t)
	for _, fault := range []struct{ points, said string }{
		{"flush=5", "2 snapshots are marked as damaged"},
		{"flush=5,store.before_commit=28", "cannot note what was flushed, will try again"},
	} {
		fault := fault
		t.Run(fault.points, func(t *testing.T) {
			t.Parallel()
			d, s := launch(t, harness.Options{Root: unflushed(t), Fault: fault.points,
				Args: []string{"--config", configFile(t, flushSoon)}})
			logged(t, d, "Input/output error")
			logged(t, d, fault.said)
			harness.Eventually(t, 10*time.Second, func() string {
				if _, err := s.Mounts("work"); status.Code(err) != codes.FailedPrecondition {
					return fmt.Sprintf("the damage is not noted: %v", err)
				}
				return ""
			})
			damaged(t, s)
			must(t, s.Layer("later", "", topFiles))
			must(t, d.Stop())

			d = harness.Start(t, d.Root)
			s = d.Snapshots("clonefs")
			whole(t, s, "later", topFiles)
			must(t, s.Remove("later"))
			damaged(t, s)
			must(t, s.Remove("base"))
			must(t, s.Remove("work"))
			must(t, s.Layer("base", "before", harness.Files{"etc/hosts": "top"}))
			whole(t, s, "base", topFiles)
		})
	}
}

// A machine that goes down before the end of a flush takes what that was for; a daemon that does, takes nothing.
func TestWhatWasNotFlushedWhenTheMachineWentDownIsDamaged(t *testing.T) {
	harness.NeedFaults(t)
	other := harness.OtherBoot(t, "00000000-0000-4000-8000-00000000b007")
	soon, never := configFile(t, flushSoon), configFile(t, flushNever)
	for _, end := range []struct {
		fault string
		run   func(t *testing.T, d *harness.Daemon)
	}{
		{"flush=kill", func(t *testing.T, d *harness.Daemon) {
			if !d.Exited(harness.Bound(15*time.Second)) || !d.KilledBySignal() {
				t.Fatal("the daemon did not get to its flush")
			}
		}},
		{"flush=stop", func(t *testing.T, d *harness.Daemon) {
			must(t, d.Stop()) // well and in time, though the volume hangs
			logged(t, d, "still flushing")
		}},
	} {
		end := end
		t.Run(end.fault, func(t *testing.T) {
			t.Parallel()
			d, _ := launch(t, harness.Options{Root: unflushed(t), Fault: end.fault, Args: []string{"--config", soon}})
			end.run(t, d)
			d, s := launch(t, harness.Options{Root: d.Root, Args: []string{"--config", never}})
			whole(t, s, "base", topFiles)
			d.Kill()
			d, s = launch(t, harness.Options{Root: d.Root, Binary: other})
			for _, key := range []string{"base", "work"} {
				logged(t, d, "snapshot "+key+" (clonefs) was not on disk yet when the machine went down")
			}
			damaged(t, s)
			must(t, d.Stop())
		})
	}
	t.Run("many", func(t *testing.T) {
		t.Parallel()
		d, s := start(t, "--config", never)
		for i := 0; i < 13; i++ {
			_, err := s.Prepare(numbered("lost", i), "")
			must(t, err)
		}
		d.Kill()
		d, _ = launch(t, harness.Options{Root: d.Root, Binary: other})
		logged(t, d, "and 3 more snapshots were not on disk yet")
		equal(t, "snapshots named in the log", strings.Count(d.Log(), "(clonefs) was not on disk yet"), 10)
		must(t, d.Stop())
	})
	t.Run("clean stop", func(t *testing.T) {
		t.Parallel()
		d, _ := launch(t, harness.Options{Root: unflushed(t), Args: []string{"--config", never}})
		must(t, d.Stop())
		d, s := launch(t, harness.Options{Root: d.Root, Binary: other})
		whole(t, s, "base", topFiles)
		must(t, d.Stop())
	})
}

// makeMany makes count snapshots as fast as it goes, every hundredth committed, and stops when time is over.
func makeMany(t *testing.T, d *harness.Daemon, count int64, limit time.Duration) (made int64) {
	t.Helper()
	conns := append(connections(t, d, 3), d.Conn)
	end := time.Now().Add(limit)
	var next int64
	together(t, 128, func(w int) error {
		s := harness.SnapshotsOn(conns[w%len(conns)], "clonefs")
		for time.Now().Before(end) {
			i := atomic.AddInt64(&next, 1)
			if i > count {
				break
			}
			key := numbered("many", int(i))
			if _, err := s.Prepare(key, ""); err != nil {
				return err
			}
			if i%100 == 0 {
				if err := s.Commit("committed "+key, key); err != nil {
					return err
				}
			}
			atomic.AddInt64(&made, 1)
		}
		return nil
	})
	return made
}

// A start reads all ids of trees and all names in ROOT/trees, nothing more.
func TestAHundredThousandSnapshotsHardlyDelayTheStart(t *testing.T) {
	const startsWithin = 10 * time.Second
	began := time.Now()
	d, _ := start(t)
	empty := time.Since(began)
	began = time.Now()
	count := makeMany(t, d, int64(100000/harness.EnvInt("CLONEFS_TEST_SLOW", 1)), 25*time.Second)
	t.Logf("%d snapshots were made in %.1f s", count, time.Since(began).Seconds())
	for _, end := range []struct {
		name string
		run  func()
	}{{"a clean stop", func() { harness.StopClean(t, d) }}, {"kill -9", func() { d.Kill() }}} {
		end.run()
		began = time.Now()
		d = harness.Start(t, d.Root)
		took := time.Since(began)
		t.Logf("started with %d snapshots after %s in %v, with none in %v", count, end.name,
			took.Round(time.Millisecond), empty.Round(time.Millisecond))
		if took > harness.Bound(startsWithin) {
			t.Errorf("the start took %v", took)
		}
		s := d.Snapshots("clonefs")
		info, err := s.Stat("many-7")
		must(t, err)
		equal(t, "kind", info.Kind, snapshotsapi.KindActive)
		info, err = s.Stat("committed many-100")
		must(t, err)
		equal(t, "kind", info.Kind, snapshotsapi.KindCommitted)
	}
	found, err := d.Trees()
	must(t, err)
	equal(t, "number of trees", int64(len(found)), count)
}

// Filters that take many seconds for one record.
func costlyFilters() (filters []string) {
	for i := 0; i < 44; i++ {
		filters = append(filters, "name~=/((a?){30}){30}.{1000}.{1000}.{1000}.{1000}c/")
	}
	return filters
}

// Lists that cost as much as they may wait for each other and hold up nobody else.
func TestCostlyListsDoNotHoldUpOthers(t *testing.T) {
	const bound = 500 * time.Millisecond
	d, s := start(t)
	_, err := s.Prepare(strings.Repeat("a", 16000), "")
	must(t, err)
	_, err = d.Snapshots("another").Prepare("small", "")
	must(t, err)
	ctx, giveUp := context.WithCancel(context.Background())
	ended := make(chan error, 16)
	for i := 0; i < cap(ended); i++ {
		go func() {
			stream, err := s.API.List(ctx, &snapshotsapi.ListSnapshotsRequest{Snapshotter: "clonefs", Filters: costlyFilters()})
			if err == nil {
				_, err = stream.Recv()
			}
			ended <- err
		}()
	}
	time.Sleep(500 * time.Millisecond)
	began := time.Now()
	equal(t, "number of snapshots", len(list(t, d.Snapshots("another"))), 1)
	t.Logf("until the filters of %d costly lists were parsed it took %v more", cap(ended), time.Since(began))
	worst := time.Duration(0)
	for i := 0; i < 20; i++ {
		began := time.Now()
		equal(t, "number of snapshots", len(list(t, d.Snapshots("another"), "name~=/^s.*l$/")), 1)
		if took := time.Since(began); took > worst {
			worst = took
		}
	}
	t.Logf("beside %d costly lists another one took %v at most", cap(ended), worst)
	if worst > harness.Bound(bound) {
		t.Errorf("beside %d costly lists another one took %v", cap(ended), worst)
	}
	giveUp()
	for i := 0; i < cap(ended); i++ {
		if err := <-ended; status.Code(err) != codes.Canceled {
			t.Errorf("a costly list ended with %v", err)
		}
	}
}

// No answer is better than a wrong one.
func TestAListThatIsTooCostlyFailsAndSaysSo(t *testing.T) {
	_, s := start(t)
	_, err := s.Prepare(strings.Repeat("a", 16000), "")
	must(t, err)
	_, err = s.List(costlyFilters()...)
	fails(t, err, codes.InvalidArgument, "the filters take more than 5 seconds")
}

// Filters that match nothing and cost as much as they may.
func TestSigtermEndsTheDaemonWhileCostlyListsRun(t *testing.T) {
	for _, costly := range []struct{ name, pattern string }{
		{"that go back and forth", "(a+)+[xy]"},
		{"that look far ahead each time", ".*?a*[xy]"},
		{"that take their time for one record", "((a?){15}){30}b"},
	} {
		t.Run(costly.name, func(t *testing.T) {
			d, s := start(t)
			together(t, 200, func(i int) error {
				_, err := s.Prepare(strings.Repeat("a", 16000)+numbered("!", i), "")
				return err
			})
			filters := make([]string, 256)
			for i := range filters {
				filters[i] = "name~=/" + costly.pattern + "/"
			}
			ended := make(chan error, 8)
			for i := 0; i < cap(ended); i++ {
				go func() { _, err := s.List(filters...); ended <- err }()
			}
			select {
			case err := <-ended:
				t.Fatalf("a List was over before the daemon was to stop: %v", err)
			case <-time.After(time.Second):
			}
			began := time.Now()
			harness.StopClean(t, d)
			t.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))
		})
	}
}

// What is mounted in a removed tree stays whole; the tree is deleted when it is free, not only at the next start.
func TestBusyTrashIsDeletedOnceItIsFree(t *testing.T) {
	harness.NeedRoot(t)
	d, s := start(t)
	for _, wake := range []struct {
		name string
		call func() error
	}{
		{"Cleanup", s.Cleanup},
		{"Remove", func() error {
			if _, err := s.Prepare("another", ""); err != nil {
				return err
			}
			return s.Remove("another")
		}},
	} {
		t.Run(wake.name, func(t *testing.T) {
			dir, err := s.Prepare("work", "")
			must(t, err)
			must(t, harness.Files{"beside": "gone soon", "mnt/below": "hidden"}.Write(dir))
			must(t, unix.Mount("none", filepath.Join(dir, "mnt"), "tmpfs", 0, ""))
			must(t, harness.Files{"mnt/inside": "not ours"}.Write(dir))
			tree := trees(t, d, dir)[0]
			trashed := filepath.Join(d.Root, "trash", tree, "fs")
			for _, place := range []string{dir, trashed} {
				place := filepath.Join(place, "mnt")
				t.Cleanup(func() { _ = unix.Unmount(place, unix.MNT_DETACH) }) // if the test fails
			}
			stays := "trash " + tree + " stays for now"

			must(t, s.Remove("work"))
			equal(t, "snapshots", sortedNames(list(t, s)), "[]")
			logged(t, d, stays)
			must(t, wake.call())
			harness.Eventually(t, 10*time.Second, func() string {
				if tries := strings.Count(d.Log(), stays); tries < 2 {
					return fmt.Sprintf("%s did not make it try again", wake.name)
				}
				return ""
			})
			must(t, harness.SameFiles(trashed, harness.Files{"mnt/inside": "not ours"}))
			_, err = s.Prepare("work", "") // the key does not wait for the trash
			must(t, err)
			must(t, s.Remove("work"))

			must(t, unix.Unmount(filepath.Join(trashed, "mnt"), 0))
			must(t, wake.call())
			d.AwaitTrees(t, nil)
		})
	}
}
