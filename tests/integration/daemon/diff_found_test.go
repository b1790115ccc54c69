// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"os"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/layer"
)

// Layers that were once applied otherwise than by containerd, as small as they could be made; found by
// TestDiffAppliedLayersAreWhatContainerdMakesOfThem.
func TestDiffLayersThatOnceDiffered(t *testing.T) {
	harness.NeedRoot(t)
	u := startDiff(t, "", withoutFlush)
	twin := &twins{u: u, dir: t.TempDir(), name: "found"}
	second := layer.Time{Seconds: 1500000000}
	far := layer.Time{Seconds: 1 << 34}
	capable := []layer.Xattr{{Name: "security.capability", Value: layer.Capabilities}}
	for what, entries := range map[string][]*layer.Entry{
		"an atime that does not fit": {{Name: "f", Type: layer.File, Mode: 0o644, Modified: second, Accessed: &far}},
		"a parent made in a folder of another group": {
			{Name: "a/", Type: layer.Dir, Mode: 0o2755, GID: 250, Modified: second},
			{Name: "a/b/c/.wh.d", Type: layer.File, Modified: second}},
		"a link to a file with capabilities, by its owner": {
			{Name: "a", Type: layer.File, Mode: 0o755, Modified: second, Xattrs: capable},
			{Name: "b", Type: layer.HardLink, Mode: 0o755, Modified: second, Link: "a"}},
		"a link that brings capabilities": {
			{Name: "a", Type: layer.File, Mode: 0o755, Modified: second},
			{Name: "b", Type: layer.HardLink, Mode: 0o755, Modified: second, Link: "a", Xattrs: capable}},
		"nothing but an end":           {},
		"an old file that is a folder": {{Name: "d/", Type: layer.OldFile, Form: layer.V7, Mode: 0o755, Modified: second}},
		"a file with a slash":          {{Name: "f/", Type: layer.File, Mode: 0o644, Modified: second}},
		"xattrs of libarchive": {{Name: "f", Type: layer.File, Mode: 0o644, Modified: second, Xattrs: []layer.Xattr{{Name: "user.a", Value: "1"}},
			Libarchive: []layer.Xattr{{Name: "user.a", Value: "2"}, {Name: "user.b", Value: "3"}}}},
		"a sparse file that is one hole": {{Name: "f", Type: layer.File, Mode: 0o644, Modified: second, Data: make([]byte, 70000), Sparse: layer.Sparse00}},
	} {
		t.Run(what, func(t *testing.T) {
			for _, problem := range twin.run([]*layer.Layer{{Entries: entries, Media: ociLayer}}) {
				t.Error(problem)
			}
			equal(t, "layers refused", twin.refused, 0)
		})
	}
	u.nothingLeft(t)
}

// Where we differ from containerd on purpose.
func TestDiffWhereWeAreNotLikeContainerd(t *testing.T) {
	needClonefs(t)
	harness.NeedRoot(t)
	u := startDiff(t, "", withoutFlush)
	refused := func(entries ...*layer.Entry) bool {
		_, _, err := layer.Apply(t.TempDir(), bytes.NewReader((&layer.Layer{Entries: entries}).Archive(false)), true)
		return err != nil
	}
	first, second := layer.Time{Seconds: 1400000000}, layer.Time{Seconds: 1500000000}

	// The times of a folder are the folder's own. containerd sets them at the end by name, whoever has it then.
	replaced := []*layer.Entry{{Name: "d/", Type: layer.Dir, Mode: 0o755, Modified: first},
		{Name: "d", Type: layer.File, Mode: 0o644, Modified: second}}
	key, dir := u.prepared(t, "")
	stream := (&layer.Layer{Entries: replaced}).Archive(false)
	u.applied(t, ociLayer, stream, stream, key)
	info, err := os.Stat(dir + "/d")
	must(t, err)
	equal(t, "mtime of a file in place of a folder", info.ModTime().Unix(), second.Seconds)
	u.removed(t, key)

	// So it is no error if there is nobody any more.
	gone := []*layer.Entry{{Name: "d/", Type: layer.Dir, Mode: 0o755, Modified: first}, {Name: ".wh.d", Type: layer.File}}
	equal(t, "containerd refuses a folder that goes again", refused(gone...), true)
	key, dir = u.prepared(t, "")
	stream = (&layer.Layer{Entries: gone}).Archive(false)
	u.applied(t, ociLayer, stream, stream, key)
	must(t, harness.SameFiles(dir, harness.Files{}))
	u.removed(t, key)

	// A hard link in place of a symlink on the way to its own target.
	circular := []*layer.Entry{{Name: "d", Type: layer.Symlink, Link: "e", Mode: 0o777}, {Name: "e/a", Type: layer.File, Mode: 0o644},
		{Name: "d", Type: layer.HardLink, Link: "d/a", Mode: 0o644}}
	equal(t, "containerd refuses that link", refused(circular...), true)
	key, dir = u.prepared(t, "")
	stream = (&layer.Layer{Entries: circular}).Archive(false)
	u.applied(t, ociLayer, stream, stream, key)
	var st unix.Stat_t
	must(t, unix.Lstat(dir+"/d", &st))
	equal(t, "links", uint64(st.Nlink), 2)
	u.removed(t, key)

	// Records must make sense, and there is no owner -1: for chown it means that nothing changes.
	for what, entry := range map[string]*layer.Entry{
		"owner -1":                            {Name: "f", Type: layer.File, Records: []string{"uid=-1"}},
		"a record that a later one overrides": {Name: "f", Type: layer.File, Records: []string{"mtime=x", "mtime=1"}},
		"a whiteout of an unknown type":       {Name: ".wh.f", Type: 'A'},
	} {
		if refused(entry) {
			t.Errorf("%s: containerd refuses it as well", what)
		}
		u.refuses(t, ociLayer, (&layer.Layer{Entries: []*layer.Entry{entry}}).Archive(false), codes.InvalidArgument)
	}
	u.nothingLeft(t)
}
