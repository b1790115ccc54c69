// SPDX-License-Identifier: Apache-2.0

// Package snapshots runs containerd's own snapshotter suite over our socket.
package snapshots

import (
	"context"
	"testing"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/snapshots"
	"github.com/containerd/containerd/snapshots/proxy"
	"github.com/containerd/containerd/snapshots/testsuite"

	"clonefs/tests/gotool/harness"
)

func TestMain(m *testing.M) { harness.Main(m, "scripts/run-conformance") }

// Each case has a daemon with a root of its own, which must stop cleanly in time after it.
func TestSnapshotterSuite(t *testing.T) {
	harness.NeedRoot(t)
	testsuite.SnapshotterSuite(t, "clonefs", func(_ context.Context, root string) (snapshots.Snapshotter, func() error, error) {
		d, err := harness.Launch(harness.Options{Root: root})
		if err != nil {
			return nil, nil, err
		}
		return proxy.NewSnapshotter(snapshotsapi.NewSnapshotsClient(d.Conn), "clonefs"), d.Stop, nil
	})
}
