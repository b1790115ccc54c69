// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	removeBig   = "Remove of a big container"
	removeSmall = "Remove of a small container"
	emptyTrash  = "trash"
	rmTree      = "rm -rf"
	bigRemove   = 5 // in each round, one by one, each after removePause
	smallRemove = 60
	removePause = 2 * time.Second // one side settles at once, the other within seconds: then both are as cold
)

// removeRows call the snapshotters without a containerd, which only notes what to remove later. The peer deletes when it
// is asked to clean up, as it is set up in containerd.
func (r *imageRows) removeRows() error {
	ours, err := r.stockOursWith("clonefs-alone", settings{})
	if err != nil {
		return err
	}
	defer ours.stop()
	peer, err := r.stockPeerWith("overlayfs-alone", "overlayfs", settings{args: []string{"--async-remove"}})
	if err != nil {
		return err
	}
	defer peer.stop()
	sides := []*stock{ours, peer}
	for _, s := range sides {
		for _, m := range []*image{r.small, r.base} {
			if err := s.putImage(m); err != nil {
				return err
			}
			if _, err := s.unpack(m); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	err = r.turns(sides, func(round int, s *stock) error {
		if err := r.removeContainers(s); err != nil || s == peer {
			return err
		}
		return r.emptyTrash(s, round)
	})
	if err != nil {
		return err
	}
	limit := atMost(1, "x")
	for what, files := range map[string]int{removeBig: r.files, removeSmall: smallFiles(r.files)} {
		r.table.compareTimes(fmt.Sprintf("Remove of a container of %d files, as the caller sees it; overlayfs", files), r.noted(what, ours.name),
			r.noted(what, peer.name), &limit)
	}
	r.table.compareTimes(fmt.Sprintf("the trash is empty after %d files; rm -rf of an equal tree", r.files), r.noted(emptyTrash, ours.name),
		r.noted(rmTree, ours.name), &limit)
	r.times.addTimes("Remove,\nthe call", r.noted(removeBig, ours.name), r.noted(removeBig, peer.name), nil)
	return clearAll(sides)
}

func (r *imageRows) removeContainers(s *stock) error {
	remove := func(what string, m *image, n int, pause time.Duration) error {
		for i := 0; i < n; i++ {
			mounts, err := s.prepare(fmt.Sprintf("container %d", i), m.top())
			if err == nil {
				err = mounted(mounts, changeSome)
			}
			if err != nil {
				return err
			}
		}
		if err := s.settle(); err != nil {
			return err
		}
		time.Sleep(pause)
		var times []time.Duration
		for i := 0; i < n; i++ {
			began := time.Now()
			if err := s.remove(fmt.Sprintf("container %d", i)); err != nil {
				return err
			}
			times = append(times, time.Since(began))
		}
		r.noteAll(what, s, times)
		if err := s.collect(); err != nil {
			return err
		}
		return s.settle()
	}
	for i := 0; i < bigRemove; i++ {
		if err := remove(removeBig, r.base, 1, removePause); err != nil {
			return err
		}
	}
	return remove(removeSmall, r.small, smallRemove, 0)
}

// emptyTrash compares the deletion of a clone in the background, from the call of Remove on, with rm -rf of another one.
func (r *imageRows) emptyTrash(s *stock, round int) error {
	byDaemon := func() error {
		if _, err := s.prepare("to the trash", r.base.top()); err != nil {
			return err
		}
		if err := s.settle(); err != nil {
			return err
		}
		began := time.Now()
		if err := s.remove("to the trash"); err != nil {
			return err
		}
		if err := s.worker.AwaitDeletion(settleBound); err != nil {
			return err
		}
		r.note(emptyTrash, s, time.Since(began))
		return s.settle()
	}
	byHand := func() error {
		mounts, err := s.prepare("by hand", r.base.top())
		if err != nil {
			return err
		}
		if err := s.settle(); err != nil {
			return err
		}
		below, err := filepath.Glob(filepath.Join(mounts[0].Source, "*"))
		if err == nil && len(below) == 0 {
			err = os.ErrNotExist
		}
		if err != nil {
			return err
		}
		began := time.Now()
		if err := exec.Command("rm", append([]string{"-rf", "--"}, below...)...).Run(); err != nil {
			return err
		}
		r.note(rmTree, s, time.Since(began))
		if err := s.remove("by hand"); err != nil {
			return err
		}
		return s.settle()
	}
	first, then := byDaemon, byHand
	if round%2 == 1 {
		first, then = byHand, byDaemon
	}
	if err := first(); err != nil {
		return err
	}
	return then()
}
