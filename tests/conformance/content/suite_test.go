// SPDX-License-Identifier: Apache-2.0

// Package content runs containerd's own content suite over our socket: on the bare proxy, and below
// containerd's metadata database, as a stock containerd has it.
package content

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/content/proxy"
	"github.com/containerd/containerd/content/testsuite"
	"github.com/containerd/containerd/metadata"
	"github.com/containerd/containerd/namespaces"
	bolt "go.etcd.io/bbolt"

	"clonefs/tests/gotool/harness"
)

func TestMain(m *testing.M) { harness.Main(m, "scripts/run-conformance") }

// launch starts a daemon for one case, on a root in the case's own folder. It must stop cleanly in time after it.
func launch(dir string) (*harness.Daemon, content.Store, error) {
	d, err := harness.Launch(harness.Options{Root: filepath.Join(dir, "root")})
	if err != nil {
		return nil, nil, err
	}
	return d, proxy.NewContentStore(contentapi.NewContentClient(d.Conn)), nil
}

func bare(ctx context.Context, dir string) (context.Context, content.Store, func() error, error) {
	d, store, err := launch(dir)
	if err != nil {
		return nil, nil, nil, err
	}
	return ctx, store, d.Stop, nil
}

func openDatabase(dir string) (*bolt.DB, error) {
	return bolt.Open(filepath.Join(dir, "metadata.db"), 0o600, nil)
}

// below puts containerd's metadata database on top, and every context into a namespace of its own.
func below(options ...metadata.DBOpt) testsuite.StoreInitFn {
	return func(ctx context.Context, dir string) (context.Context, content.Store, func() error, error) {
		d, store, err := launch(dir)
		if err != nil {
			return nil, nil, nil, err
		}
		db, err := openDatabase(dir)
		if err != nil {
			return nil, nil, nil, first(err, d.Stop())
		}
		var count uint64
		name := testsuite.Name(ctx)
		ctx = testsuite.SetContextWrapper(ctx, func(ctx context.Context) (context.Context, func(context.Context) error, error) {
			namespace := fmt.Sprintf("%s-%d", name, atomic.AddUint64(&count, 1))
			return namespaces.WithNamespace(ctx, namespace), func(context.Context) error { return nil }, nil
		})
		cleanup := func() error { return first(db.Close(), d.Stop()) }
		return ctx, metadata.NewDB(db, store, nil, options...).ContentStore(), cleanup, nil
	}
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestContentSuite(t *testing.T) {
	testsuite.ContentSuite(t, "bare", bare)
}

func TestContentSuiteBelowMetadata(t *testing.T) {
	testsuite.ContentSuite(t, "metadata", below())
	testsuite.ContentCrossNSSharedSuite(t, "shared", below())
	testsuite.ContentCrossNSIsolatedSuite(t, "isolated", below(metadata.WithPolicyIsolated))
}
