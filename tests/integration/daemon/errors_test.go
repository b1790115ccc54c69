// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"testing"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"google.golang.org/grpc/codes"

	"clonefs/tests/gotool/harness"
)

// remedy is what the text of every AlreadyExists names: keys come again when containerd's root was wiped.
const remedy = "--forget-snapshotter"

func prepare(key, parent string) func(*harness.Snapshots) error {
	return func(s *harness.Snapshots) error { _, err := s.Prepare(key, parent); return err }
}

func view(key, parent string) func(*harness.Snapshots) error {
	return func(s *harness.Snapshots) error { _, err := s.View(key, parent); return err }
}

func commit(name, key string) func(*harness.Snapshots) error {
	return func(s *harness.Snapshots) error { return s.Commit(name, key) }
}

func remove(key string) func(*harness.Snapshots) error {
	return func(s *harness.Snapshots) error { return s.Remove(key) }
}

func mounts(key string) func(*harness.Snapshots) error {
	return func(s *harness.Snapshots) error { _, err := s.Mounts(key); return err }
}

func stat(key string) func(*harness.Snapshots) error {
	return func(s *harness.Snapshots) error { _, err := s.Stat(key); return err }
}

func usage(key string) func(*harness.Snapshots) error {
	return func(s *harness.Snapshots) error { _, _, err := s.Usage(key); return err }
}

func update(key string, mask ...string) func(*harness.Snapshots) error {
	return func(s *harness.Snapshots) error {
		_, err := s.Update(snapshotsapi.Info{Name: key, Labels: harness.Labels("a", "b")}, mask...)
		return err
	}
}

// Each of these calls meets the population of four snapshots and changes nothing.
var refusals = []struct {
	promise string
	call    func(*harness.Snapshots) error
	class   codes.Code
	words   []string
}{
	{"Prepare on a missing parent", prepare("new", "nothing"), codes.NotFound, []string{"nothing"}},
	{"Prepare on an active parent", prepare("new", "work"), codes.InvalidArgument, nil},
	{"Prepare on a view", prepare("new", "look"), codes.InvalidArgument, nil},
	{"Prepare with the key of an active snapshot", prepare("work", "base"), codes.AlreadyExists, []string{remedy}},
	{"Prepare with the key of a view", prepare("look", ""), codes.AlreadyExists, []string{remedy}},
	{"Prepare with a committed name", prepare("top", "base"), codes.AlreadyExists, []string{remedy}},
	{"Prepare looks at the parent before the key", prepare("work", "nothing"), codes.NotFound, nil},
	{"Prepare without a key", prepare("", "base"), codes.InvalidArgument, nil},

	{"View of a missing parent", view("new", "nothing"), codes.NotFound, []string{"nothing"}},
	{"View of an active parent", view("new", "work"), codes.InvalidArgument, nil},
	{"View of a view", view("new", "look"), codes.InvalidArgument, nil},
	{"View with the key of a view", view("look", "base"), codes.AlreadyExists, []string{remedy}},
	{"View with a committed name", view("top", ""), codes.AlreadyExists, []string{remedy}},
	{"View without a key", view("", "base"), codes.InvalidArgument, nil},

	{"Mounts of nothing", mounts("nothing"), codes.NotFound, nil},
	{"Mounts of a committed snapshot", mounts("base"), codes.FailedPrecondition, nil},
	{"Mounts without a key", mounts(""), codes.InvalidArgument, nil},

	{"Commit to a committed name", commit("top", "work"), codes.AlreadyExists, []string{remedy}},
	{"Commit to the key of a view", commit("look", "work"), codes.AlreadyExists, []string{remedy}},
	{"Commit to its own key", commit("work", "work"), codes.AlreadyExists, nil},
	{"Commit looks at the name before the key", commit("top", "nothing"), codes.AlreadyExists, nil},
	{"Commit of nothing", commit("new", "nothing"), codes.NotFound, nil},
	{"Commit of a view", commit("new", "look"), codes.FailedPrecondition, nil},
	{"Commit of a committed snapshot", commit("new", "top"), codes.FailedPrecondition, nil},
	{"Commit without a name", commit("", "work"), codes.InvalidArgument, nil},
	{"Commit without a key", commit("new", ""), codes.InvalidArgument, nil},

	{"Remove of nothing", remove("nothing"), codes.NotFound, nil},
	{"Remove of a snapshot with children", remove("base"), codes.FailedPrecondition, []string{"remove"}},
	{"Remove without a key", remove(""), codes.InvalidArgument, nil},

	{"Stat of nothing", stat("nothing"), codes.NotFound, nil},
	{"Stat without a key", stat(""), codes.InvalidArgument, nil},
	{"Usage of nothing", usage("nothing"), codes.NotFound, nil},
	{"Usage without a key", usage(""), codes.InvalidArgument, nil},

	{"Update of nothing", update("nothing"), codes.NotFound, nil},
	{"Update without a name", update(""), codes.InvalidArgument, nil},
	{"Update of the parent", update("work", "parent"), codes.InvalidArgument, nil},
	{"Update of the kind", update("work", "kind"), codes.InvalidArgument, nil},
	{"Update of an unknown path", update("work", "colour"), codes.InvalidArgument, nil},
	{"Update of something that only begins like labels", update("work", "labelsfoo"), codes.InvalidArgument, nil},
	{"Update of one good and one bad path", update("work", "labels.a", "parent"), codes.InvalidArgument, nil},
}

func TestRefusedCallsHaveTheRightClassAndChangeNothing(t *testing.T) {
	d, s := start(t)
	population(t, s)
	before := list(t, s)
	for _, r := range refusals {
		t.Run(r.promise, func(t *testing.T) {
			fails(t, r.call(s), r.class, r.words...)
			after := list(t, s)
			equal(t, "number of snapshots", len(after), len(before))
			for name, info := range before {
				if !same(info, after[name]) {
					t.Errorf("%q was %v, is %v", name, info, after[name])
				}
			}
		})
	}
	checkStore(t, d, map[string]state{"clonefs": read(t, s)})
}

func TestRemoveNamesItselfForEveryKindOfChild(t *testing.T) {
	_, s := start(t)
	must(t, s.Layer("base", "", nil))
	for _, child := range []func() error{
		func() error { _, err := s.Prepare("child", "base"); return err },
		func() error { _, err := s.View("child", "base"); return err },
		func() error { return s.Layer("child", "base", nil) },
	} {
		must(t, child())
		fails(t, s.Remove("base"), codes.FailedPrecondition, "remove")
		must(t, s.Remove("child"))
	}
	must(t, s.Remove("base"))
}
