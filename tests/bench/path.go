// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"clonefs/tests/gotool/harness"
)

// path is a stock containerd, and what it keeps blobs in if not in its own store.
type path struct {
	containerd *side
	store      *side // nil: its own
}

// What would need more of the machine is off, on both sides.
const containerdConfig = `version = 2
disabled_plugins = [%s"io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
%s`

const contentProxy = `[proxy_plugins.clonefs-content]
  type = "content"
  address = %q
`

// containerdOn starts Debian's containerd on a root of this name.
func (b *bench) containerdOn(name string, store *side) (*path, error) {
	disabled, proxy := "", ""
	if store != nil {
		disabled, proxy = `"io.containerd.content.v1.content", `, fmt.Sprintf(contentProxy, store.daemon.Socket)
	}
	config := filepath.Join(b.dir, name+".toml")
	if err := os.WriteFile(config, []byte(fmt.Sprintf(containerdConfig, disabled, proxy)), 0o600); err != nil {
		return nil, err
	}
	d, err := harness.Launch(harness.Options{Binary: "/usr/bin/containerd", Root: filepath.Join(b.dir, name),
		Args: []string{"--config", config, "--state", filepath.Join(b.dir, name+"-state")}, Ready: "containerd successfully booted"})
	if err != nil {
		return nil, err
	}
	return &path{&side{name: name, daemon: d, content: contentapi.NewContentClient(d.Conn)}, store}, nil
}

// wholePath compares ctr content ingest of the big blob through a stock containerd with its own store, and with
// clonefsd in its place.
func (c *contentSides) wholePath() error {
	for _, program := range []string{"/usr/bin/containerd", "/usr/bin/ctr"} {
		if _, err := os.Stat(program); err != nil {
			progress("skip: no %s", program)
			return nil
		}
	}
	store, err := c.launch("clonefs-path")
	if err != nil {
		return err
	}
	defer store.stop()
	var paths [2]*path
	for i, below := range []*side{store, nil} {
		if paths[i], err = c.containerdOn(fmt.Sprintf("containerd-%d", i), below); err != nil {
			return err
		}
		defer paths[i].containerd.stop()
	}
	file := filepath.Join(c.dir, "payload")
	if err := os.WriteFile(file, c.big.data, 0o600); err != nil {
		return err
	}
	defer os.Remove(file)

	rates := make([][]float64, 2)
	err = c.alternately([]*side{paths[0].containerd, paths[1].containerd}, func(round, i int, s *side) error {
		if err := s.settle(); err != nil {
			return err
		}
		if below := paths[i].store; below != nil {
			if err := below.settle(); err != nil {
				return err
			}
		}
		u, err := paths[i].ingest(file, c.big)
		if err != nil {
			return err
		}
		rates[i] = append(rates[i], throughput(len(c.big.data), u.took))
		progress("the whole path, round %d: %s %s", round+1, s.name, u)
		if round == 0 {
			if err := paths[i].verify(c.big); err != nil {
				return err
			}
		}
		return paths[i].forget(c.big)
	})
	if err != nil {
		return err
	}
	limit := atLeast(0.8, "x")
	c.table.compare(fmt.Sprintf("ctr content ingest of %s; peer containerd's built-in store", mib(len(c.big.data))), rates, mibPerSecond, &limit)
	return nil
}

func (p *path) ctr(args ...string) *exec.Cmd {
	return exec.Command("/usr/bin/ctr", append([]string{"--address", p.containerd.daemon.Socket}, args...)...)
}

// ingest takes the time of ctr; the CPU of clonefsd is not in it.
func (p *path) ingest(file string, b *blob) (u usage, err error) {
	data, err := os.Open(file)
	if err != nil {
		return u, err
	}
	defer data.Close()
	cmd := p.ctr("content", "ingest", "--expected-size", fmt.Sprint(len(b.data)), "--expected-digest", b.digest.String(), "payload")
	cmd.Stdin = data
	u, err = p.containerd.measure(func() error {
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("ctr content ingest: %w: %s", err, output)
		}
		return nil
	})
	if err == nil {
		u.client = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	return u, err
}

// verify reads by ctr what was ingested, and looks whether it is where it should be.
func (p *path) verify(b *blob) error {
	sum := sha256.New()
	var said bytes.Buffer
	cmd := p.ctr("content", "get", b.digest.String())
	cmd.Stdout, cmd.Stderr = sum, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("ctr content get: %w: %s", err, said.String())
	}
	if read := digest.NewDigest(digest.SHA256, sum); read != b.digest {
		return fmt.Errorf("what ctr reads from %s is %s", b.digest, read)
	}
	there, err := p.has(b)
	if err == nil && !there {
		err = errors.New("the blob is not in the store that is measured")
	}
	return err
}

func (p *path) has(b *blob) (bool, error) {
	if p.store == nil {
		_, err := os.Stat(filepath.Join(p.containerd.daemon.Root, "io.containerd.content.v1.content/blobs/sha256", b.digest.Encoded()))
		if os.IsNotExist(err) {
			return false, nil
		}
		return err == nil, err
	}
	ctx, cancel := harness.CallContext()
	defer cancel()
	_, err := p.store.content.Info(ctx, &contentapi.InfoRequest{Digest: b.digest})
	if err = errdefs.FromGRPC(err); errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// forget deletes the blob and waits for the garbage collection, without which the next ingest would only share it.
func (p *path) forget(b *blob) error {
	for _, args := range []string{"content rm " + b.digest.String(), "leases create --id gc", "leases delete --sync gc"} {
		if output, err := p.ctr(strings.Fields(args)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ctr %s: %w: %s", args, err, output)
		}
	}
	there, err := p.has(b)
	if err == nil && there {
		err = errors.New("the blob is still there after a garbage collection")
	}
	return err
}
