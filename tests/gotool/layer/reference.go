// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"context"
	"io"
	"os"

	"github.com/containerd/containerd/archive"
	"github.com/containerd/containerd/archive/compression"
	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"
)

func init() {
	// What it does with a zstd is libzstd's in Go; a gzip would go to a program, if there is one.
	_ = os.Setenv("CONTAINERD_DISABLE_PIGZ", "1") // fails for names that are none
	logrus.SetLevel(logrus.FatalLevel)            // of xattrs that are ignored
}

// Apply unpacks a layer into a directory by containerd's own code, as its walking differ does, and returns digest and
// size of the uncompressed stream.
func Apply(dir string, blob io.Reader, raw bool) (digest.Digest, int64, error) {
	stream := blob
	if !raw {
		inflated, err := compression.DecompressStream(blob)
		if err != nil {
			return "", 0, err
		}
		defer inflated.Close()
		stream = inflated
	}
	digester := digest.Canonical.Digester()
	counted := &counter{Reader: io.TeeReader(stream, digester.Hash())}
	if _, err := archive.Apply(context.Background(), dir, counted); err != nil {
		return "", 0, err
	}
	if _, err := io.Copy(io.Discard, counted); err != nil {
		return "", 0, err
	}
	return digester.Digest(), counted.n, nil
}

type counter struct {
	io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}
