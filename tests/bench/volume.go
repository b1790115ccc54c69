// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// flush is sync -f.
func (b *bench) flush() error { return flushVolume(b.dir) }

func flushVolume(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Syncfs(int(dir.Fd()))
}

// used is how much of a volume is taken.
type used struct {
	inodes, bytes int64
}

func (u used) since(before used) used { return used{u.inodes - before.inodes, u.bytes - before.bytes} }

func usedOn(path string) (u used, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return u, err
	}
	return used{int64(st.Files - st.Ffree), int64(st.Blocks-st.Bfree) * st.Bsize}, nil
}

const (
	steadyTime  = 300 * time.Millisecond
	steadyBound = time.Minute
)

// used flushes the volume and waits until its figures stay the same: XFS frees inodes some time after they were removed.
func (b *bench) used() (used, error) {
	if err := b.flush(); err != nil {
		return used{}, err
	}
	last, err := usedOn(b.dir)
	for end := time.Now().Add(steadyBound); err == nil && time.Now().Before(end); {
		time.Sleep(steadyTime)
		if err = b.flush(); err != nil {
			break
		}
		now, failure := usedOn(b.dir)
		if failure != nil || now == last {
			return now, failure
		}
		last = now
	}
	return last, err
}

// sweep removes all that some rows have left on the volume, so that there is room for the next ones.
func (b *bench) sweep() error {
	entries, err := os.ReadDir(b.dir)
	for _, entry := range entries {
		if err == nil {
			err = os.RemoveAll(filepath.Join(b.dir, entry.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("making room: %w", err)
	}
	return b.flush()
}
