// SPDX-License-Identifier: Apache-2.0

// Package daemon tests the real clonefsd through its socket, with containerd's client stubs.
//
// CLONEFSD names the program; the stores are below TMPDIR, which scripts/run-daemon-tests puts on XFS.
package daemon

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/history"
	"clonefs/tests/gotool/layer"
)

func TestMain(m *testing.M) {
	if harness.ForMacOS() {
		layer.OddName, history.OddNames = "ÿþ", [2]string{"cafÉ", "ÿ"}
		layer.BareDevices = true
		cloneSteps = []string{"tree.clone.whole", "tree.clone.repair"}
	}
	harness.Main(m, "scripts/run-daemon-tests")
}

// start gives a test a daemon on a fresh root and a client of the snapshotter "clonefs".
func start(t *testing.T, args ...string) (*harness.Daemon, *harness.Snapshots) {
	t.Helper()
	d := harness.Start(t, "", args...)
	return d, d.Snapshots("clonefs")
}

// restart stops the daemon cleanly and goes on with another on the same root.
func restart(t *testing.T, d *harness.Daemon) (*harness.Daemon, *harness.Snapshots) {
	t.Helper()
	d = harness.Restart(t, d)
	return d, d.Snapshots("clonefs")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, not %v", what, got, want)
	}
}

// Texts that containerd 2.x takes for something else (contract 2.2).
var misleading = regexp.MustCompile(`: (conflict|not modified)$|unexpected status [0-9]{3}$`)

// fails checks the class of an error and words that its text must have.
func fails(t *testing.T, err error, class codes.Code, words ...string) {
	t.Helper()
	if status.Code(err) != class {
		t.Errorf("got %v, not the class %v", err, class)
		return
	}
	text := status.Convert(err).Message()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("error text %q does not contain %q", text, word)
		}
	}
	if text == "" || misleading.MatchString(text) {
		t.Errorf("error text %q is empty or means something else to containerd 2", text)
	}
	if len(status.Convert(err).Details()) != 0 {
		t.Errorf("error %q carries details", text)
	}
}

// answers checks that the daemon lives and serves, on the old connection and on a new one.
func answers(t *testing.T, d *harness.Daemon) {
	t.Helper()
	if d.Exited(0) {
		t.Fatalf("the daemon is gone\n%s", d.Log())
	}
	conn, err := harness.Dial(d.Socket)
	must(t, err)
	defer conn.Close()
	for _, s := range []*harness.Snapshots{d.Snapshots("probe"), harness.SnapshotsOn(conn, "probe")} {
		_, err := s.Stat("no such snapshot")
		fails(t, err, codes.NotFound)
	}
}

// list is a List as a map.
func list(t *testing.T, s *harness.Snapshots, filters ...string) map[string]snapshotsapi.Info {
	t.Helper()
	infos, err := s.List(filters...)
	must(t, err)
	byName := map[string]snapshotsapi.Info{}
	for _, info := range infos {
		if _, twice := byName[info.Name]; twice {
			t.Errorf("%q is listed twice", info.Name)
		}
		byName[info.Name] = info
	}
	return byName
}

// same compares all fields.
func same(a, b snapshotsapi.Info) bool { return reflect.DeepEqual(a, b) }

// population makes one snapshot of each kind: base, its child top, the active work and the view look
// on base.
func population(t *testing.T, s *harness.Snapshots) {
	t.Helper()
	must(t, s.Layer("base", "", harness.Files{"etc/hosts": "base\n", "bin/tool": "tool\n"}))
	must(t, s.Layer("top", "base", harness.Files{"etc/hosts": "top\n"}))
	_, err := s.Prepare("work", "base")
	must(t, err)
	_, err = s.View("look", "base")
	must(t, err)
}

// numbered is prefix with a number.
func numbered(prefix string, i int) string { return fmt.Sprintf("%s-%d", prefix, i) }
