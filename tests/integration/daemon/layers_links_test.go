// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"testing"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/layer"
)

// Layers over a base with the file "a/f", whose second name is "b/f", and the file "c/f". An entry that is a hard link gives its
// attributes to its target, wherever that is, and whatever becomes of the link.
var linkLayers = []struct {
	name    string
	entries []*layer.Entry
}{
	{"a link", []*layer.Entry{linkTo("new", "c/f")}},
	{"a link in the place of a file", []*layer.Entry{linkTo("c/g", "c/f")}},
	{"a link, then a file in its place", []*layer.Entry{linkTo("new", "c/f"), fileOf("new")}},
	{"a link, then a folder in its place", []*layer.Entry{linkTo("new", "c/f"), {Name: "new/", Type: layer.Dir, Mode: 0o755}}},
	{"a link, then another in its place", []*layer.Entry{linkTo("new", "c/f"), linkTo("new", "c/g")}},
	{"a link to one of two names", []*layer.Entry{linkTo("new", "a/f")}},
	{"a link to one of two names, then a file in its place", []*layer.Entry{linkTo("new", "a/f"), fileOf("new")}},
	{"a link to one of two names, and both are replaced", []*layer.Entry{linkTo("new", "a/f"), fileOf("new"), fileOf("a/f")}},
	{"a link to one of two names, whose folder goes", []*layer.Entry{linkTo("a/new", "a/f"), fileOf("a")}},
	{"a link to the other name", []*layer.Entry{linkTo("a/f", "b/f")}},
	{"a link, and its target is replaced", []*layer.Entry{linkTo("new", "c/f"), fileOf("c/f")}},
	{"one name is removed", []*layer.Entry{{Name: "a/.wh.f", Type: layer.File}}},
	{"one name is replaced", []*layer.Entry{fileOf("a/f")}},
	{"both names are replaced", []*layer.Entry{fileOf("a/f"), fileOf("b/f")}},
	{"both names are removed, and made anew", []*layer.Entry{{Name: "a/.wh.f", Type: layer.File}, {Name: "b/.wh.f", Type: layer.File},
		fileOf("a/f"), linkTo("b/f", "a/f")}},
	{"one name is removed, and linked again", []*layer.Entry{{Name: "a/.wh.f", Type: layer.File}, linkTo("a/f", "b/f")}},
	{"the folder of one name is opaque", []*layer.Entry{{Name: "a/.wh..wh..opq", Type: layer.File}, fileOf("a/g")}},
	{"the folder of one name is a file", []*layer.Entry{fileOf("a")}},
	{"a link through a link", []*layer.Entry{{Name: "way", Type: layer.Symlink, Link: "c", Mode: 0o777}, linkTo("new", "way/f"), fileOf("new")}},
}

func linkTo(name, target string) *layer.Entry {
	return &layer.Entry{Name: name, Type: layer.HardLink, Link: target, Mode: 0o4711, UID: 7, Modified: layer.Time{Seconds: 1400000000},
		Xattrs: []layer.Xattr{{Name: "user.link", Value: name}}}
}

func fileOf(name string) *layer.Entry {
	return &layer.Entry{Name: name, Type: layer.File, Mode: 0o644, Data: []byte("file " + name), Modified: layer.Time{Seconds: 1500000000}}
}

func TestLayersWithLinksMakeTheSameTreeAgain(t *testing.T) {
	harness.NeedRoot(t)
	m := startImages(t, "", `pool = "off"`)
	m.unpackOf(t, "base", "", []*layer.Entry{fileOf("a/f"), linkTo("b/f", "a/f"), fileOf("c/f"), fileOf("c/g")})
	for _, c := range linkLayers {
		t.Run(c.name, func(t *testing.T) {
			m.unpackOf(t, c.name, "base", c.entries)
			m.unpackOf(t, "above "+c.name, c.name, []*layer.Entry{fileOf("above"), fileOf("b/above"), fileOf("c/above")})
			t.Logf("the tree is taken over: %v", m.trees[c.name] == m.trees["above "+c.name])
			m.unpackOf(t, "beside "+c.name, c.name, []*layer.Entry{fileOf("c/beside"), linkTo("d/beside", "c/beside")})
			m.unchanged(t, c.name, "above "+c.name, "beside "+c.name, "base")
		})
	}
	m.gone(t)
}

// unpackOf makes a snapshot by a layer of these entries.
func (m *image) unpackOf(t *testing.T, name, parent string, entries []*layer.Entry) {
	t.Helper()
	dir := m.step(t, name, parent)
	stream := (&layer.Layer{Entries: entries}).Archive(false)
	m.applied(t, ociLayer, stream, stream, stepKey(name))
	m.done(t, name, stepKey(name), dir)
}
