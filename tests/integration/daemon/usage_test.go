// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"clonefs/tests/gotool/harness"
)

const mebibyte = 1 << 20

// blob writes a file of whole mebibytes that no file system can compress to nothing.
func blob(path string, mebibytes int) error {
	content := bytes.Buffer{}
	for i := 0; content.Len() < mebibytes*mebibyte; i++ {
		fmt.Fprintf(&content, "%x.", i*2654435761)
	}
	return os.WriteFile(path, content.Bytes(), 0o644)
}

func TestUsageOfACommittedSnapshotIsWhatItAdds(t *testing.T) {
	d, s := start(t)
	must(t, s.LayerBy("base", "", func(dir string) error { return blob(filepath.Join(dir, "big"), 8) }))
	must(t, s.LayerBy("top", "base", func(dir string) error { return blob(filepath.Join(dir, "small"), 1) }))
	must(t, s.Layer("nothing new", "top", nil))
	check := func(key string, minBytes, maxBytes, minInodes, maxInodes int64) {
		t.Helper()
		size, inodes, err := s.Usage(key)
		must(t, err)
		if size < minBytes || size > maxBytes || inodes < minInodes || inodes > maxInodes {
			t.Errorf("usage of %q is %d bytes, %d inodes", key, size, inodes)
		}
	}
	for i := 0; i < 2; i++ {
		check("base", 8*mebibyte, 9*mebibyte, 1, 2)
		check("top", mebibyte, 2*mebibyte, 1, 2)
		check("nothing new", 0, mebibyte/4, 0, 1)
		d, s = restart(t, d)
	}
}

func TestUsageOfAViewIsZero(t *testing.T) {
	_, s := start(t)
	population(t, s)
	size, inodes, err := s.Usage("look")
	must(t, err)
	equal(t, "usage of a view", [2]int64{size, inodes}, [2]int64{0, 0})
}

func TestUsageOfAnActiveSnapshotFollowsWhatIsWritten(t *testing.T) {
	_, s := start(t, "--config", configFile(t, "usage_refresh_seconds = 1"))
	must(t, s.LayerBy("base", "", func(dir string) error { return blob(filepath.Join(dir, "big"), 8) }))
	dir, err := s.Prepare("work", "base")
	must(t, err)
	size, _, err := s.Usage("work")
	must(t, err)
	if size >= mebibyte {
		t.Errorf("an untouched child uses %d bytes", size)
	}
	must(t, blob(filepath.Join(dir, "mine"), 2))
	harness.Eventually(t, 5*time.Second, func() string {
		size, inodes, err := s.Usage("work")
		if err != nil || size < 2*mebibyte || size > 4*mebibyte || inodes < 1 {
			return fmt.Sprintf("usage is %d bytes, %d inodes, %v", size, inodes, err)
		}
		return ""
	})
}

// The CRI asks for every snapshot every ten seconds: that must not walk a big tree each time.
func TestUsageOfABigActiveSnapshotIsCached(t *testing.T) {
	_, s := start(t)
	bigLayer(t, s, 20000)
	_, err := s.Prepare("work", "big")
	must(t, err)
	ask := func() time.Duration {
		began := time.Now()
		_, _, err := s.Usage("work")
		must(t, err)
		return time.Since(began)
	}
	first := ask()
	began := time.Now()
	for i := 0; i < 20; i++ {
		ask()
	}
	t.Logf("the first took %v, 20 more %v", first, time.Since(began))
	if time.Since(began) > 5*first+harness.Bound(200*time.Millisecond) {
		t.Errorf("20 more calls took %v, the first %v", time.Since(began), first)
	}
}
