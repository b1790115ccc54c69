// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/history"
	"clonefs/tests/gotool/layer"
)

// Steps of an unpacking into which the client writes through the mount, as a differ of its own does.

// wrote makes a snapshot by a step that a client writes.
func (m *image) wrote(t *testing.T, name, parent string, write func(dir string) error) {
	t.Helper()
	dir := m.step(t, name, parent)
	must(t, write(dir))
	m.done(t, name, stepKey(name), dir)
}

func fillMany(dir string) error { return harness.Fill(dir, spareFiles) }

// edit changes, adds and removes some.
func edit(name string) func(dir string) error {
	return func(dir string) error {
		if err := (harness.Files{"shared": name, "of/" + name + "/file": name, "d1/f101": "of " + name}).Write(dir); err != nil {
			return err
		}
		gone, err := filepath.Glob(dir + "/d2/f*")
		if err != nil || len(gone) == 0 {
			return fmt.Errorf("%d files are left: %w", len(gone), err)
		}
		return os.Remove(gone[0])
	}
}

// startClients has a base that a client has written.
func startClients(t *testing.T, settings string) *image {
	t.Helper()
	m := startImages(t, "", "pool = \"off\"\n"+settings)
	m.wrote(t, "base", "", fillMany)
	return m
}

// The first step needs a clone of the base. What it has then is known, so that each of the others can have the tree of the one
// before.
func TestStepsThatClientsWriteHaveTwoTrees(t *testing.T) {
	harness.NeedRoot(t)
	for _, view := range []string{"readonly-bind", "private-clone"} {
		t.Run(view, func(t *testing.T) {
			m := startClients(t, fmt.Sprintf("view = %q", view))
			parent := "base"
			for i := 2; i <= 8; i++ {
				name := numbered("step", i)
				m.wrote(t, name, parent, edit(name))
				equal(t, "the tree of "+name+" is that of the first", m.trees[name], m.trees["step-2"])
				parent = name
			}
			m.d.AwaitTrees(t, []string{m.trees["base"], m.trees["step-2"]})
			awaitLayers(t, m.d, 6)
			m.again(t, fmt.Sprintf("view = %q", view))
			m.unchanged(t)
			m.unchanged(t)
			m.gone(t)
		})
	}
}

// After a restart nothing is known, and the next step has a clone; the one after it has a tree that is known again.
func TestAfterARestartAStepOfAClientIsCloned(t *testing.T) {
	harness.NeedRoot(t)
	m := startClients(t, "")
	m.wrote(t, "one", "base", edit("one"))
	m.again(t, `pool = "off"`)
	m.wrote(t, "two", "one", edit("two"))
	m.wrote(t, "three", "two", edit("three"))
	equal(t, "the tree of two is that of one", m.trees["two"] == m.trees["one"], false)
	equal(t, "the tree of three", m.trees["three"], m.trees["two"])
	m.unchanged(t)
	m.gone(t)
}

func twoFolders(dir string) error {
	return (harness.Files{"x/a": "1", "x/b": "2", "y/a": "3", "y/c": "4"}).Write(dir)
}

var clientCases = []takeOverCase{
	{"nothing", true, func(t *testing.T, m *image) { m.wrote(t, "parent", "base", edit("parent")) }},
	{"no change at all", true, func(t *testing.T, m *image) {
		m.wrote(t, "parent", "base", func(string) error { return nil })
	}},
	{"a container of the base", true, func(t *testing.T, m *image) {
		m.wrote(t, "parent", "base", edit("parent"))
		m.container(t, "other", "base")
	}},
	{"a view that is gone", false, func(t *testing.T, m *image) {
		m.wrote(t, "parent", "base", edit("parent"))
		m.unchanged(t, "parent")
	}},
	{"a container that is gone", false, func(t *testing.T, m *image) {
		m.wrote(t, "parent", "base", edit("parent"))
		m.container(t, "other", "parent")
		m.removed(t, "other")
	}},
	{"a second child", false, func(t *testing.T, m *image) {
		m.wrote(t, "parent", "base", edit("parent"))
		m.step(t, "other", "parent")
	}},
	{"changes to most of it", false, func(t *testing.T, m *image) { m.wrote(t, "parent", "base", rewriteAll) }},
	{"names of one file that were exchanged with others", false, func(t *testing.T, m *image) {
		m.wrote(t, "below", "base", func(dir string) error { return os.Link(dir+"/d0/f0", dir+"/link") })
		m.wrote(t, "parent", "below", func(dir string) error {
			return unix.Renameat2(unix.AT_FDCWD, dir+"/link", unix.AT_FDCWD, dir+"/d0/f1", unix.RENAME_EXCHANGE)
		})
	}},
	{"files that were exchanged", true, func(t *testing.T, m *image) {
		m.wrote(t, "parent", "base", func(dir string) error {
			return unix.Renameat2(unix.AT_FDCWD, dir+"/d0/f0", unix.AT_FDCWD, dir+"/d1/f100", unix.RENAME_EXCHANGE)
		})
	}},
	{"folders that were exchanged", true, func(t *testing.T, m *image) {
		m.wrote(t, "below", "base", twoFolders)
		m.wrote(t, "parent", "below", func(dir string) error {
			return unix.Renameat2(unix.AT_FDCWD, dir+"/x", unix.AT_FDCWD, dir+"/y", unix.RENAME_EXCHANGE)
		})
	}},
	{"a folder in the place of a file", true, func(t *testing.T, m *image) { // XFS uses the number of the inode again
		m.wrote(t, "parent", "base", func(dir string) error {
			if err := os.Remove(dir + "/d1/f101"); err != nil {
				return err
			}
			return os.Mkdir(dir+"/d1/f101", 0o755)
		})
	}},
	{"a folder that was moved away, and back into another", true, func(t *testing.T, m *image) {
		m.wrote(t, "below", "base", twoFolders)
		m.wrote(t, "parent", "below", func(dir string) error {
			for _, names := range [][2]string{{"x", "away"}, {"y", "x"}, {"away", "x/x"}} {
				if err := os.Rename(dir+"/"+names[0], dir+"/"+names[1]); err != nil {
					return err
				}
			}
			return nil
		})
	}},
	{"links to files below", true, func(t *testing.T, m *image) {
		m.wrote(t, "parent", "base", func(dir string) error { return os.Link(dir+"/d0/f0", dir+"/d0/link") })
	}},
}

func TestWhenAStepTakesOverTheTreeThatAClientWrote(t *testing.T) {
	harness.NeedRoot(t)
	for _, c := range clientCases {
		c := c
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := startClients(t, "")
			c.before(t, m)
			dir := m.step(t, "child", "parent")
			equal(t, "the tree is taken over", treeOf(t, m.d, dir) == m.trees["parent"], c.taken)
			must(t, rewriteAll(dir))
			history.New(t, 1, dir).Run(50)
			m.done(t, "child", stepKey("child"), dir)
			m.container(t, "of the parent", "parent")
			m.unchanged(t)
			m.again(t, `pool = "off"`)
			m.unchanged(t)
		})
	}
}

// What fails while the layer is made costs a clone, and no more.
func TestAStepOfAClientIsClonedIfItsLayerCannotBeMade(t *testing.T) {
	harness.NeedFaults(t)
	harness.NeedRoot(t)
	for _, fault := range []string{"step.flush.first=5", "step.flush=5", "layer.describe=5", "layer.entry=28", "layer.entry@3=5"} {
		fault := fault
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			d, err := harness.Launch(harness.Options{Root: harness.NewRoot(t), Fault: fault})
			must(t, err)
			defer d.Kill()
			m := imageOn(unpackerOf(d))
			m.wrote(t, "base", "", fillMany)
			m.wrote(t, "one", "base", editMany("one"))
			m.wrote(t, "two", "one", editMany("two"))
			equal(t, "the tree of one is taken over", m.trees["two"] == m.trees["one"], false)
			awaitLayers(t, d, 0)
			must(t, d.Stop())
			m.again(t, "")
			m.unchanged(t)
			m.gone(t)
		})
	}
}

// editMany makes changes that are flushed before they are cloned.
func editMany(name string) func(dir string) error {
	return func(dir string) error {
		files := harness.Files{}
		for i := 0; i < 40; i++ {
			files[fmt.Sprintf("of/%s/%d", name, i)] = name
		}
		if err := files.Write(dir); err != nil {
			return err
		}
		return edit(name)(dir)
	}
}

// The daemon dies at each step of the Prepare that makes the layer of its parent and takes over its tree.
func TestCrashWhileAStepOfAClientIsTakenOverLosesNothing(t *testing.T) {
	harness.NeedFaults(t)
	harness.NeedRoot(t)
	for _, step := range []string{"layer.describe", "layer.entry", "step.flush.first", "layer.captured", "step.flush", "step.recorded",
		"prepare.taken", "store.before_commit", "store.after_commit"} {
		step := step
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			deaths := 0
			for pass := 1; pass <= maxPasses && !t.Failed(); pass += 1 + pass/8 {
				died := crashOfStep(t, fmt.Sprintf("%s@%d=kill", step, pass))
				if died == survived {
					break
				}
				if died == diedInCall {
					deaths++
				}
			}
			if deaths == 0 {
				t.Errorf("no pass of %s killed the daemon during the call", step)
			}
		})
	}
}

func crashOfStep(t *testing.T, fault string) death {
	t.Helper()
	st := startClients(t, "")
	harness.StopClean(t, st.d)
	began := false
	died, _ := dieIn(t, st.d.Root, fault, func(d *harness.Daemon) error {
		s := d.Snapshots("clonefs")
		dir, err := s.Prepare(stepKey("one"), "base")
		if err != nil {
			return err
		}
		must(t, editMany("one")(dir))
		tree, err := layer.Scan(dir)
		must(t, err)
		if err := s.Commit("one", stepKey("one")); err != nil {
			return err
		}
		began, st.tops["one"], st.order = true, tree, append(st.order, "one")
		if dir, err = s.Prepare(stepKey("two"), "one"); err != nil {
			return err
		}
		return sameTree(dir, tree)
	})
	if !began { // it died before the Prepare that is meant
		return diedAtStart
	}
	st.again(t, `pool = "off"`)
	st.unchanged(t)
	if _, there := list(t, st.s)[stepKey("two")]; there {
		source, err := st.s.Source(stepKey("two"))
		must(t, err)
		must(t, sameTree(source, st.tops["one"]))
		st.removed(t, stepKey("two"))
	}
	st.gone(t)
	return died
}
