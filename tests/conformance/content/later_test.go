// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"context"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/metadata"
	"github.com/containerd/containerd/namespaces"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// What the suites of later versions have and 1.6.20 has not, and what its cases leave open.

func random(size int) ([]byte, digest.Digest) {
	data := make([]byte, size)
	rand.New(rand.NewSource(int64(size))).Read(data)
	return data, digest.FromBytes(data)
}

func readBack(ctx context.Context, t *testing.T, store content.Store, data []byte, blob digest.Digest) {
	t.Helper()
	read, err := content.ReadBlob(ctx, store, ocispec.Descriptor{Digest: blob})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read, data) {
		t.Fatalf("%d bytes were read that are not the %d bytes written", len(read), len(data))
	}
}

// forEachStore runs a test on the bare store and below the database.
func forEachStore(t *testing.T, test func(ctx context.Context, t *testing.T, store content.Store)) {
	for name, start := range map[string]func(context.Context, string) (context.Context, content.Store, func() error, error){
		"bare": bare, "metadata": below()} {
		t.Run(name, func(t *testing.T) {
			ctx, store, cleanup, err := start(namespaces.WithNamespace(context.Background(), "test"), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := cleanup(); err != nil {
					t.Error(err)
				}
			}()
			test(ctx, t, store)
		})
	}
}

// 2.x writes 32 MiB in its case Writer, which its client sends in messages of 8 MiB.
func TestBigMessages(t *testing.T) {
	forEachStore(t, func(ctx context.Context, t *testing.T, store content.Store) {
		const message = 8 << 20
		data, blob := random(32<<20 + 12345)
		w, err := store.Writer(ctx, content.WithRef("big"), content.WithDescriptor(ocispec.Descriptor{Size: int64(len(data)), Digest: blob}))
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{bytes.NewReader(data)}, make([]byte, message)); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(ctx, int64(len(data)), blob); err != nil {
			t.Fatal(err)
		}
		readBack(ctx, t, store, data, blob)
	})
}

// A blob that several namespaces have stays until the last one's is collected; content that no namespace has goes.
func TestGarbageCollectionOfBlobs(t *testing.T) {
	dir := t.TempDir()
	d, backend, err := launch(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	}()
	db, err := openDatabase(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	m := metadata.NewDB(db, backend, nil)
	store := m.ContentStore()
	one := namespaces.WithNamespace(context.Background(), "one")
	two := namespaces.WithNamespace(context.Background(), "two")

	data, blob := random(100000)
	stranger, strangerBlob := random(1000)
	if err := content.WriteBlob(one, backend, "stranger", bytes.NewReader(stranger), ocispec.Descriptor{Digest: strangerBlob}); err != nil {
		t.Fatal(err)
	}
	w, err := backend.Writer(one, content.WithRef("of nobody"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, ctx := range []context.Context{one, two} {
		keep := content.WithLabels(map[string]string{"containerd.io/gc.root": "2026-01-01T00:00:00Z"})
		if err := content.WriteBlob(ctx, store, "blob", bytes.NewReader(data), ocispec.Descriptor{Size: int64(len(data)), Digest: blob}, keep); err != nil {
			t.Fatal(err)
		}
	}
	collect := func() {
		t.Helper()
		if _, err := m.GarbageCollect(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	readBack(one, t, store, data, blob)
	if err := store.Delete(one, blob); err != nil { // without a deletion nothing is collected
		t.Fatal(err)
	}
	collect()
	if _, err := backend.Info(one, strangerBlob); !errdefs.IsNotFound(err) {
		t.Errorf("a blob that no namespace has is still there: %v", err)
	}
	if statuses, err := backend.ListStatuses(one); err != nil || len(statuses) != 0 {
		t.Errorf("ingests that no namespace has are still there: %v, %v", statuses, err)
	}
	readBack(two, t, store, data, blob)
	if err := store.Delete(two, blob); err != nil {
		t.Fatal(err)
	}
	collect()
	if _, err := backend.Info(one, blob); !errdefs.IsNotFound(err) {
		t.Errorf("a blob that all namespaces deleted is still there: %v", err)
	}
}

// A namespace that shares blobs with others does not get a damaged one: it writes it again, for all of them.
func TestADamagedBlobIsHealedByTheNextNamespace(t *testing.T) {
	dir := t.TempDir()
	d, backend, err := launch(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	}()
	db, err := openDatabase(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	store := metadata.NewDB(db, backend, nil).ContentStore()
	one := namespaces.WithNamespace(context.Background(), "one")
	two := namespaces.WithNamespace(context.Background(), "two")
	data, blob := random(100000)
	write := func(ctx context.Context) {
		t.Helper()
		if err := content.WriteBlob(ctx, store, "blob", bytes.NewReader(data), ocispec.Descriptor{Size: int64(len(data)), Digest: blob}); err != nil {
			t.Fatal(err)
		}
	}
	write(one)
	path := filepath.Join(d.Root, "content", "blobs", blob.Algorithm().String(), blob.Encoded())
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, make([]byte, len(data)), 0o444); err != nil {
		t.Fatal(err)
	}
	if _, err := content.ReadBlob(one, store, ocispec.Descriptor{Digest: blob}); err == nil {
		t.Fatal("the damaged blob was read")
	}
	write(two)
	readBack(two, t, store, data, blob)
	readBack(one, t, store, data, blob)
}
