// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"google.golang.org/grpc/codes"

	"clonefs/tests/gotool/harness"
)

// modeAndNames describes a folder, to see that nothing was done to it.
func modeAndNames(t *testing.T, dir string) string {
	t.Helper()
	info, err := os.Stat(dir)
	must(t, err)
	text := info.Mode().String()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, entry := range entries {
		text += " " + entry.Name()
	}
	return text
}

func TestAFolderOfSomebodyElseIsRefusedAsRootAndLeftAlone(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "letter"), nil, 0o644))
	before := modeAndNames(t, dir)
	refused(t, []string{"--root", dir, "--address", newSocket(t)}, dir, "letter", "empty folder")
	refused(t, []string{"--root", dir, "--forget-snapshotter", "clonefs"}, dir, "no store")
	equal(t, "the folder", modeAndNames(t, dir), before)
}

func TestAFreshVolumeIsTakenAsRootAndMayGetOtherFilesLater(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "lost+found"), 0o700))
	d := harness.Start(t, dir)
	population(t, d.Snapshots("clonefs"))
	harness.StopClean(t, d)
	must(t, os.WriteFile(filepath.Join(dir, "letter"), nil, 0o644))
	d = harness.Start(t, dir)
	equal(t, "number of snapshots", len(list(t, d.Snapshots("clonefs"))), 4)
}

// A daemon that is killed while it tries a clone at its start leaves a file; the next one takes it away.
func TestWhatIsLeftOfATriedCloneGoesAtTheNextStart(t *testing.T) {
	d, _ := start(t)
	must(t, d.Stop())
	for _, name := range []string{".clonefs-probe.0", ".clonefs-probe.1"} {
		must(t, os.WriteFile(filepath.Join(d.Root, "trash", name), []byte("c"), 0o600))
	}
	d = harness.Start(t, d.Root)
	equal(t, "trash", names(t, filepath.Join(d.Root, "trash")), "[]")
}

func TestForgetSnapshotterMakesNoStore(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	before := modeAndNames(t, dir)
	refused(t, []string{"--root", dir, "--forget-snapshotter", "clonefs"}, dir, "no store")
	refused(t, []string{"--root", missing, "--forget-snapshotter", "clonefs"}, missing)
	equal(t, "the folder", modeAndNames(t, dir), before)
}

func TestForgetSnapshotterOfAnUnknownNameFailsAndTellsTheKnownOnes(t *testing.T) {
	d, s := start(t)
	forget := func(name string) []string { return []string{"--root", d.Root, "--forget-snapshotter", name} }
	must(t, s.Layer("base", "", nil))
	must(t, d.Snapshots("second").Layer("base", "", nil))
	harness.StopClean(t, d)
	refused(t, forget("clonesf"), d.Root, "clonesf", "clonefs", "second")
	for _, name := range []string{"clonefs", "second"} {
		if output, code := harness.Run(harness.Bound(harness.StopBound), forget(name)...); code != 0 {
			t.Fatalf("--forget-snapshotter %s ended with %d: %s", name, code, output)
		}
	}
	refused(t, forget("clonefs"), "none at all")
}

// With this label containerd takes AlreadyExists for "the layer is here already", looks for it, and shows
// NotFound when it is not: the user would never see why the key is taken.
func TestATakenKeyIsNoAlreadyExistsToARequestForALayer(t *testing.T) {
	_, s := start(t)
	population(t, s)
	const label = "containerd.io/snapshot.ref"
	for _, call := range []func(string, string, ...string) (string, error){s.Prepare, s.View} {
		for _, key := range []string{"work", "look", "top"} {
			_, err := call(key, "base", label, "sha256:aa")
			fails(t, err, codes.FailedPrecondition, key, remedy)
			_, err = call(key, "base")
			fails(t, err, codes.AlreadyExists, key, remedy)
		}
		_, err := call("work", "nothing", label, "sha256:aa")
		fails(t, err, codes.NotFound)
		_, err = call("new", "base", label, "sha256:aa")
		must(t, err)
		must(t, s.Remove("new"))
	}
	equal(t, "number of snapshots", len(list(t, s)), 4)
}

// Filters of one List can cost more than a second for each record. What a client that has gone asked for must
// not go on at the expense of others.
func TestAListThatIsGivenUpEndsAmidTheFiltersOfOneRecord(t *testing.T) {
	const lists = 32
	d, s := start(t)
	_, err := s.Prepare(strings.Repeat("a", 1500), "")
	must(t, err)
	request := &snapshotsapi.ListSnapshotsRequest{
		Snapshotter: "clonefs",
		Filters:     []string{"name~=/((a?){30}){30}b/"},
	}
	whole := func() time.Duration {
		began := time.Now()
		equal(t, "number of snapshots", len(list(t, s, request.Filters...)), 0)
		return time.Since(began)
	}
	givenUpAfter := func(timeout time.Duration) {
		ctx, giveUp := context.WithTimeout(context.Background(), timeout)
		defer giveUp()
		stream, err := s.API.List(ctx, request)
		if err == nil {
			_, err = stream.Recv()
		}
		if err == nil {
			t.Fatal("the list came to an end before it was given up")
		}
	}
	took := whole()
	for took < time.Second { // However slow the daemon is, the 5 s that a record may take are far away.
		request.Filters = append(request.Filters, request.Filters...)
		took = whole()
	}
	after := 2 * took
	for i := 0; i < 3 && after > took+took/2; i++ { // Others on the machine can only add to it.
		givenUpAfter(took / 5)
		after = whole()
		t.Logf("one whole list took %v, after one that was given up it took %v", took, after)
	}
	if after > took+took/2 {
		t.Errorf("after a list that was given up another one took %v; without it takes %v", after, took)
	}
	for i := 0; i < lists; i++ {
		givenUpAfter(took / 20)
	}
	began := time.Now()
	answers(t, d)
	equal(t, "number of snapshots", len(list(t, s)), 1)
	t.Logf("after %d lists that were given up one without filters took %v", lists, time.Since(began))
	if quick := time.Since(began); quick > harness.Bound(200*time.Millisecond) {
		t.Errorf("after %d lists that were given up one without filters took %v", lists, quick)
	}
}
