// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/mount"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
)

// putImage brings the blobs of an image into the store, once.
func (s *stock) putImage(m *image) error {
	for _, l := range m.layers {
		if s.blobs[l.Digest.String()] {
			continue
		}
		if _, err := s.put(l.file, l.MediaType); err != nil {
			return err
		}
		if s.blobs == nil {
			s.blobs = map[string]bool{}
		}
		s.blobs[l.Digest.String()] = true
	}
	return nil
}

// unpack does what a client does whose blobs are all there: Stat, Prepare, Apply, Commit for each layer that has no
// snapshot. It answers how long each Commit took.
func (s *stock) unpack(m *image) (commits []time.Duration, err error) {
	parent := ""
	for i, name := range m.chain() {
		there, err := s.has(name)
		if err != nil {
			return nil, err
		}
		if !there {
			took, err := s.unpackLayer(m.layers[i], name, parent)
			if err != nil {
				return nil, fmt.Errorf("layer %d: %w", i+1, err)
			}
			commits = append(commits, took)
		}
		parent = name
	}
	return commits, nil
}

func (s *stock) unpackLayer(l *imageLayer, name, parent string) (commit time.Duration, err error) {
	labels := map[string]string{"containerd.io/snapshot.ref": name}
	for key, value := range rooted {
		labels[key] = value
	}
	key := fmt.Sprintf("extract-%d-stck %s", time.Now().Nanosecond(), name)
	mounts, err := s.prepareWith(key, parent, labels)
	if err != nil {
		return 0, err
	}
	applied, err := s.apply(l.Descriptor, mounts)
	if err != nil {
		return 0, err
	}
	if applied.Size_ != l.plain {
		return 0, fmt.Errorf("the answer tells of %d bytes, the archive has %d", applied.Size_, l.plain)
	}
	began := time.Now()
	err = s.commitWith(name, key, labels)
	return time.Since(began), err
}

func (s *stock) has(name string) (bool, error) {
	ctx, cancel := layerContext()
	defer cancel()
	_, err := s.snapshots().Stat(ctx, &snapshotsapi.StatSnapshotRequest{Snapshotter: s.snapshotter, Key: name})
	if status.Code(err) == codes.NotFound {
		return false, nil
	}
	return err == nil, err
}

// list is all snapshots that this side shows.
func (s *stock) list() (all []snapshotsapi.Info, err error) {
	ctx, cancel := layerContext()
	defer cancel()
	stream, err := s.snapshots().List(ctx, &snapshotsapi.ListSnapshotsRequest{Snapshotter: s.snapshotter})
	if err != nil {
		return nil, err
	}
	for {
		answer, err := stream.Recv()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, answer.Info...)
	}
}

// clear removes all snapshots and waits until they are gone from disk.
func (s *stock) clear() error {
	if err := s.removeBut(func(string) bool { return false }); err != nil {
		return err
	}
	return s.awaitIdle() // a spare of what is gone may have been in the making
}

// removeBut removes all snapshots but those that are kept, which keep their parents.
func (s *stock) removeBut(kept func(name string) bool) error {
	for removed := true; removed; {
		all, err := s.list()
		if err != nil {
			return err
		}
		children := map[string]bool{}
		for _, info := range all {
			children[info.Parent] = true
		}
		removed = false
		for _, info := range all {
			if children[info.Name] || kept(info.Name) {
				continue
			}
			if err := s.remove(info.Name); err != nil {
				return fmt.Errorf("removing %s: %w", info.Name, err)
			}
			removed = true
		}
	}
	if err := s.collect(); err != nil {
		return err
	}
	return s.settle()
}

// collect makes containerd remove what it only said was removed. To delete a lease is the way to ask for that.
func (s *stock) collect() error {
	ctx, cancel := layerContext()
	defer cancel()
	if !s.managed {
		_, err := s.snapshots().Cleanup(ctx, &snapshotsapi.CleanupRequest{Snapshotter: s.snapshotter})
		if status.Code(err) == codes.Unimplemented {
			err = nil // native, which has deleted already
		}
		return err
	}
	leases := leasesapi.NewLeasesClient(s.conn)
	if _, err := leases.Create(ctx, &leasesapi.CreateRequest{ID: "collect"}); err != nil {
		return err
	}
	_, err := leases.Delete(ctx, &leasesapi.DeleteRequest{ID: "collect", Sync: true})
	return err
}

// run prepares a container and asks for its mounts, as one is started.
func (s *stock) run(key, parent string) (time.Duration, error) {
	began := time.Now()
	if _, err := s.prepare(key, parent); err != nil {
		return 0, err
	}
	_, err := s.mounts(key)
	return time.Since(began), err
}

func (s *stock) mounts(key string) ([]*types.Mount, error) {
	ctx, cancel := layerContext()
	defer cancel()
	answer, err := s.snapshots().Mounts(ctx, &snapshotsapi.MountsRequest{Snapshotter: s.snapshotter, Key: key})
	if err != nil {
		return nil, err
	}
	return answer.Mounts, nil
}

// mounted calls f with the folder in which a snapshot is mounted.
func mounted(mounts []*types.Mount, f func(root string) error) error {
	all := []mount.Mount{}
	for _, m := range mounts {
		all = append(all, mount.Mount{Type: m.Type, Source: m.Source, Options: m.Options})
	}
	return mount.WithTempMount(context.Background(), all, f)
}

// look lists a committed snapshot by a View, and takes that back.
func (s *stock) look(name string, every uint32) (l *listing, err error) {
	mounts, err := s.view("looking", name)
	if err != nil {
		return nil, err
	}
	err = mounted(mounts, func(root string) (err error) { l, err = listTree(root, every); return })
	if err != nil {
		return nil, err
	}
	if err := s.remove("looking"); err != nil {
		return nil, err
	}
	return l, s.collect()
}

// below is the name by which clonefsd behind a containerd knows a snapshot.
func (s *stock) below(name string) (string, error) {
	all, err := harness.SnapshotsOn(s.worker.Conn, s.snapshotter).List()
	if err != nil {
		return "", err
	}
	for _, info := range all {
		if len(info.Name) > len(name) && info.Name[len(info.Name)-len(name)-1:] == "/"+name {
			return info.Name, nil
		}
	}
	return "", fmt.Errorf("nothing below containerd is called %s", name)
}
