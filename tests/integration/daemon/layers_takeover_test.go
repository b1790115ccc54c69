// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/history"
	"clonefs/tests/gotool/layer"
)

func TestTwelveLayersHaveTwoTrees(t *testing.T) {
	harness.NeedRoot(t)
	for _, view := range []string{"readonly-bind", "private-clone"} {
		t.Run(view, func(t *testing.T) {
			m := startImages(t, "", fmt.Sprintf("view = %q", view))
			names := []string{"base"}
			for i := 2; i <= 12; i++ {
				names = append(names, numbered("layer", i))
			}
			m.chain(t, names...)
			for _, name := range names[1:] {
				equal(t, "the tree of "+name, m.trees[name], m.trees["layer-12"])
			}
			m.d.AwaitTrees(t, []string{m.trees["base"], m.trees["layer-12"]})
			awaitLayers(t, m.d, 11)
			m.again(t, fmt.Sprintf("view = %q", view))
			m.d.AwaitTrees(t, []string{m.trees["base"], m.trees["layer-12"]})
			awaitLayers(t, m.d, 11)
			m.unchanged(t)
			m.unchanged(t)
			m.gone(t)
		})
	}
}

// Each layer's usage is its own, and is there at once.
func TestUsageOfLayersIsThatOfWholeTrees(t *testing.T) {
	harness.NeedRoot(t)
	used := map[string][2]int64{}
	for _, layers := range []string{"off", "auto"} {
		m := startImages(t, "", fmt.Sprintf("layers = %q", layers))
		m.chain(t, "base", "middle", "top")
		for _, name := range m.order {
			size, inodes, err := m.s.Usage(name)
			must(t, err)
			if want, there := used[name]; there && want != [2]int64{size, inodes} {
				t.Errorf("the usage of %s is %d bytes, %d inodes; without layers it is %v", name, size, inodes, want)
			}
			used[name] = [2]int64{size, inodes}
			if inodes < 5 {
				t.Errorf("the usage of %s is %d inodes", name, inodes)
			}
		}
	}
}

// A case is what happens to the snapshot "parent", on "base", before a step is prepared on top of it.
type takeOverCase struct {
	name   string
	taken  bool
	before func(t *testing.T, m *image)
}

func unpackParent(t *testing.T, m *image) { m.unpack(t, "parent", "base") }

// thenOnParent is after an unpacking that alone would let the tree be taken.
func thenOnParent(then func(t *testing.T, m *image)) func(t *testing.T, m *image) {
	return func(t *testing.T, m *image) {
		unpackParent(t, m)
		then(t, m)
	}
}

var takeOverCases = []takeOverCase{
	{"nothing", true, unpackParent},
	{"a restart", true, thenOnParent(func(t *testing.T, m *image) { m.again(t, "") })},
	{"an update and a stat", true, thenOnParent(func(t *testing.T, m *image) {
		must(t, m.s.SetLabels("parent", "a", "b"))
		_, err := m.s.Stat("parent")
		must(t, err)
		_, _, err = m.s.Usage("parent")
		must(t, err)
	})},
	{"a container of the base", true, thenOnParent(func(t *testing.T, m *image) { m.container(t, "other", "base") })},
	{"a step labelled, not named", true, func(t *testing.T, m *image) {
		dir, err := m.s.Prepare("step", "base", "containerd.io/snapshot.ref", "sha256:aa")
		must(t, err)
		m.fillKey(t, "step", "parent", "base")
		m.done(t, "parent", "step", dir)
	}},
	{"a view", false, thenOnParent(func(t *testing.T, m *image) {
		_, err := m.s.View("other", "parent")
		must(t, err)
	})},
	{"a view that is gone", false, thenOnParent(func(t *testing.T, m *image) {
		_, err := m.s.View("other", "parent")
		must(t, err)
		must(t, m.s.Remove("other"))
	})},
	{"a view that is gone, and a restart", false, thenOnParent(func(t *testing.T, m *image) {
		_, err := m.s.View("other", "parent")
		must(t, err)
		must(t, m.s.Remove("other"))
		m.again(t, "")
	})},
	{"a container", false, thenOnParent(func(t *testing.T, m *image) { m.container(t, "other", "parent") })},
	{"a container that is gone", false, thenOnParent(func(t *testing.T, m *image) {
		m.container(t, "other", "parent")
		must(t, m.s.Remove("other"))
	})},
	{"a container that was committed", false, thenOnParent(func(t *testing.T, m *image) {
		m.container(t, "other", "parent")
		must(t, m.s.Commit("another", "other"))
	})},
	{"a second child", false, thenOnParent(func(t *testing.T, m *image) {
		m.step(t, "other", "parent")
	})},
	{"a second child, committed", false, thenOnParent(func(t *testing.T, m *image) { m.unpack(t, "other", "parent") })},
	{"a second child that is gone", false, thenOnParent(func(t *testing.T, m *image) {
		m.step(t, "other", "parent")
		m.fill(t, "other", "parent")
		must(t, m.s.Remove(stepKey("other")))
	})},
	{"files through the mount", false, func(t *testing.T, m *image) {
		dir := m.step(t, "parent", "base")
		must(t, harness.Files{"mine": "x", "shared": "y"}.Write(dir))
		m.done(t, "parent", stepKey("parent"), dir)
	}},
	{"nothing at all", false, func(t *testing.T, m *image) {
		m.done(t, "parent", stepKey("parent"), m.step(t, "parent", "base"))
	}},
	{"two layers in one", false, func(t *testing.T, m *image) {
		dir := m.step(t, "parent", "base")
		m.fill(t, "parent", "base")
		m.fillKey(t, stepKey("parent"), "more", "base")
		m.done(t, "parent", stepKey("parent"), dir)
	}},
	{"a layer that was refused, and one that was not", false, func(t *testing.T, m *image) {
		dir := m.step(t, "parent", "base")
		if _, err := m.apply(ociLayer, []byte("no layer"), stepKey("parent")); err == nil {
			t.Error("what is no layer is applied")
		}
		m.fill(t, "parent", "base")
		m.done(t, "parent", stepKey("parent"), dir)
	}},
	{"a layer in a container", false, func(t *testing.T, m *image) {
		dir := m.container(t, "work", "base")
		m.fillKey(t, "work", "parent", "base")
		must(t, harness.Files{"shared": "of the container"}.Write(dir))
		m.done(t, "parent", "work", dir)
	}},
	// A file that has names in the layer and below has no place in either alone.
	{"a link to a file below", false, func(t *testing.T, m *image) {
		dir := m.step(t, "parent", "base")
		stream := (&layer.Layer{Entries: []*layer.Entry{{Name: "link", Type: layer.HardLink, Link: "of/base/kept", Mode: 0o644}}}).Archive(false)
		m.applied(t, ociLayer, stream, stream, stepKey("parent"))
		m.done(t, "parent", stepKey("parent"), dir)
	}},
	{"no parent", false, func(t *testing.T, m *image) { m.unpack(t, "parent", "") }},
	{"layers that are off", false, thenOnParent(func(t *testing.T, m *image) { m.again(t, `layers = "off"`) })},
	{"layers that were off", false, func(t *testing.T, m *image) {
		m.again(t, `layers = "off"`)
		unpackParent(t, m)
		m.again(t, "")
	}},
}

func TestWhenAStepTakesOverTheTreeOfItsParent(t *testing.T) {
	harness.NeedRoot(t)
	for _, c := range takeOverCases {
		c := c
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := startImages(t, "", `pool = "off"`)
			m.unpack(t, "base", "")
			c.before(t, m)
			dir := m.step(t, "child", "parent")
			equal(t, "the tree is taken over", treeOf(t, m.d, dir) == m.trees["parent"], c.taken)
			m.fill(t, "child", "parent")
			must(t, rewriteAll(dir))
			m.done(t, "child", stepKey("child"), dir)
			m.unchanged(t, "parent", "base")
			m.container(t, "of the parent", "parent")
			var actives []string
			for key, info := range list(t, m.s) {
				if info.Kind.String() != "COMMITTED" {
					actives = append(actives, key)
				}
			}
			m.removed(t, actives...)
			m.removed(t, "child")
			m.order = m.order[:len(m.order)-1]
			for _, other := range []string{"other", "another"} {
				if _, there := list(t, m.s)[other]; there && m.tops[other] == nil {
					m.removed(t, other)
				}
			}
			m.unchanged(t)
			m.gone(t)
		})
	}
}

// rewriteAll changes every file in its place, and every folder.
func rewriteAll(dir string) error {
	return filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.Mode()&(os.ModeSymlink|os.ModeDevice) != 0 {
			return err
		}
		if info.IsDir() {
			return unix.Lsetxattr(path, "user.rewritten", []byte("yes"), 0)
		}
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = file.WriteAt([]byte("!"), 0)
		return err
	})
}

// A differ that is not ours may write where it likes; it cannot reach what the child was made of.
func TestWhateverIsDoneToAChildItsParentStays(t *testing.T) {
	harness.NeedRoot(t)
	m := startImages(t, "", "")
	m.chain(t, "base", "middle", "top")
	dir := m.step(t, "child", "top")
	equal(t, "the tree is taken over", treeOf(t, m.d, dir), m.trees["top"])
	must(t, rewriteAll(dir))
	history.New(t, 1, dir).Run(100)
	must(t, os.RemoveAll(filepath.Join(dir, "of")))
	m.unchanged(t)
	m.done(t, "child", stepKey("child"), dir)
	m.unchanged(t)
	m.again(t, "")
	m.unchanged(t)
	m.gone(t)
}

// Into the step of an unpacker one differ writes. What another writes there as well is there until the tree is made again, and what is
// below stays in any case.
func TestWhatIsWrittenBesideALayerLeavesWhatIsBelow(t *testing.T) {
	harness.NeedRoot(t)
	m := startImages(t, "", `pool = "off"`)
	m.chain(t, "base", "middle", "top")
	dir := m.step(t, "child", "top")
	equal(t, "the tree is taken over", treeOf(t, m.d, dir), m.trees["top"])
	must(t, rewriteAll(dir))
	must(t, harness.Files{"mine": "x"}.Write(dir))
	m.fill(t, "child", "top")
	m.done(t, "child", stepKey("child"), dir)
	m.again(t, "")
	next := m.step(t, "next", "child") // has what was written, too
	equal(t, "the tree is taken over", treeOf(t, m.d, next), m.trees["child"])
	must(t, rewriteAll(next))
	m.unchanged(t, "top", "middle", "base")
	m.gone(t, stepKey("next"))
}

func TestAnImageRunsAfterAnotherWasUnpackedOnTop(t *testing.T) {
	harness.NeedRoot(t)
	m := startImages(t, "", "")
	m.chain(t, "base", "middle", "image")
	m.container(t, "before", "image")
	m.unpack(t, "next", "image")
	m.container(t, "after", "image")
	m.unpack(t, "after next", "next")
	equal(t, "the tree is taken over", m.trees["after next"], m.trees["next"])
	m.container(t, "of the next", "next")
	m.container(t, "of the one after", "after next")
	m.container(t, "of the middle", "middle")
	m.unchanged(t)
	m.gone(t, "before", "after", "of the next", "of the one after", "of the middle")
}

func TestImagesShareWhatIsBelow(t *testing.T) {
	harness.NeedRoot(t)
	m := startImages(t, "", "")
	m.chain(t, "base", "a1", "a2")
	m.unpack(t, "b1", "base")
	m.unpack(t, "b2", "b1")
	m.d.AwaitTrees(t, []string{m.trees["base"], m.trees["a2"], m.trees["b2"]})
	m.unpack(t, "c2", "a1") // which has no tree any more
	m.unpack(t, "c3", "c2")
	equal(t, "the tree is taken over", m.trees["c3"], m.trees["c2"])
	m.d.AwaitTrees(t, []string{m.trees["base"], m.trees["a2"], m.trees["b2"], m.trees["c3"]})
	awaitLayers(t, m.d, 6)
	m.unchanged(t)
	m.gone(t)
}

// A layer in the middle is of use for what is above as long as that has no tree; then it can be anywhere.
func TestWhatIsBelowServesWhatIsAbove(t *testing.T) {
	harness.NeedRoot(t)
	m := startImages(t, "", "")
	m.chain(t, "base", "one", "two", "three")
	dir := m.step(t, "written", "three") // through the mount: the tree is the truth, on top of what has none
	must(t, harness.Files{"mine": "x", "shared": "y"}.Write(dir))
	must(t, os.Remove(dir+"/of/base/file"))
	m.done(t, "written", stepKey("written"), dir)
	m.unpack(t, "four", "written")
	m.unpack(t, "five", "four")
	equal(t, "the tree is taken over", m.trees["five"], m.trees["four"])
	m.unpack(t, "other", "two")
	for _, name := range []string{"two", "four", "three", "one"} {
		m.container(t, "of "+name, name)
	}
	m.unchanged(t)
	m.gone(t, "of two", "of four", "of three", "of one")
}

// The top of an image has a spare when the next layer comes after a while. It is of no use to that, and no harm.
func TestATakeOverOfWhatHasASpare(t *testing.T) {
	harness.NeedRoot(t)
	m := imageOn(unpackerOf(harness.Start(t, "", "--log-level", "debug")))
	dir, err := m.s.Prepare("many", "")
	must(t, err)
	must(t, harness.Fill(dir, spareFiles))
	m.done(t, "base", "many", dir)
	m.unpack(t, "parent", "base")
	awaitReady(t, m.d, "parent", topSpares)
	dir = m.step(t, "child", "parent")
	m.fill(t, "child", "parent")
	must(t, rewriteAll(dir))
	if treeOf(t, m.d, dir) == m.trees["parent"] {
		t.Error("the tree of a parent with a spare is taken over")
	}
	m.done(t, "child", stepKey("child"), dir)
	m.container(t, "of the parent", "parent")
	m.unchanged(t)
	m.gone(t, "of the parent")
}

// The parent's tree may become a view's again, and a container's, in any order of removals.
func TestRemovalsInAnyOrderLeaveNothing(t *testing.T) {
	harness.NeedRoot(t)
	for seed := int64(1); seed <= 6; seed++ {
		seed := seed
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			m := startImages(t, "", "")
			m.chain(t, "base", "one", "two", "three")
			m.unpack(t, "fork", "one")
			m.unpack(t, "fork two", "fork")
			m.container(t, "container", "two")
			_, err := m.s.View("view", "one")
			must(t, err)
			m.step(t, "step", "three")
			random := history.New(t, seed, "").Random
			for left := list(t, m.s); len(left) > 0; left = list(t, m.s) {
				parents := map[string]bool{}
				var leaves []string
				for _, info := range left {
					parents[info.Parent] = true
				}
				for key := range left {
					if !parents[key] {
						leaves = append(leaves, key)
					} else if err := m.s.Remove(key); err == nil || !strings.Contains(err.Error(), "cannot remove") {
						t.Errorf("Remove of %s, which has children: %v", key, err)
					}
				}
				key := leaves[random.Intn(len(leaves))]
				m.removed(t, key)
				for i, name := range m.order {
					if name == key {
						m.order = append(m.order[:i:i], m.order[i+1:]...)
						break
					}
				}
				if random.Intn(3) == 0 && len(m.order) > 0 {
					m.unchanged(t, m.order[random.Intn(len(m.order))])
				}
				if random.Intn(4) == 0 {
					m.again(t, "")
				}
			}
			awaitNothing(t, m.d)
		})
	}
}
