// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/layer"
)

// image is a chain of snapshots as an unpacker makes them, and what was in each at its Commit.
type image struct {
	*unpacker
	tops   map[string]layer.Tree
	trees  map[string]string // by the mount's source
	filled map[string]bool   // those that a layer made
	order  []string
}

// startImages starts a daemon with settings of [snapshots].
func startImages(t *testing.T, root, settings string) *image {
	t.Helper()
	return imageOn(startDiff(t, root, "[snapshots]\n"+settings+"\n"))
}

func imageOn(u *unpacker) *image {
	return &image{unpacker: u, tops: map[string]layer.Tree{}, trees: map[string]string{}, filled: map[string]bool{}}
}

// again goes on with a daemon that has other settings.
func (m *image) again(t *testing.T, settings string) {
	t.Helper()
	if m.d.Alive() {
		harness.StopClean(t, m.d)
	}
	m.unpacker = startDiff(t, m.d.Root, "[snapshots]\n"+settings+"\n")
}

// stepKey is the key of the step that makes a snapshot.
func stepKey(name string) string { return "default/1/extract-1-x " + name }

// entriesOf are what the layer of a snapshot has: files of its own, two names of one, a changed and a removed file, and a
// file in the place of a folder.
func (m *image) entriesOf(name, parent string) []*layer.Entry {
	file := func(path, data string, mode int64) *layer.Entry {
		return &layer.Entry{Name: path, Type: layer.File, Mode: mode, Data: []byte(data), Modified: layer.Time{Seconds: 1500000000}}
	}
	entries := []*layer.Entry{
		file("shared", "shared, of "+name, 0o644),
		file("of/"+name+"/file", "file of "+name, 0o4755),
		file("of/"+name+"/gone", "of "+name+", and not above", 0o600),
		file("of/"+name+"/kept", "kept from "+name, 0o640),
		{Name: "of/" + name + "/link", Type: layer.HardLink, Link: "of/" + name + "/kept", Mode: 0o640},
		file("opaque/"+name, "alone", 0o644),
		{Name: "of/" + name + "/null", Type: layer.CharDevice, Mode: 0o666, Major: 1, Minor: 3},
		{Name: "of/" + name + "/here", Type: layer.Symlink, Link: "file", Mode: 0o777},
	}
	if parent == "" {
		return append(entries, file("replaced/file", "a folder's", 0o644), file("untouched/deep/below/file", "as in the base", 0o644))
	}
	if m.filled[parent] {
		entries = append(entries, &layer.Entry{Name: "of/" + parent + "/.wh.gone", Type: layer.File})
	}
	return append(entries,
		&layer.Entry{Name: "opaque/.wh..wh..opq", Type: layer.File},
		file("replaced", "a file of "+name, 0o644))
}

// step prepares what is to become a snapshot, and answers where it is. It has what its parent has.
func (m *image) step(t *testing.T, name, parent string) string {
	t.Helper()
	dir, err := m.s.Prepare(stepKey(name), parent)
	must(t, err)
	if want, there := m.tops[parent]; there {
		must(t, sameTree(dir, want))
	}
	return dir
}

// fill applies the layer of a step.
func (m *image) fill(t *testing.T, name, parent string) {
	t.Helper()
	m.fillKey(t, stepKey(name), name, parent)
}

// fillKey applies the layer of a snapshot to an active one of any key.
func (m *image) fillKey(t *testing.T, key, name, parent string) {
	t.Helper()
	stream := (&layer.Layer{Entries: m.entriesOf(name, parent)}).Archive(false)
	m.applied(t, ociLayer+"+gzip", layer.Packing{Kind: layer.Gzip}.Pack(stream), stream, key)
	m.filled[name] = true
}

// done commits a step.
func (m *image) done(t *testing.T, name, key, dir string) {
	t.Helper()
	tree, err := layer.Scan(dir)
	must(t, err)
	must(t, m.s.Commit(name, key))
	m.tops[name], m.trees[name] = tree, treeOf(t, m.d, dir)
	m.order = append(m.order, name)
}

// unpack makes a snapshot by a layer.
func (m *image) unpack(t *testing.T, name, parent string) {
	t.Helper()
	dir := m.step(t, name, parent)
	m.fill(t, name, parent)
	m.done(t, name, stepKey(name), dir)
}

// chain makes snapshots one on top of the other.
func (m *image) chain(t *testing.T, names ...string) {
	t.Helper()
	parent := ""
	for _, name := range names {
		m.unpack(t, name, parent)
		parent = name
	}
}

// unchanged looks at all snapshots, the last one first, or at some.
func (m *image) unchanged(t *testing.T, names ...string) {
	t.Helper()
	if len(names) == 0 {
		for i := len(m.order) - 1; i >= 0; i-- {
			names = append(names, m.order[i])
		}
	}
	for _, name := range names {
		if err := unchanged(m.s, name, m.tops[name]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// gone removes all that was committed, the last one first, and sees that nothing is left.
func (m *image) gone(t *testing.T, keys ...string) {
	t.Helper()
	m.removed(t, keys...)
	for i := len(m.order) - 1; i >= 0; i-- {
		m.removed(t, m.order[i])
	}
	m.order = nil
	awaitNothing(t, m.d)
}

// container starts one, which must have what its image has.
func (m *image) container(t *testing.T, key, name string) string {
	t.Helper()
	dir, err := m.s.Prepare(key, name)
	must(t, err)
	if err := sameTree(dir, m.tops[name]); err != nil {
		t.Errorf("a container of %s: %v", name, err)
	}
	return dir
}

// What the tests of layers rely on: each of these is a change of a committed snapshot.
func TestWhatIsPlantedIntoACommittedSnapshotIsFound(t *testing.T) {
	harness.NeedRoot(t)
	m := startImages(t, "", "")
	m.chain(t, "base", "middle", "top")
	m.unchanged(t)
	for what, change := range map[string]func(dir string) error{
		"content":          func(dir string) error { return rewritten(dir+"/of/base/file", "FILE") },
		"mode":             func(dir string) error { return os.Chmod(dir+"/of/middle", 0o700) },
		"links":            func(dir string) error { return separated(dir + "/of/base/link") },
		"xattrs":           func(dir string) error { return setXattr(dir+"/shared", "user.a", "b") },
		"should not be":    func(dir string) error { return os.Mkdir(dir+"/of/new", 0o755) },
		"is missing":       func(dir string) error { return os.Remove(dir + "/of/base/here") },
		"the root's mtime": func(dir string) error { return harness.Files{"new": ""}.Write(dir) },
		`"of/base": mtime`: func(dir string) error { return os.WriteFile(dir+"/of/base/f", nil, 0o644) },
		"device":           func(dir string) error { return otherDevice(dir + "/of/top/null") },
		`"opaque/top": mtime`: func(dir string) error {
			return os.Chtimes(dir+"/opaque/top", m.tops["top"]["."].Modified, m.tops["top"]["."].Modified)
		},
	} {
		t.Run(what, func(t *testing.T) {
			name := m.fresh("copy")
			dir := m.container(t, "to be "+name, "top")
			m.done(t, name, "to be "+name, dir)
			must(t, unchanged(m.s, name, m.tops[name]))
			look, err := m.s.View("look", name)
			must(t, err)
			must(t, change(look))
			must(t, m.s.Remove("look"))
			if err := unchanged(m.s, name, m.tops[name]); err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("found is %v", err)
			}
		})
	}
	m.gone(t)
	must(t, os.MkdirAll(filepath.Join(layerPath(m.d), "999999/fs"), 0o700))
	equal(t, "layers", fmt.Sprint(layersOf(t, m.d)), "[999999]")
	must(t, os.RemoveAll(filepath.Join(layerPath(m.d), "999999")))
}
