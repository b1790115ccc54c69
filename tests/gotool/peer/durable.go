// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/content"
	"github.com/opencontainers/go-digest"
)

// What local.Commit of 1.6.20 flushes: fsync of ingest/HASH/data, then rename to blobs/sha256/HEX, set its times, remove
// ingest/HASH, chmod; nothing after the rename. So an acknowledged blob's data is on disk, but under its old
// name: a power cut may take the new one (the file system writes it out some seconds later). Opening an ingest
// flushes as well: startedat and updatedat are written with O_SYNC.
//
// clonefsd promises data, name and record. durableStore makes the peer promise its equal, as containerd does since
// 2.2: after the rename it flushes the folder of blobs. That is one fsync more for each blob.
type durableStore struct {
	content.Store
	blobs string
}

func newDurableStore(store content.Store, root string) (content.Store, error) {
	blobs := filepath.Join(root, "blobs", "sha256")
	return &durableStore{store, blobs}, os.MkdirAll(blobs, 0o755)
}

func (s *durableStore) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	w, err := s.Store.Writer(ctx, opts...)
	if err != nil {
		return nil, err
	}
	return &durableWriter{w, s.blobs}, nil
}

type durableWriter struct {
	content.Writer
	blobs string
}

func (w *durableWriter) Commit(ctx context.Context, size int64, expected digest.Digest, opts ...content.Opt) error {
	if err := w.Writer.Commit(ctx, size, expected, opts...); err != nil {
		return err
	}
	return flushFolder(w.blobs)
}

func flushFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
