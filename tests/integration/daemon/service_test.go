// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc/codes"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
)

func TestHealthCheckAnswersServing(t *testing.T) {
	d, _ := start(t)
	ctx, cancel := harness.CallContext()
	defer cancel()
	answer, err := health.NewHealthClient(d.Conn).Check(ctx, &health.HealthCheckRequest{})
	must(t, err)
	equal(t, "health", answer.Status, health.HealthCheckResponse_SERVING)
}

func TestUnknownMethodsAndServicesAreUnimplemented(t *testing.T) {
	d, _ := start(t)
	for _, method := range []string{
		"/containerd.services.snapshots.v1.Snapshots/Explode",
		"/containerd.services.snapshots.v1.Nothing/Stat",
		"/a/b", "/", "//",
	} {
		_, err := rawCall(d.Conn, method, nil)
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v", method, err)
		}
	}
	answers(t, d)
}

func TestSocketAndRootAreForTheOwnerOnly(t *testing.T) {
	d, _ := start(t)
	for path, want := range map[string]os.FileMode{d.Socket: os.ModeSocket | 0o600, d.Root: os.ModeDir | 0o700} {
		info, err := os.Stat(path)
		must(t, err)
		equal(t, "mode of "+path, info.Mode(), want)
	}
}

func TestSocketGoesAwayWithTheDaemonAndAStaleOneIsReplaced(t *testing.T) {
	root, socket := harness.NewRoot(t), newSocket(t)
	d, err := harness.Launch(harness.Options{Root: root, Socket: socket})
	must(t, err)
	population(t, d.Snapshots("clonefs"))
	d.Kill()
	if _, err := os.Stat(socket); err != nil {
		t.Fatalf("no stale socket to try this with: %v", err)
	}
	d, err = harness.Launch(harness.Options{Root: root, Socket: socket})
	must(t, err)
	equal(t, "number of snapshots", len(list(t, d.Snapshots("clonefs"))), 4)
	must(t, d.Stop())
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is still there after SIGTERM: %v", err)
	}
}

// newSocket is a path for the socket of a daemon, until the end of the test.
func newSocket(t *testing.T) string {
	t.Helper()
	socket, err := harness.NewSocket()
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(socket)) })
	return socket
}
