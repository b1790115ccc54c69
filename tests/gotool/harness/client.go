// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"io"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	ptypes "github.com/gogo/protobuf/types"
	"google.golang.org/grpc"
)

// Snapshots is the client of one snapshotter name. No call outlives its own deadline.
type Snapshots struct {
	API  snapshotsapi.SnapshotsClient
	Name string
}

const callBound = 60 * time.Second

// Snapshots returns a client for the snapshotter called name.
func (d *Daemon) Snapshots(name string) *Snapshots { return SnapshotsOn(d.Conn, name) }

// SnapshotsOn is the same on any connection.
func SnapshotsOn(conn *grpc.ClientConn, name string) *Snapshots {
	return &Snapshots{API: snapshotsapi.NewSnapshotsClient(conn), Name: name}
}

// CallContext is a context for one call that must come back.
func CallContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), Bound(callBound))
}

// Prepare makes an active snapshot and returns the one place where its files are.
func (s *Snapshots) Prepare(key, parent string, labels ...string) (string, error) {
	ctx, cancel := CallContext()
	defer cancel()
	r, err := s.API.Prepare(ctx, &snapshotsapi.PrepareSnapshotRequest{
		Snapshotter: s.Name, Key: key, Parent: parent, Labels: labelMap(labels)})
	if err != nil {
		return "", err
	}
	return source(r.Mounts)
}

// View makes a view and returns the one place where its files are.
func (s *Snapshots) View(key, parent string, labels ...string) (string, error) {
	ctx, cancel := CallContext()
	defer cancel()
	r, err := s.API.View(ctx, &snapshotsapi.ViewSnapshotRequest{
		Snapshotter: s.Name, Key: key, Parent: parent, Labels: labelMap(labels)})
	if err != nil {
		return "", err
	}
	return source(r.Mounts)
}

// Source is where the files of an active snapshot or a view are.
func (s *Snapshots) Source(key string) (string, error) {
	mounts, err := s.Mounts(key)
	if err != nil {
		return "", err
	}
	return source(mounts)
}

// Mounts is the bare call.
func (s *Snapshots) Mounts(key string) ([]*types.Mount, error) {
	ctx, cancel := CallContext()
	defer cancel()
	r, err := s.API.Mounts(ctx, &snapshotsapi.MountsRequest{Snapshotter: s.Name, Key: key})
	if err != nil {
		return nil, err
	}
	return r.Mounts, nil
}

// Commit turns the active snapshot key into the committed one name.
func (s *Snapshots) Commit(name, key string, labels ...string) error {
	ctx, cancel := CallContext()
	defer cancel()
	_, err := s.API.Commit(ctx, &snapshotsapi.CommitSnapshotRequest{
		Snapshotter: s.Name, Name: name, Key: key, Labels: labelMap(labels)})
	return err
}

// Remove removes a snapshot.
func (s *Snapshots) Remove(key string) error {
	ctx, cancel := CallContext()
	defer cancel()
	_, err := s.API.Remove(ctx, &snapshotsapi.RemoveSnapshotRequest{Snapshotter: s.Name, Key: key})
	return err
}

// Stat returns what the daemon tells of a snapshot.
func (s *Snapshots) Stat(key string) (snapshotsapi.Info, error) {
	ctx, cancel := CallContext()
	defer cancel()
	r, err := s.API.Stat(ctx, &snapshotsapi.StatSnapshotRequest{Snapshotter: s.Name, Key: key})
	if err != nil {
		return snapshotsapi.Info{}, err
	}
	return r.Info, nil
}

// Update sends info with a mask (nil: none).
func (s *Snapshots) Update(info snapshotsapi.Info, mask ...string) (snapshotsapi.Info, error) {
	ctx, cancel := CallContext()
	defer cancel()
	request := &snapshotsapi.UpdateSnapshotRequest{Snapshotter: s.Name, Info: info}
	if mask != nil {
		request.UpdateMask = &ptypes.FieldMask{Paths: mask}
	}
	r, err := s.API.Update(ctx, request)
	if err != nil {
		return snapshotsapi.Info{}, err
	}
	return r.Info, nil
}

// SetLabels replaces the labels of a snapshot by pairs of key and value.
func (s *Snapshots) SetLabels(key string, labels ...string) error {
	_, err := s.Update(snapshotsapi.Info{Name: key, Labels: labelMap(labels)})
	return err
}

// List collects a whole List.
func (s *Snapshots) List(filters ...string) ([]snapshotsapi.Info, error) {
	var all []snapshotsapi.Info
	err := s.Walk(func(batch []snapshotsapi.Info) error {
		all = append(all, batch...)
		return nil
	}, filters...)
	return all, err
}

// Walk calls f for each message of a List.
func (s *Snapshots) Walk(f func(batch []snapshotsapi.Info) error, filters ...string) error {
	ctx, cancel := CallContext()
	defer cancel()
	stream, err := s.API.List(ctx, &snapshotsapi.ListSnapshotsRequest{Snapshotter: s.Name, Filters: filters})
	if err != nil {
		return err
	}
	for {
		r, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(r.Info); err != nil {
			return err
		}
	}
}

// Usage returns size and inodes.
func (s *Snapshots) Usage(key string) (size, inodes int64, err error) {
	ctx, cancel := CallContext()
	defer cancel()
	r, err := s.API.Usage(ctx, &snapshotsapi.UsageRequest{Snapshotter: s.Name, Key: key})
	if err != nil {
		return 0, 0, err
	}
	return r.Size_, r.Inodes, nil
}

// Cleanup asks for removed data to be freed.
func (s *Snapshots) Cleanup() error {
	ctx, cancel := CallContext()
	defer cancel()
	_, err := s.API.Cleanup(ctx, &snapshotsapi.CleanupRequest{Snapshotter: s.Name})
	return err
}

// source is the directory of a single bind mount, the only shape that we hand out.
func source(mounts []*types.Mount) (string, error) {
	if len(mounts) != 1 || mounts[0].Type != "bind" {
		return "", fmt.Errorf("not one bind mount: %v", mounts)
	}
	return mounts[0].Source, nil
}

// labelMap makes a map of key, value, key, value...
func labelMap(pairs []string) map[string]string {
	if len(pairs) == 0 {
		return nil
	}
	labels := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		labels[pairs[i]] = pairs[i+1]
	}
	return labels
}

// Labels makes a map of key, value, key, value...
func Labels(pairs ...string) map[string]string { return labelMap(pairs) }
