// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	commitContainer  = "Commit of a container"
	commitsEachRound = 5
)

// commitRows: containers that have changed ten files are committed, some in each round.
func (r *imageRows) commitRows() error {
	sides, err := r.unpacked([]string{oursFull, overlay}, r.whole)
	if err != nil {
		return err
	}
	err = r.turns(sides, func(round int, s *stock) error {
		for i := 0; i < commitsEachRound; i++ {
			if err := r.commitChanged(s, fmt.Sprintf("%d of round %d", i, round)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.table.worst(fmt.Sprintf("Commit of a container of %d files, %d changed, slowest", r.files, changedFiles), r.noted(commitContainer, oursFull),
		r.noted(commitContainer, overlay), milliseconds(10))
	return clearAll(sides)
}

// commitChanged commits a container of that name in which some files were changed.
func (r *imageRows) commitChanged(s *stock, name string) error {
	mounts, err := s.prepare("container "+name, r.whole.top())
	if err != nil {
		return err
	}
	if err := s.settle(); err != nil { // containers run for longer than it takes to flush their clones
		return err
	}
	if err := mounted(mounts, changeSome); err != nil {
		return err
	}
	began := time.Now()
	if err := s.commit("committed "+name, "container "+name); err != nil {
		return err
	}
	r.note(commitContainer, s, time.Since(began))
	return s.settle()
}

// changeSome rewrites the first files of a tree.
func changeSome(root string) error {
	n := 0
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		if n++; n > changedFiles {
			return fs.SkipDir
		}
		return os.WriteFile(path, []byte("changed\n"), 0o644)
	})
}
