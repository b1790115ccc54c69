// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

const (
	runBefore = "run of an image"
	runBelow  = "run of an image below another"
)

// runBelowRows compares the first run of an image with its first run after an image on top of it was unpacked, which
// may have taken its tree. There are no spares, which would hide it.
func (r *imageRows) runBelowRows() error {
	sides, err := r.with([]string{oursFull}, r.next)
	if err != nil {
		return err
	}
	return r.runBelow(sides[0])
}

func (r *imageRows) runBelow(s *stock) error {
	for round := 0; round < r.rounds; round++ {
		for turn := 0; turn < 2; turn++ {
			what, unpacked := runBefore, []*image{r.whole}
			if (round+turn)%2 == 1 {
				what, unpacked = runBelow, []*image{r.whole, r.next}
			}
			for _, m := range unpacked {
				if _, err := s.unpack(m); err != nil {
					return err
				}
			}
			if err := s.settle(); err != nil {
				return err
			}
			took, err := s.run("container", r.whole.top())
			if err != nil {
				return err
			}
			r.note(what, s, took)
			if round == 0 && what == runBelow {
				if err := r.checkRun(s, "container", r.whole); err != nil {
					return err
				}
			}
			if err := s.clear(); err != nil {
				return err
			}
		}
	}
	limit := atMost(1.2, "x")
	r.table.compareTimes("run of the image below another one, no spare; before that one came", r.noted(runBelow, s.name), r.noted(runBefore, s.name), &limit)
	return nil
}

// checkRun looks whether a container shows the image, and whether the image shows what it did when it was unpacked.
func (r *imageRows) checkRun(s *stock, key string, m *image) error {
	image, err := r.check(s, m, 0)
	if err != nil {
		return err
	}
	mounts, err := s.mounts(key)
	if err != nil {
		return err
	}
	return mounted(mounts, func(root string) error {
		l, err := listTree(root, 1)
		if err == nil {
			err = l.differs(image)
		}
		return err
	})
}

// secondRows: what is written for an image whose base is there already.
func (r *imageRows) secondRows() error {
	sides, err := r.with([]string{oursFull, overlay}, r.whole, r.second)
	if err != nil {
		return err
	}
	var entries, plain int64
	for _, l := range r.second.layers[1:] {
		entries += int64(l.entries)
		plain += l.plain
	}
	var inodes, disk, written, expected [2][]float64
	err = r.turns(sides, func(round int, s *stock) error {
		i := map[string]int{oursFull: 0, overlay: 1}[s.name]
		if s.name == overlay && round > 0 {
			return nil // it is there to compare the trees with
		}
		if _, err := s.unpack(r.whole); err != nil {
			return err
		}
		if err := s.settle(); err != nil {
			return err
		}
		before, err := bytesWritten(s.worker.Pid())
		if err != nil {
			return err
		}
		f, err := r.unpackOnce(s, r.second, round, "", "unpack of a second image")
		if err != nil {
			return err
		}
		after, err := bytesWritten(s.worker.Pid())
		if err != nil {
			return err
		}
		inodes[i] = append(inodes[i], float64(f.took.inodes))
		disk[i] = append(disk[i], float64(f.took.bytes)/1e6)
		written[i] = append(written[i], float64(after-before)/1e6)
		// One clone, and its layers by themselves and in the clone.
		expected[i] = append(expected[i], float64(len(f.seen.of))+2*float64(entries))
		return s.clear()
	})
	if err != nil {
		return err
	}
	what := fmt.Sprintf("second image on the same base, %d layers: ", secondLayers)
	r.table.compareFigures(what+"inodes", inodes[0], inodes[1], "%.0f", atMost(median(expected[0]), ""))
	r.table.compareFigures(what+"bytes written; overlayfs: containerd", written[0], written[1], "%.1f MB", atMost(float64(plain)*1.1/1e6+1, " MB"))
	r.table.compareFigures(what+"disk", disk[0], disk[1], "%.1f MB", noBar)
	r.table.compareTimes(what+"unpack, sync -f; overlayfs", r.noted("unpack of a second image", oursFull), r.noted("unpack of a second image", overlay), nil)
	r.times.addTimes("second\nimage", r.noted("unpack of a second image", oursFull), r.noted("unpack of a second image", overlay), nil)
	return nil
}

// bytesWritten is what a process gave to write and its like, of files and sockets.
func bytesWritten(pid int) (written int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, err
	}
	for _, line := range strings.Split(string(text), "\n") {
		if n, _ := fmt.Sscanf(line, "wchar: %d", &written); n == 1 {
			return written, nil
		}
	}
	return 0, fmt.Errorf("no wchar in /proc/%d/io", pid)
}

// noteAll shows what several runs took, and notes each.
func (r *imageRows) noteAll(what string, s *stock, times []time.Duration) {
	r.figures[what+s.name] = append(r.figures[what+s.name], times...)
	progress("%s: %s p50 %s, slowest %s", what, s.name, duration(median(times)), duration(slowest(times)))
}
