// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"clonefs/tests/gotool/harness"
)

// refused runs the daemon's program, which must end by itself, not by a signal, with an error and a text
// that has all the words.
func refused(t *testing.T, args []string, words ...string) {
	t.Helper()
	output, code := harness.Run(harness.Bound(harness.StopBound), args...)
	if code <= 0 || code > 125 {
		t.Errorf("%v ended with %d, not with an error: %s", args, code, output)
	}
	for _, word := range words {
		if !strings.Contains(output, word) {
			t.Errorf("%v says %q, without %q", args, output, word)
		}
	}
}

func TestSecondDaemonOnTheSameRootIsRefused(t *testing.T) {
	d, s := start(t)
	population(t, s)
	refused(t, []string{"--root", d.Root, "--address", newSocket(t)}, d.Root)
	refused(t, []string{"--root", d.Root, "--address", d.Socket}, d.Root)
	answers(t, d)
	equal(t, "number of snapshots", len(list(t, s)), 4)
}

func TestSocketOfALiveDaemonIsNotTakenOver(t *testing.T) {
	d, _ := start(t)
	refused(t, []string{"--root", harness.NewRoot(t), "--address", d.Socket}, d.Socket)
	answers(t, d)
}

func TestBadOptionsAreRefusedByName(t *testing.T) {
	root, socket := harness.NewRoot(t), newSocket(t)
	usual := []string{"--root", root, "--address", socket}
	refused(t, append(usual, "--colour"), "--colour")
	refused(t, append(usual, "--log-level", "loud"), "loud")
	refused(t, append(usual, "surplus"), "surplus")
	refused(t, append(usual, "--config", root+"/no such file"), "no such file")
	refused(t, []string{"--root"}, "root")
	if _, err := os.Stat(root); !os.IsNotExist(err) {
		t.Errorf("a refused command line made the root: %v", err)
	}
	refused(t, []string{"--root", root, "--address", "/" + strings.Repeat("a", 200)}, "socket", strconv.Itoa(harness.LongestSocketPath()))
}

func TestBadConfigurationIsRefusedWithItsPlace(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "clonefs.toml")
	socket := newSocket(t)
	args := []string{"--root", filepath.Join(dir, "root"), "--address", socket, "--config", file}
	for text, words := range map[string][]string{
		"no_such_key = 1\n":                                             {file, "no_such_key", ":1:"},
		"\n[no_such_section]\na=1\n":                                    {file},
		"root = 5\n":                                                    {file, "root", ":1:"},
		"what is this\n":                                                {file, ":1:"},
		"[containerd]\nnamespace = \"\"\n":                              {file, "namespace", ":2:"},
		"[containerd]\nnamespace = \"a/b\"\n":                           {file, "a/b", ":2:"},
		"[containerd.other]\nnamespace = \"a..b\"\n":                    {file, "a..b", ":2:"},
		"[containerd]\naddress = \"containerd.sock\"\n":                 {file, "absolute", ":2:"},
		"[containerd.other]\naddress = " + strconv.Quote(socket) + "\n": {socket, "our own"},
	} {
		must(t, os.WriteFile(file, []byte(text), 0o600))
		refused(t, args, words...)
	}
}

func TestConfigurationFileGivesWhatTheCommandLineDoesNot(t *testing.T) {
	dir, socket := t.TempDir(), newSocket(t)
	file, root, other := filepath.Join(dir, "clonefs.toml"), filepath.Join(dir, "root"), filepath.Join(dir, "other")
	text := fmt.Sprintf("root = %q\naddress = %q\nlog_level = \"debug\"\n[snapshots]\nclone_threads = 1\n", root, socket)
	must(t, os.WriteFile(file, []byte(text), 0o600))
	for _, run := range []struct {
		root string
		args []string
	}{{root, nil}, {other, []string{"--root", other}}} {
		d, err := harness.Launch(harness.Options{Root: run.root, Socket: socket, Config: file, Args: run.args})
		must(t, err)
		population(t, d.Snapshots("clonefs"))
		checkStore(t, d, map[string]state{"clonefs": read(t, d.Snapshots("clonefs"))})
		must(t, d.Stop())
	}
}

func TestVersionIsPrinted(t *testing.T) {
	output, code := harness.Run(harness.Bound(harness.StopBound), "--version")
	if code != 0 || !strings.Contains(output, "clonefsd") {
		t.Errorf("--version ended with %d: %q", code, output)
	}
}

func TestProbeAnswersAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	output, code := harness.Run(harness.Bound(harness.StopBound), "--probe", dir)
	equal(t, "exit status", code, 0)
	for _, line := range []string{"clonefsd ", "\nfile system: ", "\na file is cloned by one call, sharing its data: ", "\nnames may differ by case: yes\n"} {
		if !strings.Contains("\n"+output, line) {
			t.Errorf("%q is not in\n%s", line, output)
		}
	}
	equal(t, "files left", names(t, dir), "[]")
	if !strings.Contains(output, "\na start ") {
		t.Errorf("nothing is said of a start: %s", output)
	}
	refused(t, []string{"--probe", filepath.Join(dir, "missing")}, "missing", "No such file")
	refused(t, []string{"--probe", dir, "--adopt-content", dir}, "--probe", "one")
}

func TestVolumeOfTheRootIsCheckedBeforeAnythingIsWritten(t *testing.T) {
	harness.NeedRoot(t)
	harness.NeedLinux(t, "it must be APFS, of which there is no second volume here")
	volume := t.TempDir()
	must(t, unix.Mount("none", volume, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=0755"))
	defer unix.Unmount(volume, unix.MNT_DETACH)
	root := filepath.Join(volume, "store")
	d := harness.Start(t, root)
	must(t, d.Stop())
	for _, word := range []string{"mounted nosuid", "mounted noexec", "mount -o remount,exec"} {
		if !strings.Contains(d.Log(), word) {
			t.Errorf("%q is not in the log:\n%s", word, d.Log())
		}
	}
	must(t, os.RemoveAll(root))
	must(t, unix.Mount("", volume, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	refused(t, []string{"--root", root, "--address", newSocket(t)}, root, volume, "read-only", "mount it for writing")
	equal(t, "files made", names(t, volume), "[]")
	output, code := harness.Run(harness.Bound(harness.StopBound), "--probe", volume)
	if code == 0 || !strings.Contains(output, "Read-only") {
		t.Errorf("--probe ended with %d: %s", code, output)
	}
}

func TestCaseMustBeAllowedByABoolean(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clonefs.toml")
	must(t, os.WriteFile(file, []byte("allow_case_insensitive = \"yes\"\n"), 0o600))
	refused(t, []string{"--config", file, "--root", harness.NewRoot(t), "--address", newSocket(t)}, "allow_case_insensitive", "true or false")
	must(t, os.WriteFile(file, []byte("allow_case_insensitive = true\n"), 0o600))
	d, _ := start(t, "--config", file)
	answers(t, d)
}

func TestRootOnTwoVolumesIsRefused(t *testing.T) {
	harness.NeedRoot(t)
	d, s := start(t)
	population(t, s)
	harness.StopClean(t, d)
	for _, folder := range []string{"trees", "trash", "meta", "content", "content/blobs/sha384", "content/ingest"} {
		path := filepath.Join(d.Root, folder)
		must(t, unix.Mount("none", path, "tmpfs", 0, ""))
		refused(t, []string{"--root", d.Root, "--address", newSocket(t)}, folder)
		must(t, unix.Unmount(path, 0))
	}
	d = harness.Start(t, d.Root)
	checkStore(t, d, map[string]state{"clonefs": read(t, d.Snapshots("clonefs"))})
	equal(t, "number of snapshots", len(list(t, d.Snapshots("clonefs"))), 4)
}

// An unmounted database or a wrong --root must never look like "no snapshot is known, sweep all".
func TestTreesWithoutTheirDatabaseAreNeverSwept(t *testing.T) {
	d, s := start(t)
	population(t, s)
	other, _ := start(t)
	harness.StopClean(t, other)
	harness.StopClean(t, d)
	trees, err := d.Trees()
	must(t, err)
	meta, aside := filepath.Join(d.Root, "meta"), filepath.Join(d.Root, "..", "meta aside")
	must(t, os.Rename(meta, aside))

	args := []string{"--root", d.Root, "--address", newSocket(t)}
	refused(t, args, "database")
	_ = os.RemoveAll(meta) // an empty one may have been made
	must(t, os.Rename(filepath.Join(other.Root, "meta"), meta))
	refused(t, args, "database", "store")

	must(t, os.RemoveAll(meta))
	must(t, os.Rename(aside, meta))
	d = harness.Start(t, d.Root)
	checkStore(t, d, map[string]state{"clonefs": read(t, d.Snapshots("clonefs"))})
	now, err := d.Trees()
	must(t, err)
	equal(t, "trees", strings.Join(now, " "), strings.Join(trees, " "))
}

func TestForeignFilesInTheRootAreLeftAlone(t *testing.T) {
	d, s := start(t)
	population(t, s)
	harness.StopClean(t, d)
	mine := filepath.Join(d.Root, "trees", "lost+found")
	must(t, os.Mkdir(mine, 0o700))
	garbage := filepath.Join(d.Root, "trees", "987654321")
	must(t, os.Mkdir(garbage, 0o700))
	harness.Start(t, d.Root)
	if _, err := os.Stat(mine); err != nil {
		t.Errorf("a name that is not decimal was swept: %v", err)
	}
	if _, err := os.Stat(garbage); !os.IsNotExist(err) {
		t.Errorf("a tree that no record knows was not swept: %v", err)
	}
}

// The header record in the database begins with the format number and the UUID of the store.
var header = regexp.MustCompile(`\x08[\x01-\x7e]\x12\$[0-9a-f-]{36}`)

func TestANewerStoreFormatIsRefusedAndLeftAlone(t *testing.T) {
	d, s := start(t)
	population(t, s)
	harness.StopClean(t, d)
	file := filepath.Join(d.Root, "meta", "data.mdb")
	database, err := os.ReadFile(file)
	must(t, err)
	places := header.FindAllIndex(database, -1)
	if len(places) == 0 {
		t.Fatalf("no header record in %s: it looks different now, change this test", file)
	}
	newer := append([]byte(nil), database...)
	for _, place := range places {
		newer[place[0]+1] = 0x7f
	}
	must(t, os.WriteFile(file, newer, 0o600))
	refused(t, []string{"--root", d.Root, "--address", newSocket(t)}, "format", "127")
	refused(t, []string{"--root", d.Root, "--forget-snapshotter", "clonefs"}, "format", "127")

	must(t, os.WriteFile(file, database, 0o600))
	d = harness.Start(t, d.Root)
	s = d.Snapshots("clonefs")
	equal(t, "number of snapshots", len(list(t, s)), 4)
	checkStore(t, d, map[string]state{"clonefs": read(t, s)})
}
