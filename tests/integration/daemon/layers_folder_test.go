// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"testing"
	"time"

	"clonefs/tests/gotool/harness"
)

// layerPath is ROOT/layers.
func layerPath(d *harness.Daemon) string { return filepath.Join(d.Root, "layers") }

// layersOf lists ROOT/layers, which need not be there before there is a layer.
func layersOf(t *testing.T, d *harness.Daemon) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(layerPath(d))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, entry := range entries {
		list = append(list, entry.Name())
	}
	sort.Strings(list)
	return list
}

// layerWith is the folder of the one layer whose manifest has a path.
func layerWith(t *testing.T, d *harness.Daemon, path string) string {
	t.Helper()
	found := []string{}
	for _, id := range layersOf(t, d) {
		folder := filepath.Join(layerPath(d), id)
		manifest, err := os.ReadFile(filepath.Join(folder, "manifest"))
		must(t, err)
		if bytes.Contains(manifest, []byte(path+"\x00")) {
			found = append(found, folder)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%v are the layers with %s", found, path)
	}
	return found[0]
}

// awaitLayers waits until ROOT/layers holds so many.
func awaitLayers(t *testing.T, d *harness.Daemon, count int) {
	t.Helper()
	harness.Eventually(t, 20*time.Second, func() string {
		if layers := layersOf(t, d); len(layers) != count {
			return fmt.Sprintf("ROOT/layers has %v, not %d", layers, count)
		}
		return ""
	})
}

// awaitNothing waits until no tree and no layer is there, nor anything in the trash.
func awaitNothing(t *testing.T, d *harness.Daemon) {
	t.Helper()
	awaitLayers(t, d, 0)
	d.AwaitTrees(t, nil)
}
