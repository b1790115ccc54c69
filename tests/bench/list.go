// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"
)

const listedSize = 64

// list compares List of many blobs, on fresh roots. The peer keeps nothing but files, so it gets them as such.
func (c *contentSides) list() error {
	ours, err := c.launch("clonefs-list")
	if err != nil {
		return err
	}
	defer ours.stop()
	peer, err := c.launch("local-list", "--content-labels=false")
	if err != nil {
		return err
	}
	defer peer.stop()
	blobs, err := newBlobs(c.listed, listedSize)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := ours.writeAll(64, blobs); err != nil {
		return err
	}
	progress("List: %d blobs made in %s", len(blobs), duration(time.Since(began)))
	if err := writeFiles(filepath.Join(peer.daemon.Root, "content", "blobs", "sha256"), blobs); err != nil {
		return err
	}
	rates := make([][]float64, 2)
	err = c.alternately([]*side{ours, peer}, func(round, i int, s *side) error {
		if round == 0 { // also fills the caches
			if err := s.listsExactly(blobs); err != nil {
				return err
			}
			if err := s.settle(); err != nil {
				return err
			}
		}
		count := 0
		u, err := s.measure(func() error { return s.walk(func(page []contentapi.Info) { count += len(page) }) })
		if err != nil {
			return err
		}
		if count != len(blobs) {
			return fmt.Errorf("List has %d blobs, not %d", count, len(blobs))
		}
		progress("List, round %d: %s %s", round+1, s.name, u)
		rates[i] = append(rates[i], float64(count)/u.took.Seconds())
		return nil
	})
	if err != nil {
		return err
	}
	limit := atLeast(3, "x")
	c.table.compare(fmt.Sprintf("List of %d blobs", len(blobs)), rates, rate, &limit)
	return nil
}

func writeFiles(dir string, blobs []*blob) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, b := range blobs {
		if err := os.WriteFile(filepath.Join(dir, b.digest.Encoded()), b.data, 0o444); err != nil {
			return err
		}
	}
	return nil
}

func (s *side) walk(f func(page []contentapi.Info)) error {
	ctx, cancel := streamContext()
	defer cancel()
	stream, err := s.content.List(ctx, &contentapi.ListContentRequest{})
	if err != nil {
		return err
	}
	for {
		answer, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		f(answer.Info)
	}
}

func (s *side) listsExactly(blobs []*blob) error {
	want := make(map[digest.Digest]bool, len(blobs))
	for _, b := range blobs {
		want[b.digest] = true
	}
	wrong := 0
	if err := s.walk(func(page []contentapi.Info) {
		for _, info := range page {
			if !want[info.Digest] || info.Size_ != listedSize {
				wrong++
			}
			delete(want, info.Digest)
		}
	}); err != nil {
		return err
	}
	if wrong != 0 || len(want) != 0 {
		return fmt.Errorf("List has %d wrong blobs and lacks %d", wrong, len(want))
	}
	return nil
}
