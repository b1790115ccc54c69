// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"strings"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/opencontainers/go-digest"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/layer"
)

// layerStore is what a rung of the ladder begins with: "base", on it "middle" and "top", whose tree "step" has taken over, and
// "ready", whose tree is still its own.
type layerStore struct {
	*image
	records state
	began   time.Time
}

const layersOfStore = 3

func newLayerStore(t *testing.T) *layerStore {
	t.Helper()
	st := &layerStore{image: startImages(t, "", ""), records: state{}, began: time.Now().Truncate(time.Second)}
	st.chain(t, "base", "middle", "top")
	st.unpack(t, "ready", "base")
	for name, parent := range map[string]string{"base": "", "middle": "base", "top": "middle", "ready": "base"} {
		st.records[name] = snap{kind: snapshotsapi.KindCommitted, parent: parent}
	}
	dir := st.step(t, "step", "top")
	equal(t, "the tree of the step", treeOf(t, st.d, dir), st.trees["top"])
	st.records[stepKey("step")] = snap{kind: snapshotsapi.KindActive, parent: "top"}
	awaitLayers(t, st.d, layersOfStore)
	_, err := st.put(st.stepData()) // so that no Apply has to wait for it
	must(t, err)
	harness.StopClean(t, st.d)
	return st
}

func (m *image) stepData() []byte {
	return (&layer.Layer{Entries: m.entriesOf("step", "top")}).Archive(false)
}

// layerOperation is one call, what is recorded after it, and how many layers there are then.
type layerOperation struct {
	name   string
	call   func(m *image) error
	after  func(state) state
	layers int
}

// begins is a Prepare or a View of a snapshot, which need not have a tree.
func begins(name, parent string, kind snapshotsapi.Kind, key string) layerOperation {
	return layerOperation{name: name, layers: layersOfStore,
		call: func(m *image) error {
			make := m.s.Prepare
			if kind == snapshotsapi.KindView {
				make = m.s.View
			}
			dir, err := make(key, parent)
			if err != nil {
				return err
			}
			return sameTree(dir, m.tops[parent])
		},
		after: func(st state) state { return st.with(key, snap{kind: kind, parent: parent}) }}
}

var (
	takeOver         = begins("Prepare that takes over", "ready", snapshotsapi.KindActive, stepKey("next"))
	rebuildContainer = begins("Prepare of what has no tree", "middle", snapshotsapi.KindActive, "container")
	rebuildStep      = begins("Prepare of a second step", "top", snapshotsapi.KindActive, stepKey("other"))
	rebuildView      = begins("View of what has no tree", "middle", snapshotsapi.KindView, "look")
	removeStep       = layerOperation{name: "Remove of a step", layers: layersOfStore,
		call:  func(m *image) error { return m.s.Remove(stepKey("step")) },
		after: func(st state) state { return st.without(stepKey("step")) }}
	removeLayer = layerOperation{name: "Remove of a layer", layers: layersOfStore - 1,
		call:  func(m *image) error { return m.s.Remove("ready") },
		after: func(st state) state { return st.without("ready") }}
	applyStep = layerOperation{name: "Apply", layers: layersOfStore + 1,
		call: func(m *image) error {
			data := m.stepData()
			request, err := m.request(ociLayer, digest.FromBytes(data), len(data), stepKey("step"))
			if err == nil {
				_, err = m.send(request)
			}
			return err
		},
		after: func(st state) state { return st }}
	everyLayerOperation = []layerOperation{takeOver, rebuildContainer, rebuildStep, rebuildView, removeStep, removeLayer, applyStep}
)

var layerLadder = []struct {
	step       string
	operations []layerOperation
}{
	{"apply.entry", []layerOperation{applyStep}},
	{"layer.describe", []layerOperation{applyStep}},
	{"layer.entry", []layerOperation{applyStep, rebuildContainer}},
	{"layer.captured", []layerOperation{applyStep}},
	{"unpack.flushed", []layerOperation{applyStep}},
	{"unpack.recorded", []layerOperation{applyStep}},
	{"prepare.taken", []layerOperation{takeOver}},
	{"tree.rebuilt", []layerOperation{rebuildContainer, rebuildStep, rebuildView}},
	{"tree.recorded", []layerOperation{rebuildView}},
	{"prepare.recorded", []layerOperation{rebuildContainer, rebuildStep}},
	{"remove.recorded", []layerOperation{removeStep, removeLayer}},
	{"remove.trashed", []layerOperation{removeStep, removeLayer}},
	{"store.before_commit", everyLayerOperation},
	{"store.after_commit", everyLayerOperation},
}

func TestCrashAtAnyStepOfLayersLosesNothingAndLeavesNothing(t *testing.T) {
	harness.NeedFaults(t)
	harness.NeedRoot(t)
	for _, rung := range layerLadder {
		for _, op := range rung.operations {
			rung, op := rung, op
			t.Run(fmt.Sprintf("%s in %s", rung.step, op.name), func(t *testing.T) {
				t.Parallel()
				deaths := 0
				for pass := 1; pass <= maxPasses && !t.Failed(); pass++ {
					died := crashLayers(t, fmt.Sprintf("%s@%d=kill", rung.step, pass), op)
					if died == survived {
						break
					}
					if died == diedInCall {
						deaths++
					}
				}
				if deaths == 0 {
					t.Errorf("no pass of %s killed the daemon during the call", rung.step)
				}
			})
		}
	}
}

// crashLayers does the operation on a fresh store in a daemon with a fault, and checks the store with one without.
func crashLayers(t *testing.T, fault string, op layerOperation) death {
	t.Helper()
	st := newLayerStore(t)
	died, acknowledged := dieIn(t, st.d.Root, fault, func(d *harness.Daemon) error {
		m := *st.image
		m.unpacker = unpackerOf(d)
		return op.call(&m)
	})
	st.again(t, `pool = "off"`)
	now, after := read(t, st.s), op.after(st.records)
	isBefore, isAfter := now.differsFrom(st.records), now.differsFrom(after)
	switch {
	case isAfter != "" && (isBefore != "" || acknowledged):
		t.Fatalf("%s: acknowledged: %v, neither done (%s) nor not done (%s)", fault, acknowledged, isAfter, isBefore)
	case isAfter == "" && acknowledged:
		equal(t, fault+": layers", len(layersOf(t, st.d)), op.layers)
	default:
		if count := len(layersOf(t, st.d)); count != layersOfStore && count != op.layers {
			t.Errorf("%s: %d layers are there, not %d or %d", fault, count, layersOfStore, op.layers)
		}
	}
	st.wholeExcept(t, fault, now)
	if op.name == applyStep.name {
		st.goOnWithStep(t, fault, acknowledged)
	} else if isAfter != "" {
		if err := op.call(st.image); err != nil {
			t.Errorf("%s: again: %v", fault, err)
		}
		st.wholeExcept(t, fault+", again", after)
		equal(t, fault+", again: layers", len(layersOf(t, st.d)), op.layers)
	}
	harness.StopClean(t, st.d)
	return died
}

// wholeExcept checks the files of all that is recorded but the step's, and that nothing else is there.
func (st *layerStore) wholeExcept(t *testing.T, when string, records state) {
	t.Helper()
	for name, entry := range records {
		var err error
		switch {
		case name == stepKey("step"):
			continue
		case entry.kind == snapshotsapi.KindCommitted:
			err = unchanged(st.s, name, st.tops[name])
		default:
			var dir string
			if dir, err = st.s.Source(name); err == nil {
				err = sameTree(dir, st.tops[entry.parent])
			}
		}
		if err != nil {
			t.Errorf("%s: %s: %v", when, name, err)
		}
	}
	checkStore(t, st.d, map[string]state{"clonefs": records})
}

// goOnWithStep commits the step, which is made anew unless its Apply was acknowledged, and goes on with what is on top of it.
func (st *layerStore) goOnWithStep(t *testing.T, when string, acknowledged bool) {
	t.Helper()
	if !acknowledged {
		must(t, st.s.Remove(stepKey("step")))
		st.step(t, "step", "top")
		must(t, applyStep.call(st.image))
	}
	st.filled["step"] = true
	dir, err := st.s.Source(stepKey("step"))
	must(t, err)
	want := st.reference(t)
	got, err := layer.Scan(dir)
	must(t, err)
	if problems := (layer.Comparison{Since: st.began}).Compare(got, want); len(problems) > 0 {
		t.Errorf("%s: the step:\n%s", when, strings.Join(problems, "\n"))
	}
	st.done(t, "step", stepKey("step"), dir)
	st.unpack(t, "next", "step")
	equal(t, when+": the tree of the next is the step's", st.trees["next"], st.trees["step"])
	st.unchanged(t)
	awaitLayers(t, st.d, layersOfStore+2)
}

// reference is what the Apply should have made, by a snapshot that is no step.
func (st *layerStore) reference(t *testing.T) layer.Tree {
	t.Helper()
	dir := st.container(t, "reference", "top")
	st.fillKey(t, "reference", "step", "top")
	tree, err := layer.Scan(dir)
	must(t, err)
	st.removed(t, "reference")
	return tree
}

// What a first Apply has left is in no layer that a second one makes.
func TestAnApplyThatWasKilledLeavesNoHalfOfItself(t *testing.T) {
	harness.NeedFaults(t)
	harness.NeedRoot(t)
	for _, fault := range []string{"apply.entry@6=kill", "layer.entry=kill", "layer.captured=kill", "unpack.flushed=kill", "unpack.recorded=kill"} {
		fault := fault
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			st := newLayerStore(t)
			died, _ := dieIn(t, st.d.Root, fault, func(d *harness.Daemon) error {
				m := *st.image
				m.unpacker = unpackerOf(d)
				return applyStep.call(&m)
			})
			equal(t, "how the daemon ended", died, diedInCall)
			st.again(t, "")
			dir, err := st.s.Source(stepKey("step"))
			must(t, err)
			_, err = st.apply(ociLayer, smallLayer("other"), stepKey("step"))
			must(t, err)
			st.done(t, "step", stepKey("step"), dir)
			st.unpack(t, "next", "step")
			st.unpack(t, "one more", "next")
			st.unchanged(t)
			st.gone(t)
		})
	}
}
