// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
)

// faulty starts a daemon with a fault on a store that ladderStore has filled.
func faulty(t *testing.T, fault string) (*harness.Daemon, *harness.Snapshots, state) {
	t.Helper()
	harness.NeedFaults(t)
	root := harness.NewRoot(t)
	plain := harness.Start(t, root)
	filled := ladderStore(t, plain.Snapshots("clonefs"))
	harness.StopClean(t, plain)
	d, err := harness.Launch(harness.Options{Root: root, Fault: fault})
	must(t, err)
	t.Cleanup(d.Kill)
	return d, d.Snapshots("clonefs"), filled
}

// A step that fails, with EIO or with a full disk, fails the call and leaves nothing.
func TestPrepareThatFailsLeavesNothing(t *testing.T) {
	for _, step := range []string{"tree.clone.file", "tree.clone.file@3"} {
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
	for _, op := range everyOperation {
		for _, errno := range []int{5, 28} {
			op, errno := op, errno
			t.Run(fmt.Sprintf("%s=%d", op.name, errno), func(t *testing.T) {
				t.Parallel()
				d, s, filled := faulty(t, fmt.Sprintf("store.before_commit@%d=%d", commitsAtStart(t)+1, errno))
				if err := op.call(s); err == nil {
					t.Fatalf("the store failed and %s did not", op.name)
				}
				answers(t, d)
				checkStore(t, d, map[string]state{"clonefs": filled})
				must(t, op.call(s)) // the fault is over
				checkStore(t, d, map[string]state{"clonefs": op.after(filled)})
			})
		}
	}
}

// commitsAtStart finds how many transactions a daemon commits before it listens.
func commitsAtStart(t *testing.T) int {
	t.Helper()
	harness.NeedFaults(t)
	for count := 0; ; count++ {
		root := harness.NewRoot(t)
		plain := harness.Start(t, root)
		harness.StopClean(t, plain)
		d, err := harness.Launch(harness.Options{Root: root, Fault: fmt.Sprintf("store.before_commit@%d=kill", count+1)})
		if err == nil {
			d.Kill()
			return count
		}
		if count == 10 {
			t.Fatal("a daemon never starts")
		}
	}
}

// While Prepare hangs in its clone the key is reserved and the parent pinned, and nothing is visible.
func TestARunningPrepareReservesItsKeyAndPinsItsParent(t *testing.T) {
	for _, step := range []string{"prepare.reserved", "tree.clone.file", "prepare.cloned"} {
		t.Run(step, func(t *testing.T) { hangIn(t, step) })
	}
}

func hangIn(t *testing.T, step string) {
	d, s, filled := faulty(t, step+"=stop")
	go func() { _ = prepareChild.call(s) }()
	harness.Eventually(t, 5*time.Second, func() string {
		if err := s.Remove("top"); status.Code(err) != codes.FailedPrecondition {
			return fmt.Sprintf("Remove of the parent: %v", err)
		}
		return ""
	})
	fails(t, s.Remove("top"), codes.FailedPrecondition, "remove")
	_, err := s.Prepare("new", "base")
	fails(t, err, codes.AlreadyExists)
	_, err = s.View("new", "base")
	fails(t, err, codes.AlreadyExists)
	if err := s.Commit("new", "work"); err == nil {
		t.Error("Commit took the key that Prepare has reserved")
	}
	_, err = s.Stat("new")
	fails(t, err, codes.NotFound)
	if difference := read(t, s).differsFrom(filled); difference != "" {
		t.Error(difference)
	}
	d.Kill()
	d = harness.Start(t, d.Root)
	checkStore(t, d, map[string]state{"clonefs": filled})
}
