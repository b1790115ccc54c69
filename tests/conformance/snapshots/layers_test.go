// SPDX-License-Identifier: Apache-2.0

package snapshots

import (
	"context"
	"fmt"
	"os"
	"testing"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/mount"
	"github.com/containerd/containerd/snapshots"
	"github.com/containerd/containerd/snapshots/proxy"
	"github.com/containerd/continuity/fs/fstest"

	"clonefs/tests/gotool/harness"
)

// layers is a stack of snapshots to which containerd's file-system suite applies its changes, one
// committed snapshot each; what it compares is a mounted view of the top.
type layers struct {
	daemon      *harness.Daemon
	snapshotter snapshots.Snapshotter
	top         string
	count       int
}

type layersKey struct{}

type layerApplier struct{}

func (layerApplier) TestContext(ctx context.Context) (context.Context, func(), error) {
	dir, err := os.MkdirTemp("", "layers-")
	if err != nil {
		return nil, nil, err
	}
	d, err := harness.Launch(harness.Options{Root: dir + "/root"})
	if err != nil {
		return nil, nil, err
	}
	l := &layers{daemon: d, snapshotter: proxy.NewSnapshotter(snapshotsapi.NewSnapshotsClient(d.Conn), "clonefs")}
	cleanup := func() {
		if err := d.Stop(); err != nil {
			panic(err) // the suite has no other way to hear of it
		}
		_ = os.RemoveAll(dir)
	}
	return context.WithValue(ctx, layersKey{}, l), cleanup, nil
}

func (layerApplier) Apply(ctx context.Context, change fstest.Applier) (string, func(), error) {
	return ctx.Value(layersKey{}).(*layers).add(ctx, change)
}

// add commits change as a layer on top, and mounts a view of the result.
func (l *layers) add(ctx context.Context, change fstest.Applier) (string, func(), error) {
	l.count++
	key, name := fmt.Sprintf("active-%d", l.count), fmt.Sprintf("layer-%d", l.count)
	mounts, err := l.snapshotter.Prepare(ctx, key, l.top)
	if err != nil {
		return "", nil, err
	}
	dir, unmount, err := mounted(mounts)
	if err != nil {
		return "", nil, err
	}
	err = change.Apply(dir)
	unmount()
	if err == nil {
		err = l.snapshotter.Commit(ctx, name, key)
	}
	if err != nil {
		return "", nil, err
	}
	l.top = name
	if mounts, err = l.snapshotter.View(ctx, fmt.Sprintf("view-%d", l.count), name); err != nil {
		return "", nil, err
	}
	return mounted(mounts)
}

func mounted(mounts []mount.Mount) (string, func(), error) {
	dir, err := os.MkdirTemp("", "mount-")
	if err != nil {
		return "", nil, err
	}
	if err := mount.All(mounts, dir); err != nil {
		_ = os.Remove(dir)
		return "", nil, err
	}
	return dir, func() {
		if err := mount.UnmountAll(dir, 0); err != nil {
			panic(err)
		}
		_ = os.Remove(dir)
	}, nil
}

// containerd's file-system suite, each step of which becomes a layer.
func TestFileSystemSuite(t *testing.T) {
	harness.NeedRoot(t)
	fstest.FSSuite(t, layerApplier{})
}

// The suite's own case of this name is skipped in 1.6.20, for the sake of overlayfs.
func TestRename(t *testing.T) {
	harness.NeedRoot(t)
	ctx, cleanup, err := layerApplier{}.TestContext(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer cleanup()
	steps := []fstest.Applier{
		fstest.Apply(
			fstest.CreateDir("/dir1", 0o700),
			fstest.CreateFile("/dir1/inside", []byte("moves along"), 0o600),
			fstest.CreateDir("/somefiles", 0o700),
			fstest.CreateFile("/somefiles/f1", []byte("was here first!"), 0o644),
			fstest.CreateFile("/somefiles/f2", []byte("nothing interesting"), 0o644)),
		fstest.Apply(
			fstest.Rename("/dir1", "/dir2"),
			fstest.CreateFile("/somefiles/f1-overwrite", []byte("new content 1"), 0o644),
			fstest.Rename("/somefiles/f1-overwrite", "/somefiles/f1"),
			fstest.Rename("/somefiles/f2", "/somefiles/f3")),
	}
	for i, step := range steps {
		dir, unmount, err := layerApplier{}.Apply(ctx, step)
		if err != nil {
			t.Fatal(err)
		}
		if err := fstest.CheckDirectoryEqualWithApplier(dir, fstest.Apply(steps[:i+1]...)); err != nil {
			t.Error(err)
		}
		unmount()
	}
}
