// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"clonefs/tests/gotool/harness"
)

// On a volume that is nearly full, trees that can be made again go, the one that was not used for the longest time
// first; those that somebody uses stay, and what comes back is what it was.
func TestTreesThatCanBeMadeAgainGoWhenSpaceIsShort(t *testing.T) {
	harness.NeedRoot(t)
	for _, pool := range []string{"auto", "off"} {
		t.Run(pool, func(t *testing.T) {
			volume := smallVolume(t, 100)
			m := startImages(t, filepath.Join(volume, "root"), "pool = \""+pool+"\"")
			m.chain(t, "base", "old")
			m.unpack(t, "shown", "base")
			m.unpack(t, "new", "base")
			_, err := m.s.View("view", "shown")
			must(t, err)
			all := []string{m.trees["base"], m.trees["old"], m.trees["shown"], m.trees["new"]}
			m.d.AwaitTrees(t, all)

			leaveFree(t, volume, "more", 6)
			commitOne(t, m, "first")
			m.d.AwaitTrees(t, []string{m.trees["base"], m.trees["shown"], m.trees["new"], m.trees["first"]})
			commitOne(t, m, "second")
			m.d.AwaitTrees(t, []string{m.trees["base"], m.trees["shown"], m.trees["first"], m.trees["second"]})
			commitOne(t, m, "third")
			must(t, m.s.Remove("third"))
			must(t, os.Remove(filepath.Join(volume, "more")))
			m.d.AwaitTrees(t, []string{m.trees["base"], m.trees["shown"], m.trees["first"], m.trees["second"]})

			m.unchanged(t, "new", "old", "shown", "base")
		})
	}
}

// commitOne makes a snapshot without parent, which is what has the daemon look at the space.
func commitOne(t *testing.T, m *image, name string) {
	t.Helper()
	dir, err := m.s.Prepare(name+" active", "")
	must(t, err)
	m.trees[name] = treeOf(t, m.d, dir)
	must(t, m.s.Commit(name, name+" active"))
}
