// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"testing"
	"time"
)

// drainBound is how long what was removed may stay in the trash.
const drainBound = 20 * time.Second

// TreePath is ROOT/trees.
func (d *Daemon) TreePath() string { return filepath.Join(d.Root, "trees") }

// TreeOf is the name below ROOT/trees of the tree that a mount source shows.
func (d *Daemon) TreeOf(source string) (string, error) {
	tree := filepath.Dir(source)
	if filepath.Base(source) != "fs" || filepath.Dir(tree) != d.TreePath() {
		return "", fmt.Errorf("mount source %s is not %s/<tree>/fs", source, d.TreePath())
	}
	return filepath.Base(tree), nil
}

// Trees lists ROOT/trees.
func (d *Daemon) Trees() ([]string, error) { return names(d.TreePath()) }

// AwaitTrees waits until ROOT/trees holds exactly the given trees and ROOT/trash nothing.
func (d *Daemon) AwaitTrees(t testing.TB, want []string) {
	t.Helper()
	want = append([]string(nil), want...)
	sort.Strings(want)
	Eventually(t, drainBound, func() string {
		trees, err := d.Trees()
		if err != nil {
			return err.Error()
		}
		if fmt.Sprint(trees) != fmt.Sprint(want) {
			return fmt.Sprintf("ROOT/trees has %v, listed snapshots have %v", trees, want)
		}
		return d.trashProblem()
	})
}

// AwaitDeletion waits until what is in ROOT/trash now is deleted, an error after limit.
func (d *Daemon) AwaitDeletion(limit time.Duration) error {
	trash := filepath.Join(d.Root, "trash")
	before, err := names(trash)
	if err != nil {
		return err
	}
	for end := time.Now().Add(Bound(limit)); time.Now().Before(end); time.Sleep(time.Millisecond) {
		gone := 0
		for _, name := range before {
			if _, err := os.Lstat(filepath.Join(trash, name)); os.IsNotExist(err) {
				gone++
			}
		}
		if gone == len(before) {
			return nil
		}
	}
	return fmt.Errorf("%v in ROOT/trash are still there after %v", before, limit)
}

func (d *Daemon) trashProblem() string {
	trash, err := names(filepath.Join(d.Root, "trash"))
	if err != nil {
		return err.Error()
	}
	if len(trash) != 0 {
		return fmt.Sprintf("ROOT/trash has %v", trash)
	}
	return ""
}

func names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	list := []string{}
	for _, entry := range entries {
		list = append(list, entry.Name())
	}
	sort.Strings(list)
	return list, nil
}
