// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"archive/tar"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/archive"
	"github.com/containerd/containerd/archive/compression"
	"github.com/containerd/continuity/fs"
	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

func init() {
	// What it does with a zstd is libzstd's in Go; a gzip would go to a program, if there is one.
	_ = os.Setenv("CONTAINERD_DISABLE_PIGZ", "1") // fails for names that are none
	logrus.SetLevel(logrus.FatalLevel)            // of xattrs that are ignored
}

// Apply unpacks a layer into a directory by containerd's own code, as its walking differ does, and returns digest and
// size of the uncompressed stream.
func Apply(dir string, blob io.Reader, raw bool) (digest.Digest, int64, error) {
	return apply(dir, blob, raw, nil)
}

// ApplyAsWeMeanIt is Apply, but for the times of directories. containerd sets them when all is unpacked, by name: on
// whatever has that name by then, follows it if it is a link, and refuses the archive if there is nothing. We set them on the
// directory that the entry made or found, if it is still where it was.
func ApplyAsWeMeanIt(dir string, blob io.Reader, raw bool) (digest.Digest, int64, error) {
	return apply(dir, blob, raw, &directories{root: dir})
}

func apply(dir string, blob io.Reader, raw bool, dirs *directories) (digest.Digest, int64, error) {
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
	options := []archive.ApplyOpt{}
	if dirs != nil {
		counted.before = dirs.look
		options = append(options, archive.WithFilter(dirs.filter))
	}
	if _, err := archive.Apply(context.Background(), dir, counted, options...); err != nil {
		return "", 0, err
	}
	counted.before = nil
	if _, err := io.Copy(io.Discard, counted); err != nil {
		return "", 0, err
	}
	return digester.Digest(), counted.n, nil
}

type counter struct {
	io.Reader
	n      int64
	before func()
}

func (c *counter) Read(p []byte) (int, error) {
	if c.before != nil {
		c.before()
	}
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// directories knows the headers of directories, which containerd keeps until the end, and says in them where their
// directories are then. It looks at each one whenever containerd reads on: what was made by then is in its place.
type directories struct {
	root string
	all  []*directory
}

type directory struct {
	header *tar.Header
	path   string // below root; "" once it is gone
	inode  uint64
	born   unix.StatxTimestamp // inode numbers are used again
}

func (d *directories) filter(h *tar.Header) (bool, error) {
	if h.Typeflag == tar.TypeDir {
		parent, base := filepath.Split(h.Name)
		if parent, err := fs.RootPath(d.root, parent); err == nil { // it fails there as well
			path := filepath.Join(parent, filepath.Join("/", base))
			d.all = append(d.all, &directory{header: h, path: strings.TrimPrefix(path, d.root)})
		}
	}
	return true, nil
}

func (d *directories) look() {
	for _, dir := range d.all {
		if dir.path == "" {
			continue
		}
		var st unix.Statx_t
		err := unix.Statx(unix.AT_FDCWD, d.root+dir.path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &st)
		if dir.inode == 0 && err == nil {
			dir.inode, dir.born = st.Ino, st.Btime
			dir.header.Name = dir.path
		}
		if err != nil || dir.inode != st.Ino || dir.born != st.Btime {
			dir.header.Name, dir.path = ".", "" // the root's times are nobody's
		}
	}
}
