// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"

	"clonefs/tests/gotool/harness"
)

// The crash ladder: at each of these steps of these operations the daemon is killed, at the first pass of
// the step, the second, and so on until the operation gets through.
var ladder = []struct {
	step       string
	operations []operation
}{
	{"prepare.reserved", []operation{prepareChild, prepareEmpty, viewEmpty}},
	{"prepare.cloned", []operation{prepareChild, prepareEmpty}},
	{"prepare.recorded", []operation{prepareChild, prepareEmpty, viewEmpty}},
	{"commit.recorded", []operation{commitWork}},
	{"remove.recorded", []operation{removeActive, removeCommitted}},
	{"remove.trashed", []operation{removeActive, removeCommitted}},
	{"update.recorded", []operation{updateBase}},
	{"store.before_commit", everyOperation},
	{"store.after_commit", everyOperation},
}

// cloneSteps are those of a clone, file by file; macOS clones whole directories and repairs them (TestMain).
var cloneSteps = []string{"tree.clone.file"}

// maxPasses bounds the climb; a step that is passed more often (once a file) has been tried enough.
const maxPasses = 10

// operation is one call on the ladder's store, and what the store has after it.
type operation struct {
	name  string
	call  func(*harness.Snapshots) error
	after func(state) state
}

var (
	baseFiles = harness.Files{"etc/hosts": "base", "bin/a": "a", "bin/b": "b", "c": "c"}
	topFiles  = baseFiles.With(harness.Files{"etc/hosts": "top"})
	workFiles = baseFiles.With(harness.Files{"mine": "work"})
)

// ladderRoot makes a store with one snapshot of each kind, and a child.
func ladderRoot(t *testing.T) (root string, filled state) {
	t.Helper()
	d, s := start(t)
	defer harness.StopClean(t, d)
	must(t, s.Layer("base", "", baseFiles))
	must(t, s.Layer("top", "base", harness.Files{"etc/hosts": "top"}))
	dir, err := s.Prepare("work", "base")
	must(t, err)
	must(t, harness.Files{"mine": "work"}.Write(dir))
	_, err = s.View("look", "base")
	must(t, err)
	return d.Root, state{
		"base": {kind: snapshotsapi.KindCommitted, files: baseFiles},
		"top":  {kind: snapshotsapi.KindCommitted, parent: "base", files: topFiles},
		"work": {kind: snapshotsapi.KindActive, parent: "base", files: workFiles},
		"look": {kind: snapshotsapi.KindView, parent: "base", files: baseFiles},
	}
}

var (
	prepareChild = operation{"Prepare", prepare("new", "top"), func(st state) state {
		return st.with("new", snap{kind: snapshotsapi.KindActive, parent: "top", files: topFiles})
	}}
	prepareEmpty = operation{"Prepare without parent", prepare("new", ""), func(st state) state {
		return st.with("new", snap{kind: snapshotsapi.KindActive, files: harness.Files{}})
	}}
	viewChild = operation{"View", view("new", "top"), func(st state) state {
		return st.with("new", snap{kind: snapshotsapi.KindView, parent: "top", files: topFiles})
	}}
	viewEmpty = operation{"View without parent", view("new", ""), func(st state) state {
		return st.with("new", snap{kind: snapshotsapi.KindView, files: harness.Files{}})
	}}
	commitWork = operation{"Commit", commit("done", "work"), func(st state) state {
		return st.without("work").with("done", snap{kind: snapshotsapi.KindCommitted, parent: "base", files: workFiles})
	}}
	removeActive    = operation{"Remove active", remove("work"), func(st state) state { return st.without("work") }}
	removeCommitted = operation{"Remove committed", remove("top"), func(st state) state { return st.without("top") }}
	removeView      = operation{"Remove view", remove("look"), func(st state) state { return st.without("look") }}
	updateBase      = operation{"Update",
		func(s *harness.Snapshots) error { return s.SetLabels("base", "new", "label") },
		func(st state) state {
			base := st["base"]
			base.labels = harness.Labels("new", "label")
			return st.with("base", base)
		}}
	everyOperation = []operation{prepareChild, prepareEmpty, viewChild, viewEmpty, commitWork, removeActive,
		removeCommitted, removeView, updateBase}
)

func TestCrashAtAnyStepLosesNothingAndLeavesNothing(t *testing.T) {
	harness.NeedFaults(t)
	for _, rung := range ladder {
		for _, op := range rung.operations {
			rung, op := rung, op
			t.Run(fmt.Sprintf("%s in %s", rung.step, op.name), func(t *testing.T) {
				t.Parallel()
				climb(t, rung.step, op)
			})
		}
	}
	for _, step := range cloneSteps {
		step := step
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			climb(t, step, prepareChild)
		})
	}
}

func climb(t *testing.T, step string, op operation) {
	deaths := 0
	for pass := 1; pass <= maxPasses; pass++ {
		died := crash(t, fmt.Sprintf("%s@%d=kill", step, pass), op)
		if died == diedInCall {
			deaths++
		}
		if died == survived {
			break
		}
	}
	if deaths == 0 {
		t.Errorf("no pass of %s killed the daemon during the call: the step has no fault point, or is not passed", step)
	}
}

type death int

const (
	survived death = iota
	diedAtStart
	diedInCall
)

// crash does the operation on a fresh store in a daemon with a fault, and checks the store with a
// daemon without.
func crash(t *testing.T, fault string, op operation) death {
	root, before := ladderRoot(t)
	died, acknowledged := dieIn(t, root, fault, func(d *harness.Daemon) error { return op.call(d.Snapshots("clonefs")) })

	d := harness.Start(t, root)
	s := d.Snapshots("clonefs")
	now, after := read(t, s), op.after(before)
	switch isBefore, isAfter := now.differsFrom(before), now.differsFrom(after); {
	case isAfter == "" && died != diedAtStart:
		checkStore(t, d, map[string]state{"clonefs": after})
	case isBefore == "" && !acknowledged:
		checkStore(t, d, map[string]state{"clonefs": before})
		must(t, op.call(s)) // the same keys work again
		checkStore(t, d, map[string]state{"clonefs": after})
	case isBefore == "":
		t.Fatalf("%s: acknowledged and lost", fault)
	default:
		t.Fatalf("%s: neither done (%s) nor not done (%s)", fault, isAfter, isBefore)
	}
	harness.StopClean(t, d)
	return died
}

// dieIn starts the daemon with the fault and makes the call.
func dieIn(t *testing.T, root, fault string, call func(*harness.Daemon) error) (died death, acknowledged bool) {
	t.Helper()
	d, err := harness.Launch(harness.Options{Root: root, Fault: fault})
	if err != nil {
		if d == nil || !d.Exited(0) || !d.KilledBySignal() {
			t.Fatal(err)
		}
		return diedAtStart, false
	}
	defer d.Kill()
	err = call(d)
	if err != nil && !d.Exited(5*time.Second) {
		t.Fatalf("%s: the call failed in a living daemon: %v\n%s", fault, err, d.Log())
	}
	// What comes after the answer, in the background or at the end, may die as well.
	if !d.Exited(200 * time.Millisecond) {
		if stopError := d.Stop(); stopError == nil {
			return survived, true
		}
	}
	if !d.KilledBySignal() {
		t.Fatalf("%s: the daemon ended, but not by the fault\n%s", fault, d.Log())
	}
	return diedInCall, err == nil
}
