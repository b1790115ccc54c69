// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	diffapi "github.com/containerd/containerd/api/services/diff/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/content/proxy"
	"github.com/containerd/containerd/namespaces"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"

	"clonefs/tests/gotool/harness"
)

// stock is a way to unpack and to compare layers, all of it seen through one connection: a stock containerd of 1.7 or
// 2.x with clonefs as its snapshotter, differ and content store, or with its own; or, where there is no such
// containerd, clonefsd and the peer themselves.
type stock struct {
	name        string
	conn        *grpc.ClientConn
	snapshotter string
	worker      *harness.Daemon // the one who unpacks, or whose snapshots these are: clonefsd, containerd or the peer
	managed     bool            // by a containerd
	root        string          // where its trees are
	blobs       map[string]bool // of images, that are in its content store
	stop        func()
}

// How long one layer may take.
const layerBound = 30 * time.Minute

const benchNamespace = "bench"

func layerContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(namespaces.WithNamespace(context.Background(), benchNamespace), layerBound)
}

// What nothing here needs is off, on both sides.
const stockConfig = `version = 2
disabled_plugins = [%s"io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime",
  "io.containerd.podsandbox.controller.v1.podsandbox", "io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs",
  "io.containerd.differ.v1.erofs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
`

const snapshotsProxy = `[proxy_plugins.clonefs]
  type = "snapshot"
  address = %[1]q
`

const stockProxies = snapshotsProxy + `[proxy_plugins.clonefs-content]
  type = "content"
  address = %[1]q
[proxy_plugins.clonefs-diff]
  type = "diff"
  address = %[1]q
[plugins."io.containerd.service.v1.diff-service"]
  default = ["clonefs-diff"]
`

// settings are what a side is set up with, if not the defaults of this benchmark.
type settings struct {
	containerd string // program; "": none, the daemon is called directly
	walking    bool   // containerd unpacks and keeps content by itself, as before 1.7
	durability string // default: full
	pool       string // default: off
	args       []string
}

// stockOurs is clonefsd, below a stock containerd if there is one.
func (b *bench) stockOurs(name, durability string) (*stock, error) {
	return b.stockOursWith(name, settings{containerd: b.containerd, durability: durability})
}

func (b *bench) stockOursWith(name string, o settings) (*stock, error) {
	above, err := harness.NewSocket()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(b.dir, name+".clonefsd.toml")
	text := fmt.Sprintf("[snapshots]\npool = %q\n[diff]\ndurability = %q\n[containerd]\naddress = %q\n", or(o.pool, "off"),
		or(o.durability, "full"), above)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	d, err := harness.Launch(harness.Options{Root: filepath.Join(b.dir, name), Args: append([]string{"--config", file}, o.args...)})
	if err != nil {
		return nil, err
	}
	s := &stock{name: name, conn: d.Conn, snapshotter: "clonefs", worker: d, root: d.Root}
	s.stop = func() { endDaemon(d) }
	if o.containerd == "" {
		return s, nil
	}
	config := fmt.Sprintf(stockConfig, `"io.containerd.content.v1.content", `) + fmt.Sprintf(stockProxies, d.Socket)
	if o.walking {
		config = fmt.Sprintf(stockConfig, "") + fmt.Sprintf(snapshotsProxy, d.Socket)
	}
	c, err := b.stockContainerd(name, o.containerd, above, config)
	if err != nil {
		endDaemon(d)
		return nil, err
	}
	s.conn, s.managed = c.Conn, true
	s.stop = func() { endDaemon(c); endDaemon(d) }
	return s, nil
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// stockPeer is a stock containerd with its own snapshotter of that name and the walking differ; or the peer.
func (b *bench) stockPeer(name, snapshotter string) (*stock, error) {
	return b.stockPeerWith(name, snapshotter, settings{containerd: b.containerd})
}

func (b *bench) stockPeerWith(name, snapshotter string, o settings) (*stock, error) {
	var d *harness.Daemon
	var err error
	if o.containerd == "" {
		d, err = harness.Launch(harness.Options{Binary: b.peer, Root: filepath.Join(b.dir, name),
			Args: append([]string{"--snapshotter", snapshotter}, o.args...)})
	} else {
		var socket string
		if socket, err = harness.NewSocket(); err == nil {
			d, err = b.stockContainerd(name, o.containerd, socket, fmt.Sprintf(stockConfig, ""))
		}
	}
	if err != nil {
		return nil, err
	}
	return &stock{name: name, conn: d.Conn, snapshotter: snapshotter, worker: d, managed: o.containerd != "", root: d.Root,
		stop: func() { endDaemon(d) }}, nil
}

func (b *bench) stockContainerd(name, program, socket, config string) (*harness.Daemon, error) {
	file := filepath.Join(b.dir, name+".containerd.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return harness.Launch(harness.Options{Binary: program, Root: filepath.Join(b.dir, name+"-containerd"), Socket: socket,
		Args: []string{"--config", file, "--state", filepath.Join(b.dir, name+"-state")}, Ready: "containerd successfully booted"})
}

func endDaemon(d *harness.Daemon) {
	if err := d.Stop(); err != nil && !strings.Contains(err.Error(), "terminated") {
		progress("%.200v", err)
	}
}

// Garbage is collected when something is removed; this keeps what the rows still need.
var rooted = map[string]string{"containerd.io/gc.root": "bench"}

// put brings a file into the content store.
func (s *stock) put(path, media string) (*types.Descriptor, error) {
	ctx, cancel := layerContext()
	defer cancel()
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	dgst, err := digest.SHA256.FromReader(file)
	if err != nil {
		return nil, err
	}
	size, err := file.Seek(0, 1)
	if err == nil {
		_, err = file.Seek(0, 0)
	}
	if err != nil {
		return nil, err
	}
	store := proxy.NewContentStore(contentapi.NewContentClient(s.conn))
	err = content.WriteBlob(ctx, store, "layer-"+dgst.Encoded(), file, ocispec.Descriptor{Digest: dgst, Size: size}, content.WithLabels(rooted))
	return &types.Descriptor{MediaType: media, Digest: dgst, Size_: size}, err
}

func (s *stock) snapshots() snapshotsapi.SnapshotsClient {
	return snapshotsapi.NewSnapshotsClient(s.conn)
}

func (s *stock) prepare(key, parent string) ([]*types.Mount, error) {
	return s.prepareWith(key, parent, rooted)
}

func (s *stock) prepareWith(key, parent string, labels map[string]string) ([]*types.Mount, error) {
	ctx, cancel := layerContext()
	defer cancel()
	r, err := s.snapshots().Prepare(ctx, &snapshotsapi.PrepareSnapshotRequest{Snapshotter: s.snapshotter, Key: key, Parent: parent, Labels: labels})
	if err != nil {
		return nil, err
	}
	return r.Mounts, nil
}

func (s *stock) view(key, parent string) ([]*types.Mount, error) {
	ctx, cancel := layerContext()
	defer cancel()
	r, err := s.snapshots().View(ctx, &snapshotsapi.ViewSnapshotRequest{Snapshotter: s.snapshotter, Key: key, Parent: parent, Labels: rooted})
	if err != nil {
		return nil, err
	}
	return r.Mounts, nil
}

func (s *stock) commit(name, key string) error {
	return s.commitWith(name, key, rooted)
}

func (s *stock) commitWith(name, key string, labels map[string]string) error {
	ctx, cancel := layerContext()
	defer cancel()
	_, err := s.snapshots().Commit(ctx, &snapshotsapi.CommitSnapshotRequest{Snapshotter: s.snapshotter, Name: name, Key: key, Labels: labels})
	return err
}

func (s *stock) remove(key string) error {
	ctx, cancel := layerContext()
	defer cancel()
	_, err := s.snapshots().Remove(ctx, &snapshotsapi.RemoveSnapshotRequest{Snapshotter: s.snapshotter, Key: key})
	return err
}

// removeAll waits for the end of it: containerd lets its garbage collection delete what was removed.
func (s *stock) removeAll(key string, mounts []*types.Mount) error {
	dir, err := folder(mounts)
	if err == nil {
		err = s.remove(key)
	}
	if err != nil {
		return err
	}
	for end := time.Now().Add(settleBound); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		_, err := os.Stat(dir)
		half, _ := filepath.Glob(filepath.Join(dir, "../../rm-*")) // of overlayfs and native
		if os.IsNotExist(err) && len(half) == 0 {
			return nil
		}
	}
	return fmt.Errorf("%s is still there", dir)
}

func (s *stock) apply(layer *types.Descriptor, mounts []*types.Mount) (*types.Descriptor, error) {
	ctx, cancel := layerContext()
	defer cancel()
	r, err := diffapi.NewDiffClient(s.conn).Apply(ctx, &diffapi.ApplyRequest{Diff: layer, Mounts: mounts})
	if err != nil {
		return nil, err
	}
	return r.Applied, nil
}

func (s *stock) compare(left, right []*types.Mount) (*types.Descriptor, error) {
	ctx, cancel := layerContext()
	defer cancel()
	r, err := diffapi.NewDiffClient(s.conn).Diff(ctx, &diffapi.DiffRequest{Left: left, Right: right, MediaType: layerType + "+gzip", Labels: rooted})
	if err != nil {
		return nil, err
	}
	return r.Diff, nil
}

// settle waits until what was removed is deleted, and what is dirty is written.
func (s *stock) settle() error {
	return (&side{daemon: s.worker}).settle()
}

// folder is where the files of a snapshot are: all mounts here are single binds.
func folder(mounts []*types.Mount) (string, error) {
	if len(mounts) != 1 || mounts[0].Type != "bind" {
		return "", fmt.Errorf("not one bind mount: %v", mounts)
	}
	return mounts[0].Source, nil
}
