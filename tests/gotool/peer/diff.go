// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	diffapi "github.com/containerd/containerd/api/services/diff/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/diff"
	"github.com/containerd/containerd/diff/apply"
	"github.com/containerd/containerd/diff/walking"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/mount"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// differ is containerd's walking differ, served.
type differ struct {
	applier  diff.Applier
	comparer diff.Comparer
}

func newDiffer(store content.Store) *differ {
	return &differ{apply.NewFileSystemApplier(store), walking.NewWalkingDiff(store)}
}

func (d *differ) Apply(ctx context.Context, r *diffapi.ApplyRequest) (*diffapi.ApplyResponse, error) {
	applied, err := d.applier.Apply(ctx, ocispec.Descriptor{MediaType: r.Diff.MediaType, Digest: r.Diff.Digest, Size: r.Diff.Size_}, mounts(r.Mounts))
	if err != nil {
		return nil, errdefs.ToGRPC(err)
	}
	return &diffapi.ApplyResponse{Applied: descriptor(applied)}, nil
}

func (d *differ) Diff(ctx context.Context, r *diffapi.DiffRequest) (*diffapi.DiffResponse, error) {
	made, err := d.comparer.Compare(ctx, mounts(r.Left), mounts(r.Right), diff.WithMediaType(r.MediaType), diff.WithReference(r.Ref),
		diff.WithLabels(r.Labels))
	if err != nil {
		return nil, errdefs.ToGRPC(err)
	}
	return &diffapi.DiffResponse{Diff: descriptor(made)}, nil
}

func mounts(of []*types.Mount) (all []mount.Mount) {
	for _, m := range of {
		all = append(all, mount.Mount{Type: m.Type, Source: m.Source, Options: m.Options})
	}
	return all
}

func descriptor(d ocispec.Descriptor) *types.Descriptor {
	return &types.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size_: d.Size}
}
