// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"math/rand"
	"sort"
	"testing"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/layer"
)

// layerWorker is a worker that unpacks layers, too, and knows each tree to the last time.
type layerWorker struct {
	*worker
	base    []*layer.Entry        // what layers without parent have, too
	trees   map[string]layer.Tree // of those of which all is known
	applied map[string]int        // layers that were acknowledged
	asked   map[string]bool       // an Apply was sent and has not ended well: any part of it may be there
}

const (
	unpackLabel    = "containerd.io/snapshot.ref"
	layerDepth     = 7
	oddsOfUnpacker = 6 // of 10
	linkedBelow    = 2 // in place of 1: whether a layer can tell of that is its own affair
)

func newLayerWorker(name string, random *rand.Rand, base []*layer.Entry) *layerWorker {
	return &layerWorker{worker: &worker{name: name, random: rand.New(rand.NewSource(random.Int63())), known: state{}}, base: base,
		trees: map[string]layer.Tree{}, applied: map[string]int{}, asked: map[string]bool{}}
}

func isUnpacker(entry snap) bool { return entry.labels[unpackLabel] != "" }

// layered is how many of its snapshots must have a layer, and how many may.
func (w *layerWorker) layered() (must, may int) {
	for key, entry := range w.known {
		switch {
		case entry.parent == "" || !isUnpacker(entry):
		case w.asked[key], w.applied[key] == linkedBelow:
			may++
		case w.applied[key] == 1:
			must++
			may++
		}
	}
	return must, may
}

func (w *layerWorker) step(u *unpacker) error {
	key := w.key()
	entry, exists := w.known[key]
	choice := w.random.Intn(10)
	switch {
	case !exists:
		return w.begin(u, key, choice)
	case entry.kind == snapshotsapi.KindActive && !w.asked[key]:
		switch {
		case isUnpacker(entry) && w.applied[key] == 0 && choice < 8:
			return w.apply(u, key, entry)
		case choice < 8:
			return w.commit(u, key, entry)
		}
	case choice < 2 && !isUnpacker(entry):
		return w.update(u.s, key, entry)
	case entry.kind == snapshotsapi.KindCommitted && choice < 6:
		return nil // what there is grows
	}
	return w.remove(u.s, key)
}

// top is a committed snapshot to go on with, mostly one without children.
func (w *layerWorker) top() string {
	parents, names := map[string]bool{}, []string{}
	for _, entry := range w.known {
		parents[entry.parent] = true
	}
	leaves := w.random.Intn(4) > 0
	for name, entry := range w.known {
		if entry.kind == snapshotsapi.KindCommitted && w.depth(name) < layerDepth && !(leaves && parents[name]) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	sort.Strings(names)
	return names[w.random.Intn(len(names))]
}

func (w *layerWorker) begin(u *unpacker, key string, choice int) error {
	parent := w.top()
	labels := []string{"born", fmt.Sprint(w.writes)}
	make, kind := u.s.Prepare, snapshotsapi.KindActive
	switch {
	case choice < oddsOfUnpacker || parent == "":
		labels = append(labels, unpackLabel, key)
	case choice == 9:
		make, kind = u.s.View, snapshotsapi.KindView
	}
	w.trees[key] = w.trees[parent]
	delete(w.applied, key) // of an earlier one of that name
	delete(w.asked, key)
	var dir string
	err := w.try(w.known.with(key, snap{kind: kind, parent: parent, labels: harness.Labels(labels...)}), func() (err error) {
		dir, err = make(key, parent, labels...)
		return err
	})
	if err != nil || kind == snapshotsapi.KindView {
		return err
	}
	if parent != "" {
		if err := sameTree(dir, w.trees[parent]); err != nil {
			return fmt.Errorf("Prepare of %s on %s: %w", key, parent, err)
		}
	}
	if choice >= oddsOfUnpacker && parent != "" {
		w.writes++
		text := fmt.Sprintf("write %d of %s", w.writes, w.name)
		if err := (harness.Files{"shared": text, "dir/" + numbered("file", w.writes%5): text}).Write(dir); err != nil {
			return err
		}
	}
	return w.scan(key, dir)
}

func (w *layerWorker) scan(key, dir string) (err error) {
	w.trees[key], err = layer.Scan(dir)
	return err
}

// entries change, remove and link what is there.
func (w *layerWorker) entries(key string, entry snap) []*layer.Entry {
	w.writes++
	text := []byte(fmt.Sprintf("layer %d of %s", w.writes, w.name))
	file := func(path string) *layer.Entry {
		return &layer.Entry{Name: path, Type: layer.File, Mode: 0o4711, Data: text, Modified: layer.Time{Seconds: 1500000000, Nanoseconds: 5}}
	}
	own := "dir/" + numbered("layer", w.writes%7)
	entries := []*layer.Entry{file("shared"), file(own), file(own + ".d/deep/er"), {Name: own + ".link", Type: layer.HardLink, Link: own}}
	if entry.parent == "" {
		return append(append(entries, file("below")), w.base...)
	}
	for path := range w.trees[key] {
		if w.random.Intn(10) == 0 && path != "." && path != "below" && len(path) > 4 && path[:4] == "dir/" && !layer.Below(own, path) &&
			!layer.Below(path, own) && !layer.Below(path, own+".d") && path != own+".link" {
			at := len(path) - 1
			for path[at] != '/' {
				at--
			}
			entries = append(entries, &layer.Entry{Name: path[:at+1] + ".wh." + path[at+1:], Type: layer.File})
			break
		}
	}
	if w.trees[key]["below"] != nil && w.writes%5 == 0 {
		entries = append(entries, &layer.Entry{Name: own + ".below", Type: layer.HardLink, Link: "below"})
	}
	return entries
}

func (w *layerWorker) apply(u *unpacker, key string, entry snap) error {
	entries := w.entries(key, entry)
	data := (&layer.Layer{Entries: entries}).Archive(false)
	blob, err := u.put(data)
	if err != nil {
		return err
	}
	dir, err := u.s.Source(key)
	if err != nil {
		return err
	}
	request, err := u.request(ociLayer, blob, len(data), key)
	if err != nil {
		return err
	}
	w.asked[key] = true
	if _, err := u.send(request); err != nil {
		return err
	}
	w.acknowledged++
	delete(w.asked, key)
	w.applied[key]++
	if entries[len(entries)-1].Link == "below" {
		w.applied[key] = linkedBelow
	}
	return w.scan(key, dir)
}

func (w *layerWorker) commit(u *unpacker, key string, entry snap) error {
	name := w.key()
	if _, taken := w.known[name]; taken {
		return nil
	}
	labels := []string{"committed", key}
	if isUnpacker(entry) { // how we know it later; containerd gives such labels as well
		labels = append(labels, unpackLabel, key)
	}
	w.trees[name], w.applied[name] = w.trees[key], w.applied[key]
	done := snap{kind: snapshotsapi.KindCommitted, parent: entry.parent, labels: harness.Labels(labels...)}
	return w.try(w.known.without(key).with(name, done), func() error { return u.s.Commit(name, key, labels...) })
}

func (w *layerWorker) remove(s *harness.Snapshots, key string) error {
	err := w.worker.remove(s, key)
	w.forget()
	return err
}

// forget drops what is known of snapshots that are gone, once nothing is in flight.
func (w *layerWorker) forget() {
	if w.pending != nil {
		return
	}
	for key := range w.trees {
		if _, there := w.known[key]; !there {
			delete(w.trees, key)
			delete(w.applied, key)
			delete(w.asked, key)
		}
	}
}

// check looks at the files: of all snapshots that are in use, and of some of the committed ones, since whoever looks at
// those gives them trees.
func (w *layerWorker) check(t *testing.T, s *harness.Snapshots, odds float64) (looked int) {
	t.Helper()
	keys := []string{}
	for key := range w.known {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		switch {
		case w.asked[key]:
			continue
		case w.known[key].kind == snapshotsapi.KindCommitted:
			if w.random.Float64() >= odds {
				continue
			}
			if err := unchanged(s, key, w.trees[key]); err != nil {
				t.Errorf("%s, committed: %v", key, err)
			}
		default:
			dir, err := s.Source(key)
			must(t, err)
			if w.trees[key] == nil && w.known[key].parent == "" {
				continue // empty since its Prepare, of which nothing is known but that
			}
			if err := sameTree(dir, w.trees[key]); err != nil {
				t.Errorf("%s: %v", key, err)
			}
		}
		looked++
	}
	return looked
}
