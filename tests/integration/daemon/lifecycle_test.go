// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/mount"
	"google.golang.org/grpc/codes"

	"clonefs/tests/gotool/harness"
)

func TestPrepareIsBornWithEqualTimesAndItsOwnLabels(t *testing.T) {
	_, s := start(t)
	must(t, s.Layer("base", "", nil))
	must(t, s.SetLabels("base", "from", "parent"))
	before := time.Now()
	_, err := s.Prepare("work", "base", "mine", "1", "empty", "")
	must(t, err)
	info, err := s.Stat("work")
	must(t, err)
	checkTimes(t, info, before, true)
	equal(t, "kind", info.Kind, snapshotsapi.KindActive)
	equal(t, "parent", info.Parent, "base")
	equal(t, "labels", fmt.Sprint(info.Labels), fmt.Sprint(harness.Labels("mine", "1")))
}

func TestCommitHasItsOwnLabelsAndTimesAndFreesTheKey(t *testing.T) {
	_, s := start(t)
	must(t, s.Layer("base", "", nil))
	_, err := s.Prepare("work", "base", "old", "1")
	must(t, err)
	before := time.Now()
	must(t, s.Commit("done", "work", "new", "2", "empty", ""))
	info, err := s.Stat("done")
	must(t, err)
	checkTimes(t, info, before, true)
	equal(t, "kind", info.Kind, snapshotsapi.KindCommitted)
	equal(t, "parent", info.Parent, "base")
	equal(t, "labels", fmt.Sprint(info.Labels), fmt.Sprint(harness.Labels("new", "2")))
	_, err = s.Stat("work")
	fails(t, err, codes.NotFound)
	_, err = s.Prepare("work", "done")
	must(t, err)
}

// checkTimes checks that both times lie between before and now; born: that they are equal.
func checkTimes(t *testing.T, info snapshotsapi.Info, before time.Time, born bool) {
	t.Helper()
	if info.UpdatedAt.Before(before.Truncate(time.Millisecond)) || info.UpdatedAt.After(time.Now()) {
		t.Errorf("updated at %v, not between %v and now", info.UpdatedAt, before)
	}
	if born && !info.CreatedAt.Equal(info.UpdatedAt) {
		t.Errorf("created at %v, but updated at %v", info.CreatedAt, info.UpdatedAt)
	}
}

func TestKeysAreFreeRightAfterRemove(t *testing.T) {
	_, s := start(t)
	must(t, s.Layer("base", "", nil))
	for i := 0; i < 20; i++ {
		_, err := s.Prepare("key", "base")
		must(t, err)
		must(t, s.Remove("key"))
		_, err = s.View("key", "base")
		must(t, err)
		must(t, s.Remove("key"))
		must(t, s.Layer("key", "base", nil))
		must(t, s.Remove("key"))
	}
}

// On macOS nothing enforces that a mount is read-only, so that a view is a clone unless one says otherwise.
func TestActiveAndViewMountsAreSingleBinds(t *testing.T) {
	views := map[string]string{`"readonly-bind"`: "ro", `"private-clone"`: "rw", "": "ro"}
	if harness.DefaultsOfMacOS() {
		views[""] = "rw"
	}
	for view, viewAccess := range views {
		lines := ""
		if view != "" {
			lines = "view = " + view
		}
		d, s := start(t, "--config", configFile(t, lines))
		population(t, s)
		for key, access := range map[string]string{"work": "rw", "look": viewAccess} {
			mounts, err := s.Mounts(key)
			must(t, err)
			if len(mounts) != 1 || mounts[0].Type != "bind" || !reflect.DeepEqual(mounts[0].Options, []string{"rbind", access}) {
				t.Errorf("with %q the mounts of %q are %v, not one bind with rbind,%s", view, key, mounts, access)
			}
		}
		harness.StopClean(t, d)
	}
}

func TestMountedViewIsReadOnlyAndMountedActiveIsNot(t *testing.T) {
	harness.NeedRoot(t)
	_, s := start(t, "--config", configFile(t, `view = "readonly-bind"`))
	population(t, s)
	for key, writable := range map[string]bool{"work": true, "look": false} {
		err := os.WriteFile(filepath.Join(mounted(t, s, key), "new"), nil, 0o644)
		if writable != (err == nil) {
			t.Errorf("writing to %q: %v", key, err)
		}
	}
}

// mounted mounts a snapshot as containerd does, until the end of the test.
func mounted(t *testing.T, s *harness.Snapshots, key string) string {
	t.Helper()
	mounts, err := s.Mounts(key)
	must(t, err)
	target := t.TempDir()
	for _, m := range mounts {
		must(t, (&mount.Mount{Type: m.Type, Source: m.Source, Options: m.Options}).Mount(target))
	}
	t.Cleanup(func() {
		if err := mount.UnmountAll(target, 0); err != nil {
			t.Error(err)
		}
	})
	return target
}

func TestMountsAreTheSameAfterARestart(t *testing.T) {
	d, s := start(t)
	population(t, s)
	_, err := s.View("look at nothing", "")
	must(t, err)
	keys := []string{"work", "look", "look at nothing"}
	before := map[string]string{}
	for _, key := range keys {
		mounts, err := s.Mounts(key)
		must(t, err)
		before[key] = fmt.Sprint(mounts)
	}
	infos := list(t, s)
	d, s = restart(t, d)
	for _, key := range keys {
		mounts, err := s.Mounts(key)
		must(t, err)
		equal(t, "mounts of "+key, fmt.Sprint(mounts), before[key])
	}
	for name, info := range list(t, s) {
		if !same(info, infos[name]) {
			t.Errorf("%q was %v, is %v", name, infos[name], info)
		}
	}
	checkStore(t, d, map[string]state{"clonefs": read(t, s)})
}

func TestPrepareAndMountsAnswerTheSame(t *testing.T) {
	_, s := start(t)
	must(t, s.Layer("base", "", nil))
	for i, call := range []func(string, string, ...string) (string, error){s.Prepare, s.View} {
		for j, parent := range []string{"", "base"} {
			key := fmt.Sprintf("key %d %d", i, j)
			answer, err := call(key, parent)
			must(t, err)
			later, err := s.Source(key)
			must(t, err)
			equal(t, "mount source", later, answer)
		}
	}
}

func TestRemoveOfAMountedSnapshotSucceeds(t *testing.T) {
	harness.NeedRoot(t)
	d, s := start(t)
	population(t, s)
	target := mounted(t, s, "work")
	must(t, s.Remove("work"))
	_, err := s.Prepare("work", "base")
	must(t, err)
	must(t, s.Remove("work"))
	must(t, mount.UnmountAll(target, 0))
	checkStore(t, d, map[string]state{"clonefs": read(t, s)})
}

func TestCommitOfAMountedSnapshotSucceeds(t *testing.T) {
	harness.NeedRoot(t)
	_, s := start(t)
	population(t, s)
	target := mounted(t, s, "work")
	must(t, os.WriteFile(filepath.Join(target, "last"), []byte("words"), 0o644))
	must(t, s.Commit("done", "work"))
	dir, err := s.View("v", "done")
	must(t, err)
	if content, err := os.ReadFile(filepath.Join(dir, "last")); err != nil || string(content) != "words" {
		t.Errorf("the file written through the mount is %q, %v", content, err)
	}
}

func TestChildrenNeverReachTheirParent(t *testing.T) {
	_, s := start(t)
	base := harness.Files{"a": "base a", "dir/b": "base b"}
	must(t, s.Layer("base", "", base))
	dir, err := s.Prepare("child", "base")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("child"), 0o644))
	must(t, os.RemoveAll(filepath.Join(dir, "dir")))
	file, err := os.OpenFile(filepath.Join(dir, "a"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = file.WriteString(" and more")
	must(t, err)
	must(t, file.Close())
	look, err := s.View("look", "base")
	must(t, err)
	if err := harness.SameFiles(look, base); err != nil {
		t.Error(err)
	}
	if err := harness.SameFiles(dir, harness.Files{"a": "child and more"}); err != nil {
		t.Error(err)
	}
}

func TestParentlessSnapshotIsEmptyAndOpenToRead(t *testing.T) {
	_, s := start(t)
	for key, call := range map[string]func(string, string, ...string) (string, error){"p": s.Prepare, "v": s.View} {
		dir, err := call(key, "")
		must(t, err)
		if err := harness.SameFiles(dir, harness.Files{}); err != nil {
			t.Error(err)
		}
		info, err := os.Stat(dir)
		must(t, err)
		equal(t, "mode of the root directory", info.Mode(), os.ModeDir|0o755)
	}
}

func TestRootDirectoryKeepsModeOwnerAndTimeOfTheParent(t *testing.T) {
	harness.NeedRoot(t)
	_, s := start(t)
	past := time.Unix(1234567890, 123456789)
	must(t, s.LayerBy("base", "", func(dir string) error {
		must(t, os.Chown(dir, 12, 34))
		must(t, os.Chmod(dir, 0o751|os.ModeSticky))
		return os.Chtimes(dir, past, past)
	}))
	dir, err := s.Prepare("child", "base")
	must(t, err)
	info, err := os.Stat(dir)
	must(t, err)
	equal(t, "mode", info.Mode(), os.ModeDir|os.ModeSticky|0o751)
	equal(t, "time", info.ModTime().UnixNano(), past.UnixNano())
	uid, gid := owner(info)
	equal(t, "owner", [2]uint32{uid, gid}, [2]uint32{12, 34})
}

func TestCleanupSucceedsAndTheTrashDrains(t *testing.T) {
	d, s := start(t)
	must(t, s.LayerBy("big", "", func(dir string) error { return harness.Fill(dir, 500) }))
	for i := 0; i < 5; i++ {
		_, err := s.Prepare(numbered("child", i), "big")
		must(t, err)
		must(t, s.Remove(numbered("child", i)))
	}
	must(t, s.Remove("big"))
	must(t, s.Cleanup())
	d.AwaitTrees(t, nil)
}

// Field 5 of Commit came with containerd 2.2; our stubs do not know it yet.
func commitOnto(d *harness.Daemon, name, key, parent string) error {
	_, err := rawCall(d.Conn, service+"Commit",
		join(field(1, "clonefs"), field(2, name), field(3, key), field(5, parent)))
	return err
}

func TestCommitWithAParentTakesOnlyTheSnapshotsOwn(t *testing.T) {
	d, s := start(t)
	population(t, s)
	fails(t, commitOnto(d, "done", "work", "top"), codes.InvalidArgument)
	must(t, commitOnto(d, "done", "work", "base"))
	info, err := s.Stat("done")
	must(t, err)
	equal(t, "parent", info.Parent, "base")
}

// We do not offer "rebase"; a client that tries it all the same must not lose the parent silently.
func TestCommitOfAParentlessSnapshotOntoAParentIsNotSilentlyWrong(t *testing.T) {
	d, s := start(t)
	population(t, s)
	_, err := s.Prepare("loose", "")
	must(t, err)
	if err := commitOnto(d, "done", "loose", "base"); err != nil {
		_, err = s.Stat("loose")
		must(t, err)
		return
	}
	info, err := s.Stat("done")
	must(t, err)
	equal(t, "parent", info.Parent, "base")
}
