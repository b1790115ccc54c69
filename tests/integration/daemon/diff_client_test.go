// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	diffapi "github.com/containerd/containerd/api/services/diff/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/content/proxy"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"clonefs/tests/gotool/harness"
)

// unpacker is a daemon, its three services, and what a test of Apply needs of them.
type unpacker struct {
	d       *harness.Daemon
	s       *harness.Snapshots
	blobs   contents
	differ  diffapi.DiffClient
	serials int
}

const (
	ociLayer    = "application/vnd.oci.image.layer.v1.tar"
	dockerLayer = "application/vnd.docker.image.rootfs.diff.tar"
)

// withoutFlush is the configuration for tests that apply many small layers.
const withoutFlush = "[diff]\ndurability = \"off\"\n"

// startDiff starts a daemon on a root ("": a fresh one) with more settings.
func startDiff(t testing.TB, root, settings string) *unpacker {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clonefsd.toml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return unpackerOf(harness.Start(t, root, "--config", file))
}

func unpackerOf(d *harness.Daemon) *unpacker {
	return &unpacker{d: d, s: d.Snapshots("clonefs"), blobs: contentsOn(d.Conn), differ: diffapi.NewDiffClient(d.Conn)}
}

// fresh is a key or name that was not used before.
func (u *unpacker) fresh(what string) string {
	u.serials++
	return fmt.Sprintf("%s-%d", what, u.serials)
}

// prepared makes an active snapshot and returns its key and where it is.
func (u *unpacker) prepared(t testing.TB, parent string) (key, dir string) {
	t.Helper()
	key = u.fresh("target")
	dir, err := u.s.Prepare(key, parent)
	if err != nil {
		t.Fatal(err)
	}
	return key, dir
}

// removed removes a snapshot, which must work.
func (u *unpacker) removed(t testing.TB, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if err := u.s.Remove(key); err != nil {
			t.Errorf("Remove of %s: %v", key, err)
		}
	}
}

// Fields that this API's Go code does not know yet: ApplyRequest.sync_fs.
var syncFS = []byte{4 << 3, 1}

// request is an Apply of a blob into the snapshot key.
func (u *unpacker) request(media string, blob digest.Digest, size int, key string) (*diffapi.ApplyRequest, error) {
	mounts, err := u.s.Mounts(key)
	if err != nil {
		return nil, err
	}
	return &diffapi.ApplyRequest{Diff: &types.Descriptor{MediaType: media, Digest: blob, Size_: int64(size)}, Mounts: mounts}, nil
}

func (u *unpacker) send(request *diffapi.ApplyRequest) (*types.Descriptor, error) {
	ctx, cancel := context.WithTimeout(context.Background(), harness.Bound(5*time.Minute))
	defer cancel()
	answer, err := u.differ.Apply(ctx, request)
	if err != nil {
		return nil, err
	}
	if answer.Applied == nil {
		return nil, fmt.Errorf("no descriptor in the answer")
	}
	return answer.Applied, nil
}

// put makes a blob by containerd's own code.
func (u *unpacker) put(data []byte) (digest.Digest, error) {
	ctx, cancel := harness.CallContext()
	defer cancel()
	blob := digest.FromBytes(data)
	return blob, content.WriteBlob(ctx, proxy.NewContentStore(u.blobs.api), "layer-"+blob.Encoded(), struct{ io.Reader }{bytes.NewReader(data)}, // which is written in pieces
		ocispec.Descriptor{Digest: blob, Size: int64(len(data))})
}

// apply puts data into our content store and applies it to the snapshot key.
func (u *unpacker) apply(media string, data []byte, key string) (*types.Descriptor, error) {
	blob, err := u.put(data)
	if err != nil {
		return nil, fmt.Errorf("putting the blob: %w", err)
	}
	request, err := u.request(media, blob, len(data), key)
	if err != nil {
		return nil, err
	}
	return u.send(request)
}

// applied checks an Apply that must work, and that the answer tells of the uncompressed stream.
func (u *unpacker) applied(t testing.TB, media string, data, stream []byte, key string) {
	t.Helper()
	got, err := u.apply(media, data, key)
	if err != nil {
		t.Fatalf("Apply of %s to %s: %v", media, key, err)
	}
	if problem := describes(got, stream); problem != "" {
		t.Error(problem)
	}
}

func describes(got *types.Descriptor, stream []byte) string {
	if got.MediaType != ociLayer || got.Digest != digest.FromBytes(stream) || got.Size_ != int64(len(stream)) {
		return fmt.Sprintf("the answer is %v, not %s of %d bytes, %s", got, ociLayer, len(stream), digest.FromBytes(stream))
	}
	return ""
}

// refuses checks an Apply that must fail, and that its target can be removed.
func (u *unpacker) refuses(t *testing.T, media string, data []byte, class codes.Code, words ...string) {
	t.Helper()
	key, _ := u.prepared(t, "")
	_, err := u.apply(media, data, key)
	fails(t, err, class, words...)
	u.removed(t, key)
}

// standIn tells that CLONEFSD is tests/gotool/peer, which is what the tests are tested with.
func standIn() bool { return harness.EnvInt("CLONEFS_STAND_IN", 0) != 0 }

// nothingLeft checks that the disk has the listed snapshots and nothing else.
func (u *unpacker) nothingLeft(t *testing.T) {
	t.Helper()
	if standIn() { // which has another disk
		return
	}
	var trees []string
	for name, info := range list(t, u.s) {
		if info.Kind.String() == "COMMITTED" {
			continue
		}
		dir, err := u.s.Source(name)
		must(t, err)
		tree, err := u.d.TreeOf(dir)
		must(t, err)
		trees = append(trees, tree)
	}
	if len(list(t, u.s)) != len(trees) {
		t.Fatal("a test that leaves committed snapshots cannot be checked so")
	}
	u.d.AwaitTrees(t, trees)
}

// inNamespace is a context of a call made by a client of this namespace.
func inNamespace(ctx context.Context, namespace string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "containerd-namespace", namespace)
}
