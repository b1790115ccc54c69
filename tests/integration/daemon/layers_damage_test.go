// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc/codes"

	"clonefs/tests/gotool/harness"
)

// What somebody may do to a layer's folder while no daemon runs.
var layerDamages = []struct {
	name   string
	damage func(folder string) error
}{
	{"the folder is gone", os.RemoveAll},
	{"the manifest is gone", func(folder string) error { return os.Remove(filepath.Join(folder, "manifest")) }},
	{"the manifest is empty", func(folder string) error { return os.Truncate(filepath.Join(folder, "manifest"), 0) }},
	{"the manifest is cut off", func(folder string) error {
		info, err := os.Stat(filepath.Join(folder, "manifest"))
		if err != nil {
			return err
		}
		return os.Truncate(filepath.Join(folder, "manifest"), info.Size()*2/3)
	}},
	{"the manifest lacks its last byte", func(folder string) error {
		info, err := os.Stat(filepath.Join(folder, "manifest"))
		if err != nil {
			return err
		}
		return os.Truncate(filepath.Join(folder, "manifest"), info.Size()-1)
	}},
	{"the manifest is altered", func(folder string) error {
		data, err := os.ReadFile(filepath.Join(folder, "manifest"))
		if err != nil {
			return err
		}
		data[len(data)/2] ^= 0x20
		return os.WriteFile(filepath.Join(folder, "manifest"), data, 0o600)
	}},
	{"the manifest is something else", func(folder string) error {
		return os.WriteFile(filepath.Join(folder, "manifest"), bytes.Repeat([]byte("../"), 1000), 0o600)
	}},
	{"the manifest is a folder", func(folder string) error {
		manifest := filepath.Join(folder, "manifest")
		if err := os.Remove(manifest); err != nil {
			return err
		}
		return os.Mkdir(manifest, 0o700)
	}},
	{"the files are gone", func(folder string) error { return os.RemoveAll(filepath.Join(folder, "fs")) }},
	{"its files are gone, one by one", func(folder string) error {
		files, err := filepath.Glob(filepath.Join(folder, "fs/*/*"))
		if err == nil && len(files) == 0 {
			err = os.ErrNotExist
		}
		for _, file := range files {
			if err == nil {
				err = os.RemoveAll(file)
			}
		}
		return err
	}},
	{"the attributes of its folders are gone", func(folder string) error { return os.Remove(filepath.Join(folder, "folders")) }},
	{"the attributes of its folders have more behind them", func(folder string) error {
		others, err := filepath.Glob(filepath.Join(folder, "../*/folders"))
		if err != nil {
			return err
		}
		data := []byte{}
		for _, other := range others {
			more, err := os.ReadFile(other)
			if err != nil {
				return err
			}
			data = append(data, more...)
		}
		return os.WriteFile(filepath.Join(folder, "folders"), data, 0o600)
	}},
}

// What has a tree is not lost with its layer; what has none is refused, and all others go on.
func TestALayerThatIsDamaged(t *testing.T) {
	harness.NeedRoot(t)
	for _, c := range layerDamages {
		c := c
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := startImages(t, "", "")
			m.chain(t, "base", "below", "damaged", "above", "top")
			m.unpack(t, "sister", "base")
			folder := layerWith(t, m.d, "of/damaged/file")
			harness.StopClean(t, m.d)
			must(t, c.damage(folder))
			m.again(t, "")
			refusesDamaged(t, m, "damaged")
			refusesDamaged(t, m, "above") // which needs it
			m.unchanged(t, "base", "top", "sister", "below")
			m.container(t, "container", "top")
			m.unpack(t, "next", "top")
			m.again(t, "")
			refusesDamaged(t, m, "damaged")
			m.unchanged(t, "next", "top", "sister", "below", "base")
			m.gone(t, "container")
		})
	}
}

// refusesDamaged asks for a snapshot in every way that there is.
func refusesDamaged(t *testing.T, m *image, name string) {
	t.Helper()
	for what, call := range map[string]func(key, parent string, labels ...string) (string, error){"Prepare": m.s.Prepare, "View": m.s.View} {
		for _, key := range []string{"new", stepKey("new")} {
			dir, err := call(key, name)
			if err == nil {
				t.Errorf("%s of %s, which cannot be made any more, has %.300s", what, name, names(t, dir))
				m.removed(t, key)
				continue
			}
			fails(t, err, codes.FailedPrecondition, name)
			_, err = m.s.Stat(key)
			fails(t, err, codes.NotFound)
		}
	}
	_, err := m.s.Stat(name)
	must(t, err)
	_, _, err = m.s.Usage(name)
	must(t, err)
}

// The tree is the truth then, as for what has no layer.
func TestALayerThatIsGoneWhileItsTreeIsThere(t *testing.T) {
	harness.NeedRoot(t)
	m := startImages(t, "", `pool = "off"`)
	m.chain(t, "base", "middle", "damaged")
	folder := layerWith(t, m.d, "of/damaged/file")
	harness.StopClean(t, m.d)
	must(t, os.RemoveAll(folder))
	m.again(t, `pool = "off"`)
	dir := m.step(t, "child", "damaged")
	if treeOf(t, m.d, dir) == m.trees["damaged"] {
		t.Error("a tree that nothing else can replace was taken over")
	}
	m.fill(t, "child", "damaged")
	must(t, rewriteAll(dir))
	m.done(t, "child", stepKey("child"), dir)
	m.unchanged(t)
	m.gone(t)
}

// A tree that is a cache may be gone as well.
func TestATreeThatIsGoneWhileItsLayerIsThere(t *testing.T) {
	harness.NeedRoot(t)
	m := startImages(t, "", "")
	m.chain(t, "base", "middle", "top")
	harness.StopClean(t, m.d)
	must(t, os.RemoveAll(filepath.Join(m.d.TreePath(), m.trees["top"])))
	m.again(t, "")
	m.unchanged(t, "base", "middle")
	if dir, err := m.s.Prepare("container", "top"); err == nil {
		if err := sameTree(dir, m.tops["top"]); err != nil {
			t.Error(err)
		}
		m.removed(t, "container")
	} else {
		fails(t, err, codes.FailedPrecondition, "top")
	}
	m.gone(t)
}

func TestWhatNoRecordNamesIsSweptFromLayers(t *testing.T) {
	harness.NeedRoot(t)
	m := startImages(t, "", "")
	m.chain(t, "base", "middle", "top")
	known := layersOf(t, m.d)
	equal(t, "number of layers", len(known), 2)
	harness.StopClean(t, m.d)
	must(t, harness.Files{"999999/manifest": "", "999999/fs/a": "a", "999998/b": ""}.Write(layerPath(m.d)))
	must(t, os.WriteFile(filepath.Join(layerPath(m.d), "no number"), nil, 0o600))
	m.again(t, "")
	equal(t, "layers", names(t, layerPath(m.d)), fmt.Sprint(append(known, "no number")))
	must(t, os.Remove(filepath.Join(layerPath(m.d), "no number")))
	m.d.AwaitTrees(t, []string{m.trees["base"], m.trees["top"]})
	m.unchanged(t)
	m.gone(t)
}

func TestForgettingASnapshotterForgetsItsLayers(t *testing.T) {
	harness.NeedRoot(t)
	m := startImages(t, "", "")
	m.chain(t, "base", "middle", "top")
	harness.StopClean(t, m.d)
	output, status := harness.Run(harness.Bound(harness.StopBound), "--root", m.d.Root, "--forget-snapshotter", "clonefs")
	if status != 0 {
		t.Fatal(output)
	}
	m.again(t, "")
	awaitNothing(t, m.d)
}
