// SPDX-License-Identifier: Apache-2.0

package difference

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/continuity/sysx"
)

// entries describes each entry of an archive with all that its header says.
func entries(t *testing.T, layer []byte) []string {
	t.Helper()
	var list []string
	reader := tar.NewReader(bytes.NewReader(layer))
	for {
		header, err := reader.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatalf("after %q: %v", list, err)
		}
		hash := sha256.New()
		if _, err := io.Copy(hash, reader); err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%q %c -> %q %o %d:%d size %d time %d device %d,%d format %v %q data %x",
			header.Name, header.Typeflag, header.Linkname, header.Mode, header.Uid, header.Gid, header.Size,
			header.ModTime.UnixNano(), header.Devmajor, header.Devminor, header.Format, header.PAXRecords,
			hash.Sum(nil)[:4]))
	}
}

// max: an applier makes times before 1970 to that year.
func max(a, b int64) int64 {
	if a > b {
		return a
	}
	return b
}

// describe has all of a tree that a layer carries. Times of directories are not: a change of them alone is none.
func describe(t *testing.T, root string) map[string]string {
	t.Helper()
	tree := map[string]string{}
	groups := map[uint64]string{}
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err != nil || path == root || info.Mode()&os.ModeSocket != 0 {
			return err
		}
		name := strings.TrimPrefix(path, root)
		stat := info.Sys().(*syscall.Stat_t)
		text := fmt.Sprintf("mode %o owner %d:%d device %d", stat.Mode, stat.Uid, stat.Gid, stat.Rdev)
		if !info.IsDir() {
			if _, ok := groups[stat.Ino]; !ok {
				groups[stat.Ino] = name
			}
			text += fmt.Sprintf(" size %d time %d links %d first %q", stat.Size, max(stat.Mtim.Sec, 0), stat.Nlink, groups[stat.Ino])
		}
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" data %x", sha256.Sum256(data))
		case info.Mode()&os.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" target %q", target)
		}
		xattrs, err := sysx.LListxattr(path)
		if err != nil {
			return err
		}
		sort.Strings(xattrs)
		for _, xattr := range xattrs {
			value, err := sysx.LGetxattr(path, xattr)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %s=%x", xattr, value)
		}
		tree[name] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func sameTrees(t *testing.T, got, want string) {
	t.Helper()
	gotTree, wantTree := describe(t, got), describe(t, want)
	for name, text := range wantTree {
		if gotTree[name] != text {
			t.Errorf("%q is %s\ninstead of %s", name, gotTree[name], text)
		}
	}
	for name := range gotTree {
		if _, ok := wantTree[name]; !ok {
			t.Errorf("%q should not be there", name)
		}
	}
}
