// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"reflect"
	"sync"
	"testing"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"

	"clonefs/tests/gotool/harness"
)

// snap is what a test expects of one snapshot. A value: never changed, only replaced.
type snap struct {
	kind   snapshotsapi.Kind
	parent string
	labels map[string]string
	files  harness.Files // nil: not checked
}

// state is what a test expects of one snapshotter name.
type state map[string]snap

// with returns a copy in which key is s.
func (st state) with(key string, s snap) state {
	next := state{key: s}
	for k, v := range st {
		if k != key {
			next[k] = v
		}
	}
	return next
}

// without returns a copy without key.
func (st state) without(key string) state {
	next := state{}
	for k, v := range st {
		if k != key {
			next[k] = v
		}
	}
	return next
}

// read asks the daemon for the records of a snapshotter name, without files.
func read(t *testing.T, s *harness.Snapshots) state {
	t.Helper()
	st := state{}
	for name, info := range list(t, s) {
		st[name] = snap{kind: info.Kind, parent: info.Parent, labels: info.Labels}
	}
	return st
}

// differsFrom compares records (not files) and tells the first difference, "" if there is none.
func (st state) differsFrom(want state) string {
	for name := range st {
		if _, ok := want[name]; !ok {
			return fmt.Sprintf("%q is there and should not be", name)
		}
	}
	for name, w := range want {
		got, ok := st[name]
		if !ok {
			return fmt.Sprintf("%q is missing", name)
		}
		if got.kind != w.kind || got.parent != w.parent {
			return fmt.Sprintf("%q is %v on %q, not %v on %q", name, got.kind, got.parent, w.kind, w.parent)
		}
		if len(got.labels)+len(w.labels) > 0 && !reflect.DeepEqual(got.labels, w.labels) {
			return fmt.Sprintf("%q has labels %v, not %v", name, got.labels, w.labels)
		}
	}
	return ""
}

// checkStore checks the whole store of a daemon that is not in use: for each snapshotter name the records, the
// files of each snapshot, and that ROOT/trees has the trees of these snapshots and no other.
func checkStore(t *testing.T, d *harness.Daemon, want map[string]state) {
	t.Helper()
	trees := map[string]bool{}
	for name, st := range want {
		s := d.Snapshots(name)
		if difference := read(t, s).differsFrom(st); difference != "" {
			t.Fatalf("snapshotter %q: %s", name, difference)
		}
		sources, err := allSources(s, st)
		must(t, err)
		for key, source := range sources {
			tree, err := d.TreeOf(source)
			must(t, err)
			trees[tree] = true
			if files := st[key].files; files == nil {
				_, err = harness.ReadFiles(source)
			} else {
				err = harness.SameFiles(source, files)
			}
			if err != nil {
				t.Fatalf("snapshot %q: %v", key, err)
			}
		}
	}
	names := []string{}
	for tree := range trees {
		names = append(names, tree)
	}
	d.AwaitTrees(t, names)
}

// allSources finds the directory of every snapshot; that of a committed one by a short-lived view.
func allSources(s *harness.Snapshots, st state) (map[string]string, error) {
	var (
		mu      sync.Mutex
		sources = map[string]string{}
		failure error
		group   sync.WaitGroup
		slots   = make(chan bool, 8)
	)
	for key, entry := range st {
		group.Add(1)
		slots <- true
		go func(key string, committed bool) {
			defer func() { <-slots; group.Done() }()
			source, err := sourceOf(s, key, committed)
			mu.Lock()
			defer mu.Unlock()
			sources[key] = source
			if err != nil {
				failure = err
			}
		}(key, entry.kind == snapshotsapi.KindCommitted)
	}
	group.Wait()
	return sources, failure
}

func sourceOf(s *harness.Snapshots, key string, committed bool) (string, error) {
	if !committed {
		return s.Source(key)
	}
	view := "check of " + key
	source, err := s.View(view, key)
	if err == nil {
		err = s.Remove(view)
	}
	return source, err
}
