// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

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

func run(command string, args ...string) error {
	if said, err := exec.Command(command, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", command, args, err, said)
	}
	return nil
}

// onEach runs a command on the root and each folder in it.
func onEach(dir, command string, args ...string) error {
	folders, err := filepath.Glob(dir + "/d?")
	if err != nil {
		return err
	}
	if nested, err := os.Stat(dir + "/d0/d"); err == nil && nested.IsDir() {
		folders = append(folders, dir+"/d0/d")
	}
	return run(command, append(append(args, dir), folders...)...)
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
	{"attributes removed from folders", true, func(t *testing.T, m *image) {
		m.wrote(t, "below", "base", func(dir string) error { return onEach(dir, "setfattr", "-n", "user.a", "-v", "b") })
		m.wrote(t, "one", "below", edit("one")) // so that the tree of what is below stays
		m.unchanged(t, "below")
		m.wrote(t, "parent", "one", func(dir string) error { return onEach(dir, "setfattr", "-x", "user.a") })
	}},
	{"folders made again where some with attributes were", true, func(t *testing.T, m *image) {
		m.wrote(t, "below", "base", func(dir string) error {
			if err := os.Mkdir(dir+"/d0/d", 0o755); err != nil {
				return err
			}
			return onEach(dir, "setfattr", "-n", "trusted.a", "-v", "b")
		})
		m.wrote(t, "parent", "below", func(dir string) error {
			if err := os.Remove(dir + "/d0/d"); err != nil {
				return err
			}
			return os.Mkdir(dir+"/d0/d", 0o755)
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

// Flags forbid what making the tree again has to do in such folders.
func TestFoldersWithFlagsThatAClientWroteIn(t *testing.T) {
	harness.NeedRoot(t)
	m := startClients(t, "")
	t.Cleanup(func() { _ = exec.Command("chattr", "-R", "-ia", m.d.Root).Run() })
	m.wrote(t, "below", "base", func(dir string) error {
		for path, flag := range map[string]string{"d0": "+a", "d1": "+i", "d2": "+d"} {
			if err := run("chattr", flag, dir+"/"+path); err != nil {
				return err
			}
		}
		return nil
	})
	m.unchanged(t, "below") // which has a tree of its own then
	m.wrote(t, "one", "below", func(dir string) error {
		return os.WriteFile(dir+"/d1/f101", []byte("written in its place"), 0o644)
	})
	m.wrote(t, "parent", "one", func(dir string) error {
		if err := (harness.Files{"d0/new": "x"}).Write(dir); err != nil {
			return err
		}
		return run("chattr", "-d", dir+"/d2")
	})
	dir := m.step(t, "child", "parent")
	equal(t, "the tree of the child", treeOf(t, m.d, dir), m.trees["one"])
	equal(t, "the flags of the child's folders", flagsIn(t, dir), "a i -")
	for name, flags := range map[string]string{"below": "a i d", "one": "a i d", "parent": "a i -"} {
		look, err := m.s.View("look at "+name, name)
		must(t, err)
		must(t, sameTree(look, m.tops[name]))
		equal(t, "the flags of folders of "+name, flagsIn(t, look), flags)
		m.removed(t, "look at "+name)
	}
	m.gone(t, stepKey("child"))
}

// flagsIn are those of d0, d1, d2.
func flagsIn(t *testing.T, dir string) string {
	t.Helper()
	var found []string
	for _, name := range []string{"d0", "d1", "d2"} {
		said, err := exec.Command("lsattr", "-d", dir+"/"+name).Output()
		must(t, err)
		flag := "-"
		for _, one := range "aid" {
			if strings.ContainsRune(strings.Fields(string(said))[0], one) {
				flag = string(one)
			}
		}
		found = append(found, flag)
	}
	return strings.Join(found, " ")
}

// Only one of two can have the tree, and both have what the parent has.
func TestTwoStepsAtOnceOnWhatAClientWrote(t *testing.T) {
	harness.NeedRoot(t)
	m := startClients(t, "")
	m.wrote(t, "parent", "base", edit("parent"))
	dirs, errs := [2]string{}, make(chan error, 2)
	for i := range dirs {
		i := i
		go func() {
			var err error
			dirs[i], err = m.s.Prepare(stepKey(fmt.Sprint("child ", i)), "parent")
			errs <- err
		}()
	}
	must(t, <-errs)
	must(t, <-errs)
	for _, dir := range dirs {
		must(t, sameTree(dir, m.tops["parent"]))
		must(t, rewriteAll(dir))
	}
	m.unchanged(t)
	m.gone(t, stepKey("child 0"), stepKey("child 1"))
}

// The layer was made of a tree of which nobody knows yet whether it is on disk, and it turns out that it is not.
func TestWhatAClientWroteIsDamagedAfterItsTreeWasTakenIfItIsNotOnDisk(t *testing.T) {
	harness.NeedFaults(t)
	harness.NeedRoot(t)
	m := startClients(t, "")
	harness.StopClean(t, m.d) // the base is on disk
	d, _ := launch(t, harness.Options{Root: m.d.Root, Fault: "flush=5", Args: []string{"--config", configFile(t, "pool = \"off\"\n"+flushSoon)}})
	m.unpacker = unpackerOf(d)
	m.wrote(t, "parent", "base", edit("parent"))
	dir := m.step(t, "child", "parent")
	equal(t, "the tree of the child", treeOf(t, d, dir), m.trees["parent"])
	logged(t, d, "Input/output error")
	harness.Eventually(t, 10*time.Second, func() string {
		if _, err := m.s.Mounts(stepKey("child")); err == nil {
			return "the child is not damaged"
		}
		return ""
	})
	_, err := m.s.Prepare("container", "parent")
	fails(t, err, codes.FailedPrecondition, "parent", "damaged")
	_, err = m.s.Prepare("of the base", "base")
	must(t, err)
}

// What fails while the layer is made costs a clone, and no more.
func TestAStepOfAClientIsClonedIfItsLayerCannotBeMade(t *testing.T) {
	harness.NeedFaults(t)
	harness.NeedRoot(t)
	for _, fault := range []string{"layer.flush.first=5", "step.flush=5", "layer.describe=5", "layer.entry=28", "layer.entry@3=5"} {
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
	for _, step := range []string{"layer.describe", "layer.entry", "layer.flush.first", "layer.captured", "step.compared", "step.flush", "step.recorded",
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
