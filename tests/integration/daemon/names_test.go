// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"testing"

	"google.golang.org/grpc/codes"

	"clonefs/tests/gotool/harness"
)

func TestSnapshotterNamesDoNotSeeEachOther(t *testing.T) {
	d, one := start(t)
	other := d.Snapshots("another")
	must(t, one.Layer("base", "", harness.Files{"who": "one"}))
	must(t, other.Layer("base", "", harness.Files{"who": "another"}))
	must(t, one.Layer("mine", "base", nil))

	_, err := other.Stat("mine")
	fails(t, err, codes.NotFound)
	_, err = other.Prepare("child", "mine")
	fails(t, err, codes.NotFound)
	fails(t, other.Remove("mine"), codes.NotFound)
	equal(t, "number of snapshots of the first", len(list(t, one)), 2)
	equal(t, "number of snapshots of the other", len(list(t, other)), 1)
	equal(t, "number of snapshots of a third", len(list(t, d.Snapshots("third"))), 0)

	for _, s := range []*harness.Snapshots{one, other} {
		dir, err := s.View("look", "base")
		must(t, err)
		want := "one"
		if s == other {
			want = "another"
		}
		if err := harness.SameFiles(dir, harness.Files{"who": want}); err != nil {
			t.Error(err)
		}
		must(t, s.Remove("look"))
	}
	must(t, other.Remove("base"))
	equal(t, "number of snapshots of the first afterwards", len(list(t, one)), 2)
}

func TestSnapshotterNameAndKeyDoNotRunTogether(t *testing.T) {
	d, _ := start(t)
	_, err := d.Snapshots("ab").Prepare("c", "")
	must(t, err)
	_, err = d.Snapshots("a").Prepare("bc", "")
	must(t, err)
	_, err = d.Snapshots("a").Stat("c")
	fails(t, err, codes.NotFound)
}

func TestForgetSnapshotterRemovesOneNameOnly(t *testing.T) {
	d, gone := start(t)
	kept := d.Snapshots("kept")
	population(t, gone)
	population(t, kept)
	harness.StopClean(t, d)

	output, code := harness.Run(harness.Bound(harness.StopBound), "--root", d.Root, "--forget-snapshotter", "clonefs")
	if code != 0 {
		t.Fatalf("--forget-snapshotter ended with %d: %s", code, output)
	}

	d = harness.Start(t, d.Root)
	gone, kept = d.Snapshots("clonefs"), d.Snapshots("kept")
	equal(t, "number of forgotten snapshots", len(list(t, gone)), 0)
	equal(t, "number of kept snapshots", len(list(t, kept)), 4)
	checkStore(t, d, map[string]state{"kept": read(t, kept)})
	population(t, gone)
}

func TestForgetSnapshotterRefusesWhileTheDaemonRuns(t *testing.T) {
	d, s := start(t)
	population(t, s)
	output, code := harness.Run(harness.Bound(harness.StopBound), "--root", d.Root, "--forget-snapshotter", "clonefs")
	if code <= 0 || output == "" {
		t.Errorf("--forget-snapshotter ended with %d: %q", code, output)
	}
	equal(t, "number of snapshots", len(list(t, s)), 4)
}
