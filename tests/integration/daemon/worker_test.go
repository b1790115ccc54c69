// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"math/rand"
	"sort"
	"testing"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
)

// worker makes random calls on snapshots of its own and knows what was acknowledged. Its few keys are
// used again and again.
type worker struct {
	name         string
	random       *rand.Rand
	many         harness.Files // that snapshots without parent have, too
	known        state         // after all that was acknowledged
	pending      state         // the same if the call in flight was done too; nil: none is
	writes       int
	acknowledged int
}

const (
	keysOfAWorker = 8
	maxDepth      = 4
)

func newWorkers(random *rand.Rand) []*worker {
	var workers []*worker
	for i := 0; i < killWorkers; i++ {
		workers = append(workers, &worker{name: numbered("w", i), known: state{},
			random: rand.New(rand.NewSource(random.Int63()))})
	}
	return workers
}

// settle compares with what a new daemon lists: all that is known, and the call in flight done or not.
func (w *worker) settle(t *testing.T, listed state) {
	t.Helper()
	difference := listed.differsFrom(w.known)
	if difference == "" {
		w.pending = nil
		return
	}
	if w.pending == nil {
		t.Errorf("%s, nothing in flight: %s", w.name, difference)
		return
	}
	if other := listed.differsFrom(w.pending); other != "" {
		t.Errorf("%s: the call in flight is neither not done (%s) nor done (%s)", w.name, difference, other)
		return
	}
	w.known, w.pending = w.pending, nil
}

// work makes calls until one fails, which only the kill may cause.
func (w *worker) work(t *testing.T, step func() error, killed <-chan bool) {
	for {
		err := step()
		if err == nil {
			continue
		}
		select {
		case <-killed:
		default:
			t.Errorf("%s: %v", w.name, err)
		}
		return
	}
}

// try makes one call that must be acknowledged, or be in flight when the daemon dies.
func (w *worker) try(after state, call func() error) error {
	w.pending = after
	if err := call(); err != nil {
		return err
	}
	w.known, w.pending = after, nil
	w.acknowledged++
	return nil
}

func (w *worker) key() string { return fmt.Sprintf("%s key %d", w.name, w.random.Intn(keysOfAWorker)) }

func (w *worker) step(s *harness.Snapshots) error {
	key := w.key()
	entry, exists := w.known[key]
	choice := w.random.Intn(10)
	switch {
	case !exists:
		return w.create(s, key, choice < 3)
	case choice < 2:
		return w.update(s, key, entry)
	case entry.kind == snapshotsapi.KindActive && choice < 8:
		return w.commit(s, key, entry)
	default:
		return w.remove(s, key)
	}
}

func (w *worker) create(s *harness.Snapshots, key string, view bool) error {
	parent, files := w.parent()
	labels := []string{"born", fmt.Sprint(w.writes)}
	entry := snap{kind: snapshotsapi.KindActive, parent: parent, files: files, labels: harness.Labels(labels...)}
	make := s.Prepare
	if view {
		entry.kind, make = snapshotsapi.KindView, s.View
	}
	var dir string
	err := w.try(w.known.with(key, entry), func() (err error) {
		dir, err = make(key, parent, labels...)
		return err
	})
	if err != nil || view {
		return err
	}
	return w.write(dir, key)
}

// write changes the files of an active snapshot, among them one that its ancestors have too.
func (w *worker) write(dir, key string) error {
	w.writes++
	text := fmt.Sprintf("%s, write %d of %s", key, w.writes, w.name)
	files := harness.Files{"shared": text, "dir/" + numbered("file", w.writes%5): text}
	if err := files.Write(dir); err != nil {
		return err
	}
	entry := w.known[key]
	if entry.parent == "" {
		if err := w.many.Write(dir); err != nil {
			return err
		}
		files = files.With(w.many)
	}
	entry.files = entry.files.With(files)
	w.known = w.known.with(key, entry)
	return nil
}

func (w *worker) commit(s *harness.Snapshots, key string, entry snap) error {
	name := w.key()
	if _, taken := w.known[name]; taken {
		return nil
	}
	done := snap{kind: snapshotsapi.KindCommitted, parent: entry.parent, files: entry.files,
		labels: harness.Labels("committed", key)}
	return w.try(w.known.without(key).with(name, done), func() error { return s.Commit(name, key, "committed", key) })
}

func (w *worker) update(s *harness.Snapshots, key string, entry snap) error {
	w.writes++
	label := fmt.Sprint(w.writes)
	entry.labels = harness.Labels("updated", label)
	return w.try(w.known.with(key, entry), func() error { return s.SetLabels(key, "updated", label) })
}

func (w *worker) remove(s *harness.Snapshots, key string) error {
	for _, entry := range w.known {
		if entry.parent == key {
			err := s.Remove(key)
			if status.Code(err) == codes.FailedPrecondition {
				return nil
			}
			return fmt.Errorf("remove of a parent: %w", err)
		}
	}
	return w.try(w.known.without(key), func() error { return s.Remove(key) })
}

// parent chooses a committed snapshot of ours, or none.
func (w *worker) parent() (string, harness.Files) {
	names := []string{""}
	for name, entry := range w.known {
		if entry.kind == snapshotsapi.KindCommitted && w.depth(name) < maxDepth {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	name := names[w.random.Intn(len(names))]
	if name == "" {
		return "", harness.Files{}
	}
	return name, w.known[name].files
}

func (w *worker) depth(name string) int {
	depth := 0
	for ; name != ""; name = w.known[name].parent {
		depth++
	}
	return depth
}
