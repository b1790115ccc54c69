// SPDX-License-Identifier: Apache-2.0

// Package difference compares our layers with containerd's own, made from the same trees, and applies them by
// containerd's applier and by ours. TREES names the program tests/tools/trees; the trees are below TMPDIR.
package difference

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/archive"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/history"
	"clonefs/tests/gotool/layer"
)

func trees(t *testing.T, arguments ...string) []byte {
	t.Helper()
	return treesWith(t, nil, arguments...)
}

func treesWith(t *testing.T, input []byte, arguments ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, os.Getenv("TREES"), arguments...)
	command.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("trees %q: %v: %s", arguments, err, stderr.String())
	}
	return out
}

func clone(t *testing.T, from, to string) string {
	t.Helper()
	return strings.TrimSpace(string(trees(t, "clone", from, to)))
}

// walking is what containerd writes for two trees.
func walking(t *testing.T, left, right string) []byte {
	t.Helper()
	out, err := layer.Difference(left, right)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sameLayers fails with the first entry that differs.
func sameLayers(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	t.Errorf("%s: layers differ", what)
	gotEntries, wantEntries := entries(t, got), entries(t, want)
	for i := 0; i < len(gotEntries) || i < len(wantEntries); i++ {
		a, b := "nothing", "nothing"
		if i < len(gotEntries) {
			a = gotEntries[i]
		}
		if i < len(wantEntries) {
			b = wantEntries[i]
		}
		if a != b {
			t.Fatalf("entry %d: %s\ninstead of %s", i, a, b)
		}
	}
	t.Fatal("all entries are equal, their encoding is not")
}

func apply(t *testing.T, root string, data []byte) {
	t.Helper()
	if _, err := archive.Apply(context.Background(), root, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
}

// Random histories. CLONEFS_TEST_SEED repeats a run, CLONEFS_HISTORIES makes it longer.
func TestRandomHistories(t *testing.T) {
	seed := int64(harness.EnvInt("CLONEFS_TEST_SEED", int(time.Now().UnixNano()%1000000000)))
	count := harness.EnvInt("CLONEFS_HISTORIES", 60)
	t.Logf("CLONEFS_TEST_SEED=%d, %d histories", seed, count)
	for i := 0; i < count && !t.Failed(); i++ {
		root := t.TempDir()
		testHistory(t, root, seed+int64(i), i)
		if t.Failed() {
			t.Logf("history %d: CLONEFS_TEST_SEED=%d", i, seed+int64(i))
		}
		if err := os.RemoveAll(root); err != nil {
			t.Fatal(err)
		}
	}
}

func testHistory(t *testing.T, root string, seed int64, number int) {
	left, right, copied := filepath.Join(root, "left"), filepath.Join(root, "right"), filepath.Join(root, "copy")
	if err := os.Mkdir(left, 0o755); err != nil {
		t.Fatal(err)
	}
	h := history.New(t, seed, left)
	h.Xattrs = number%3 == 0
	h.WholeSeconds = number%2 == 0
	h.Run(60)
	if number%4 != 3 { // else the whole clone has one time, and nothing is proven by it
		history.Past()
	}
	cloned := clone(t, left, right)
	if number%4 != 3 {
		history.Past()
	}
	h.Root = right
	h.Run(1 + h.Random.Intn(40))

	compared := trees(t, "difference", left, right)
	proven := trees(t, "difference", left, right, cloned)
	whole := trees(t, "difference", "-", right)
	sameLayers(t, "with and without the time of the clone", proven, compared)
	sameLayers(t, "twice", trees(t, "difference", left, right, cloned), proven)
	if !h.Xattrs {
		sameLayers(t, "against containerd", compared, walking(t, left, right))
		sameLayers(t, "against containerd, nothing on the left", whole, walking(t, "", right))
	}
	clone(t, left, copied)
	apply(t, copied, compared)
	sameTrees(t, copied, right)
	ours, full := filepath.Join(root, "ours"), filepath.Join(root, "full")
	clone(t, left, ours)
	treesWith(t, compared, "apply", ours)
	sameTrees(t, ours, right)
	if err := os.Mkdir(full, 0o755); err != nil {
		t.Fatal(err)
	}
	apply(t, full, whole)
	sameTrees(t, full, right)
}
