// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"clonefs/tests/gotool/harness"
)

var eightFiles = harness.Files{}

func init() {
	for _, name := range []string{"a", "b", "c", "d", "etc/e", "etc/f", "bin/g", "bin/h"} {
		eightFiles[name] = "one of eight"
	}
}

// fill commits the big tree and one of eight files on both sides. Both get the same files.
func (b *bench) fill() error {
	for _, s := range []*side{b.ours, b.native} {
		if err := s.fillBig(b); err != nil {
			return err
		}
		if err := s.Layer("small", "", eightFiles); err != nil {
			return err
		}
		if err := s.settle(); err != nil {
			return err
		}
	}
	return nil
}

func (s *side) fillBig(b *bench) error {
	return s.LayerBy("big", "", func(dir string) (err error) { b.bytes, err = copyUsr(dir, b.files); return })
}

var errEnough = errors.New("enough files")

// copyUsr copies count files of /usr, whatever their size, beginning again in another folder when it has fewer. It
// answers how many bytes they have.
func copyUsr(dir string, count int) (int64, error) {
	return copyWanted(dir, count, func(_ int, _, _ int64) bool { return true })
}

// Files that would make the average bigger than this are left out: 100,000 of them have 2.5 GB.
const averageFile = 25000

// copyTypical is copyUsr with files of such sizes as images have.
func copyTypical(dir string, count int) (int64, error) {
	return copyWanted(dir, count, func(copied int, bytes, size int64) bool { return bytes+size <= int64(copied+1)*averageFile })
}

// copyWanted asks of each file whether it is wanted beside those that are copied.
func copyWanted(dir string, count int, wanted func(copied int, bytes, size int64) bool) (int64, error) {
	left := count
	bytes := int64(0)
	for copyNumber := 1; left > 0; copyNumber++ {
		before := left
		err := copyTree("/usr", filepath.Join(dir, fmt.Sprintf("usr-%d", copyNumber)), &left, &bytes,
			func(size int64) bool { return wanted(count-left, bytes, size) })
		if err != nil && !errors.Is(err, errEnough) {
			return bytes, err
		}
		if left == before {
			return bytes, errors.New("there are no files in /usr")
		}
	}
	return bytes, nil
}

// copyTree leaves out files of sizes that are not wanted.
func copyTree(from, to string, left *int, bytes *int64, wanted func(size int64) bool) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, path[len(from):])
		switch {
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case entry.Type()&fs.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case !entry.Type().IsRegular():
			return nil
		}
		if info, err := entry.Info(); err != nil || !wanted(info.Size()) {
			return err
		}
		return copyFile(path, target, left, bytes)
	})
}

func copyFile(from, to string, left *int, bytes *int64) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	copied, err := io.Copy(target, source)
	*bytes += copied
	if err != nil {
		_ = target.Close()
		return err
	}
	if err := target.Close(); err != nil {
		return err
	}
	if *left--; *left == 0 {
		return errEnough
	}
	return nil
}
