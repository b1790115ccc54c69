// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"

	"clonefs/tests/gotool/harness"
)

// side is one of the two that are compared.
type side struct {
	*harness.Snapshots
	content contentapi.ContentClient
	name    string
	daemon  *harness.Daemon
}

// launch starts clonefsd, without spares, or the peer if there are arguments, on a root of this name.
func (b *bench) launch(name string, args ...string) (*side, error) {
	if len(args) == 0 {
		return b.launchWith(name, "[snapshots]\npool = \"off\"\n")
	}
	return b.start(name, b.peer, args...)
}

// launchWith starts clonefsd with these settings.
func (b *bench) launchWith(name, settings string, args ...string) (*side, error) {
	file := filepath.Join(b.dir, name+".clonefsd.toml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		return nil, err
	}
	return b.start(name, harness.Binary(), append(args, "--config", file)...)
}

func (b *bench) start(name, binary string, args ...string) (*side, error) {
	d, err := harness.Launch(harness.Options{Binary: binary, Root: filepath.Join(b.dir, name), Args: args})
	if err != nil {
		return nil, err
	}
	return &side{d.Snapshots("clonefs"), contentapi.NewContentClient(d.Conn), name, d}, nil
}

func (s *side) stop() {
	if err := s.daemon.Stop(); err != nil && strings.HasPrefix(s.name, "clonefs") {
		log.Print(err)
	}
}

// alternately lets the sides do something one after the other in each round; another one begins each time.
func (b *bench) alternately(sides []*side, f func(round, i int, s *side) error) error {
	for round := 0; round < b.rounds; round++ {
		for turn := range sides {
			i := (round + turn) % len(sides)
			if err := f(round, i, sides[i]); err != nil {
				return fmt.Errorf("%s: %w", sides[i].name, err)
			}
		}
	}
	return nil
}

const settleBound = 5 * time.Minute

// settle waits until everything removed is deleted and all that is dirty is written, so that no side
// pays for what was done before.
func (s *side) settle() error {
	trash := filepath.Join(s.daemon.Root, "trash") // the others delete before they answer
	for end := time.Now().Add(settleBound); ; time.Sleep(5 * time.Millisecond) {
		entries, err := os.ReadDir(trash)
		if os.IsNotExist(err) || err == nil && len(entries) == 0 {
			break
		}
		if err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s still has entries", trash)
		}
	}
	return flushVolume(s.daemon.Root)
}

// prepare does not care for the shape of the mounts: overlayfs has its own.
func (s *side) prepare(key, parent string) error {
	ctx, cancel := harness.CallContext()
	defer cancel()
	_, err := s.API.Prepare(ctx, &snapshotsapi.PrepareSnapshotRequest{Snapshotter: s.Name, Key: key, Parent: parent})
	return err
}

func (s *side) timedPrepare(key, parent string) (time.Duration, error) {
	began := time.Now()
	err := s.prepare(key, parent)
	return time.Since(began), err
}
