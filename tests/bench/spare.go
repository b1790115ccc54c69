// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	spareCalls = 20
	spareBound = 2 * time.Minute
)

// spareReady compares Prepare of the big tree by a spare with overlayfs, each Prepare when the last one's spare has
// been replaced.
func (b *bench) spareReady() error {
	ours, err := b.launchWith("clonefs-pool", "[snapshots]\npool = \"auto\"\n", "--log-level", "debug")
	if err != nil {
		return err
	}
	defer ours.stop()
	overlay, err := b.launch("overlayfs-big", "--snapshotter", "overlayfs")
	if err != nil {
		return err
	}
	defer overlay.stop()
	sides := []*side{ours, overlay}
	for _, s := range sides {
		if err := s.fillBig(b); err != nil {
			return err
		}
	}
	cold, err := ours.timedPrepare("first", "big") // this one is why spares are made
	if err != nil {
		return err
	}
	var times [2][]time.Duration
	for call := 0; call < spareCalls; call++ {
		if err := ours.awaitSpare(call); err != nil {
			return err
		}
		for i, s := range sides {
			took, err := s.timedPrepare(fmt.Sprintf("child %d", call), "big")
			if err != nil {
				return err
			}
			times[i] = append(times[i], took)
		}
	}
	if b.nativePrepare > 0 {
		limit := atMost(0.35, "x")
		all := median(append([]time.Duration{cold}, times[0]...))
		b.table.add(fmt.Sprintf("Prepare, %d files, default settings, seconds apart, p50 of %d; peer native", b.files, spareCalls+1),
			duration(all), duration(b.nativePrepare), float64(all)/float64(b.nativePrepare), &limit)
	}
	p50, p99 := median(times[0]), slowest(times[0])
	b.table.add(fmt.Sprintf("Prepare, %d files, a spare ready, p50 of %d; peer overlayfs", b.files, spareCalls),
		duration(p50), duration(median(times[1])), float64(p50)/float64(median(times[1])), nil)
	b.table.add("the slowest of them", duration(p99), duration(slowest(times[1])), float64(p99)/float64(slowest(times[1])), nil)
	return nil
}

func slowest(times []time.Duration) time.Duration {
	var most time.Duration
	for _, took := range times {
		if took > most {
			most = took
		}
	}
	return most
}

// awaitSpare waits until more spares were made than calls were answered, and none is being made: then there are the
// tree itself, the first clone, and the spares, taken or not.
func (s *side) awaitSpare(calls int) error {
	quiet := 0
	for end := time.Now().Add(spareBound); quiet < 100; time.Sleep(10 * time.Millisecond) {
		entries, err := os.ReadDir(filepath.Join(s.daemon.Root, "trees"))
		if err != nil {
			return err
		}
		ready := strings.Count(s.daemon.Log(), "is ready after")
		if ready > calls && len(entries) == 2+ready {
			quiet++
		} else {
			quiet = 0
		}
		if time.Now().After(end) {
			return fmt.Errorf("there are %d trees, and %d spares were made", len(entries), ready)
		}
	}
	return s.settle()
}
