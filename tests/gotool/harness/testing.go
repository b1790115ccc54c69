// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

func envInt(name string, fallback int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return fallback
}

// EnvInt is the number in an environment variable, or fallback.
func EnvInt(name string, fallback int) int { return envInt(name, fallback) }

// Main runs the tests of a package; a sanitizer's report in any daemon is a failure.
func Main(m *testing.M, runner string) {
	if Binary() == "" {
		log.Fatalf("CLONEFSD names no daemon to test; %s does that", runner)
	}
	code := m.Run()
	for _, report := range SanitizerReports() {
		fmt.Printf("--- FAIL: a sanitizer report\n%s\n", report)
		code = 1
	}
	os.Exit(code)
}

// Start launches a daemon for a test on root ("": a fresh one). At the end of the test it is stopped if
// it still runs, and must stop cleanly.
func Start(t testing.TB, root string, args ...string) *Daemon {
	t.Helper()
	if root == "" {
		root = NewRoot(t)
	}
	d, err := Launch(Options{Root: root, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the daemon:\n%s", tail(d.Log(), 4000))
		}
		if d.Exited(0) {
			d.close()
		} else if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// Restart stops a daemon cleanly and starts another on the same root.
func Restart(t testing.TB, d *Daemon) *Daemon {
	t.Helper()
	StopClean(t, d)
	return Start(t, d.Root)
}

// StopClean stops a daemon that must exit with 0 in time.
func StopClean(t testing.TB, d *Daemon) {
	t.Helper()
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
}

// NewRoot is a path for a store, in a folder that goes away with the test.
func NewRoot(t testing.TB) string {
	t.Helper()
	return t.TempDir() + "/root"
}

// NeedRoot skips a test that has to mount or to change owners.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("skip: not root")
	}
}

// ForMacOS is true if the daemon was compiled as for macOS, whatever it runs on (tests/darwin).
func ForMacOS() bool { return contains("CLONEFS_DARWIN_LOSSES") || DefaultsOfMacOS() }

// DefaultsOfMacOS is true if it has the defaults of macOS as well; the emulation has those of Linux.
func DefaultsOfMacOS() bool {
	help, _ := Run(Bound(StopBound), "--help")
	return strings.Contains(help, "/private/var/db/")
}

// NeedLinux skips a test of what macOS has not, or has otherwise.
func NeedLinux(t testing.TB, reason string) {
	t.Helper()
	if ForMacOS() {
		t.Skip("skip: on macOS " + reason)
	}
}

// NeedFaults skips a test that needs fault points in the daemon.
func NeedFaults(t testing.TB) {
	t.Helper()
	if !HasFaults() {
		t.Skip("skip: this daemon was built without fault points (BUILD=debug, asan or tsan has them)")
	}
}

// Eventually waits until check answers "", and fails with its last answer after limit.
func Eventually(t testing.TB, limit time.Duration, check func() string) {
	t.Helper()
	var problem string
	for end := time.Now().Add(Bound(limit)); ; time.Sleep(5 * time.Millisecond) {
		if problem = check(); problem == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v: %s", Bound(limit), problem)
		}
	}
}

func tail(text string, limit int) string {
	if len(text) > limit {
		return "..." + text[len(text)-limit:]
	}
	return text
}
