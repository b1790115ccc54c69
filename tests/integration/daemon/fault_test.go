// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"clonefs/tests/gotool/harness"
)

// faulty starts a daemon with a fault on a store that ladderStore has filled.
func faulty(t *testing.T, fault string) (*harness.Daemon, *harness.Snapshots, state) {
	t.Helper()
	root, filled := ladderRoot(t)
	d, err := harness.Launch(harness.Options{Root: root, Fault: fault})
	must(t, err)
	t.Cleanup(d.Kill)
	return d, d.Snapshots("clonefs"), filled
}

// A step that fails, with EIO or with a full disk, fails the call and leaves nothing.
func TestPrepareThatFailsLeavesNothing(t *testing.T) {
	harness.NeedFaults(t)
	for _, step := range []string{cloneSteps[0], cloneSteps[len(cloneSteps)-1] + "@3"} {
		for _, errno := range []int{5, 28} {
			t.Run(fmt.Sprintf("%s=%d", step, errno), func(t *testing.T) {
				d, s, filled := faulty(t, fmt.Sprintf("%s=%d", step, errno))
				if err := prepareChild.call(s); err == nil {
					t.Fatalf("%s failed and Prepare did not", step)
				}
				answers(t, d)
				checkStore(t, d, map[string]state{"clonefs": filled})
				must(t, prepareChild.call(s)) // the fault is over
				checkStore(t, d, map[string]state{"clonefs": prepareChild.after(filled)})
			})
		}
	}
}

// A transaction that fails, with EIO or with a full disk, fails the call, and the store stays as it was.
func TestACommitOfTheStoreThatFailsChangesNothing(t *testing.T) {
	harness.NeedFaults(t)
	for _, op := range everyOperation {
		for _, errno := range []int{5, 28} {
			op, errno := op, errno
			t.Run(fmt.Sprintf("%s=%d", op.name, errno), func(t *testing.T) {
				t.Parallel()
				failOneCommit(t, op, errno)
			})
		}
	}
}

// failOneCommit lets the first, the second... transaction of a daemon fail, until that is the call's own.
func failOneCommit(t *testing.T, op operation, errno int) {
	for pass := 1; pass <= maxPasses; pass++ {
		root, filled := ladderRoot(t)
		d, err := harness.Launch(harness.Options{Root: root, Fault: fmt.Sprintf("store.before_commit@%d=%d", pass, errno)})
		if err != nil {
			continue // it was one of the start
		}
		t.Cleanup(d.Kill)
		s := d.Snapshots("clonefs")
		if op.call(s) == nil {
			continue // it was one of the background
		}
		answers(t, d)
		checkStore(t, d, map[string]state{"clonefs": filled})
		must(t, op.call(s)) // the fault is over
		checkStore(t, d, map[string]state{"clonefs": op.after(filled)})
		return
	}
	t.Errorf("no failing transaction failed %s", op.name)
}

// Steps in which a Prepare may hang, its key reserved and its parent pinned.
func hangingSteps() []string {
	return append([]string{"prepare.reserved", "prepare.cloned"}, cloneSteps...)
}

// hanging starts a daemon in which a Prepare of "new" on "top" hangs.
func hanging(t *testing.T, step string) (*harness.Daemon, *harness.Snapshots, state) {
	t.Helper()
	d, s, filled := faulty(t, step+"=stop")
	go func() { _ = prepareChild.call(s) }()
	time.Sleep(harness.Bound(300 * time.Millisecond)) // nothing tells from outside that it hangs
	return d, s, filled
}

func TestARunningPrepareShowsNothingAndPinsItsParent(t *testing.T) {
	harness.NeedFaults(t)
	for _, step := range hangingSteps() {
		t.Run(step, func(t *testing.T) {
			d, s, filled := hanging(t, step)
			fails(t, s.Remove("top"), codes.FailedPrecondition, "remove")
			_, err := s.Stat("new")
			fails(t, err, codes.NotFound)
			if difference := read(t, s).differsFrom(filled); difference != "" {
				t.Error(difference)
			}
			d.Kill()
			checkStore(t, harness.Start(t, d.Root), map[string]state{"clonefs": filled})
		})
	}
}

func TestARunningPrepareReservesItsKey(t *testing.T) {
	harness.NeedFaults(t)
	for _, step := range hangingSteps() {
		t.Run(step, func(t *testing.T) {
			_, s, _ := hanging(t, step)
			for _, taking := range []struct {
				what string
				call func(*harness.Snapshots) error
				code codes.Code
			}{
				{"Prepare", prepare("new", "base"), codes.AlreadyExists},
				{"Prepare without parent", prepare("new", ""), codes.AlreadyExists},
				{"View", view("new", "base"), codes.AlreadyExists},
				{"View without parent", view("new", ""), codes.AlreadyExists},
				// Clients take AlreadyExists from Commit as success; that Prepare may fail yet.
				{"Commit", commit("new", "work"), codes.Unavailable},
			} {
				t.Run(taking.what, func(t *testing.T) {
					err := taking.call(s)
					fails(t, err, taking.code)
					if err == nil {
						must(t, s.Remove("new"))
					}
				})
			}
		})
	}
}
