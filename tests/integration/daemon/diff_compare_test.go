// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	diffapi "github.com/containerd/containerd/api/services/diff/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/archive/compression"
	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/content/proxy"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/leases"
	"github.com/containerd/containerd/namespaces"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/history"
	"clonefs/tests/gotool/layer"
	"clonefs/tests/gotool/metadata"
)

// comparer is a daemon, and a containerd that it calls back and that keeps its content with it.
type comparer struct {
	*unpacker
	containerd *metadata.Containerd
	socket     string
}

const namespaceOfTests = "tests"

func startCompare(t *testing.T, root, settings string) *comparer {
	t.Helper()
	c := &comparer{socket: newSocket(t)}
	c.unpacker = startDiff(t, root, settings+fmt.Sprintf("\n[containerd]\naddress = %q\nnamespace = %q\n", c.socket, namespaceOfTests))
	c.serve(t)
	return c
}

func (c *comparer) serve(t *testing.T) {
	t.Helper()
	var err error
	c.containerd, err = metadata.Serve(c.socket, filepath.Join(t.TempDir(), "meta.db"), proxy.NewContentStore(c.blobs.api))
	must(t, err)
	t.Cleanup(c.containerd.Close)
}

// compare is a Diff from left (nil: empty) to right.
func (c *comparer) compare(request *diffapi.DiffRequest) (*types.Descriptor, error) {
	ctx, cancel := harness.CallContext()
	defer cancel()
	return c.compareIn(ctx, request)
}

func (c *comparer) compareIn(ctx context.Context, request *diffapi.DiffRequest) (*types.Descriptor, error) {
	answer, err := c.differ.Diff(ctx, request)
	if err != nil {
		return nil, err
	}
	if answer.Diff == nil {
		return nil, fmt.Errorf("no descriptor in the answer")
	}
	return answer.Diff, nil
}

// between is a request for the snapshots of two keys (left "": none).
func (c *comparer) between(t *testing.T, left, right, media string) *diffapi.DiffRequest {
	t.Helper()
	request := &diffapi.DiffRequest{MediaType: media}
	var err error
	if left != "" {
		request.Left, err = c.s.Mounts(left)
		must(t, err)
	}
	request.Right, err = c.s.Mounts(right)
	must(t, err)
	return request
}

// made fetches a layer through containerd, as its clients do, and checks what is said of it. It answers the archive.
func (c *comparer) made(t *testing.T, namespace string, d *types.Descriptor, labels map[string]string) []byte {
	t.Helper()
	ctx := namespaces.WithNamespace(context.Background(), namespace)
	store := c.containerd.DB.ContentStore()
	info, err := store.Info(ctx, d.Digest)
	if err != nil {
		t.Fatalf("containerd does not have the blob: %v", err)
	}
	blob, err := content.ReadBlob(ctx, store, ocispec.Descriptor{Digest: d.Digest, Size: d.Size_})
	must(t, err)
	equal(t, "digest", digest.FromBytes(blob), d.Digest)
	equal(t, "size", info.Size, d.Size_)
	equal(t, "size of what was read", int64(len(blob)), d.Size_)
	inflated, err := compression.DecompressStream(bytes.NewReader(blob))
	must(t, err)
	defer inflated.Close()
	packed := map[string]compression.Compression{ociLayer: compression.Uncompressed, ociLayer + "+gzip": compression.Gzip,
		ociLayer + "+zstd": compression.Zstd}
	equal(t, "compression", inflated.GetCompression(), packed[d.MediaType])
	stream, err := io.ReadAll(inflated)
	must(t, err)
	want := map[string]string{}
	for key, value := range labels {
		want[key] = value
	}
	if d.MediaType != ociLayer {
		want["containerd.io/uncompressed"] = digest.FromBytes(stream).String()
	}
	if len(want)+len(info.Labels) > 0 && !reflect.DeepEqual(info.Labels, want) {
		t.Errorf("the labels are %v, not %v", info.Labels, want)
	}
	return stream
}

// headers lists the entries of an archive with all that is said of them.
func headers(t *testing.T, stream []byte) (list []string) {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(stream))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return list
		}
		must(t, err)
		data, err := io.ReadAll(r)
		must(t, err)
		list = append(list, fmt.Sprintf("%q %c mode %o owner %d:%d %q %q size %d mtime %v link %q device %d,%d format %v %v %s", h.Name, h.Typeflag,
			h.Mode, h.Uid, h.Gid, h.Uname, h.Gname, h.Size, h.ModTime.UnixNano(), h.Linkname, h.Devmajor, h.Devminor, h.Format, h.PAXRecords,
			digest.FromBytes(data)[7:15]))
	}
}

// sameEntries compares two archives, entry by entry.
func sameEntries(t *testing.T, got, want []byte) {
	t.Helper()
	ours, theirs := headers(t, got), headers(t, want)
	for i := 0; i < len(ours) && i < len(theirs); i++ {
		if ours[i] != theirs[i] {
			t.Errorf("entry %d is\n%s, containerd's is\n%s", i, ours[i], theirs[i])
			return
		}
	}
	equal(t, "number of entries", len(ours), len(theirs))
}

// What containerd's applier and layers do not carry.
var carried = layer.Comparison{WholeTimes: true, IgnoreRoot: true, Attribute: func(name string) bool {
	return name == "security.capability" || strings.HasPrefix(name, "user.")
}}

const compareHistories = 40

// Random changes of a container, through all of the daemon: the layer that Diff makes has the entries of containerd's,
// and applied to the left side gives the right one. From CLONEFS_TEST_SEED, CLONEFS_HISTORIES of them.
func TestDiffLayersOfRandomHistories(t *testing.T) {
	needClonefs(t)
	harness.NeedRoot(t)
	seed := int64(harness.EnvInt("CLONEFS_TEST_SEED", int(time.Now().UnixNano()%1000000000)))
	count := harness.EnvInt("CLONEFS_HISTORIES", compareHistories)
	t.Logf("CLONEFS_TEST_SEED=%d, %d histories", seed, count)
	c := startCompare(t, "", withoutFlush)
	entries, labels := 0, madeLabels{}
	for i := 0; i < count && !t.Failed(); i++ {
		entries += c.history(t, seed+int64(i), labels)
	}
	t.Logf("%d entries", entries)
	if count >= compareHistories && entries < 5*count {
		t.Errorf("only %d entries in %d layers", entries, count)
	}
	c.nothingLeft(t)
}

var madeTypes = []string{"", ociLayer, ociLayer + "+gzip", ociLayer + "+zstd"}

// madeLabels are those of layers: a blob that is there already keeps its own and gets those it lacks.
type madeLabels map[digest.Digest]map[string]string

func (m madeLabels) of(d *types.Descriptor, given map[string]string) map[string]string {
	if m[d.Digest] == nil {
		m[d.Digest] = map[string]string{}
	}
	for key, value := range given {
		if _, there := m[d.Digest][key]; !there {
			m[d.Digest][key] = value
		}
	}
	return m[d.Digest]
}

func (c *comparer) history(t *testing.T, seed int64, labels madeLabels) int {
	t.Helper()
	number := int(seed)
	defer func() {
		if t.Failed() {
			t.Logf("CLONEFS_TEST_SEED=%d CLONEFS_HISTORIES=1", seed)
		}
	}()
	key, left := c.prepared(t, "")
	h := history.New(t, seed, left)
	h.Xattrs = number%4 == 3 // which containerd's layers do not have
	h.WholeSeconds = number%2 == 0
	h.Run(40)
	base := c.fresh("base")
	must(t, c.s.Commit(base, key))
	history.Past()
	right, dir := c.prepared(t, base)
	look, target := c.fresh("look"), c.fresh("target")
	left, err := c.s.View(look, base)
	must(t, err)
	history.Past()
	h.Root = dir
	h.Run(1 + h.Random.Intn(30))

	media := madeTypes[number/2%len(madeTypes)]
	request := c.between(t, look, right, media)
	request.Labels = map[string]string{"a": fmt.Sprint(number)}
	d, err := c.compare(request)
	must(t, err)
	if media == "" {
		media = ociLayer + "+gzip"
	}
	equal(t, "media type", d.MediaType, media)
	stream := c.made(t, namespaceOfTests, d, labels.of(d, request.Labels))
	again, err := c.compare(request)
	must(t, err)
	equal(t, "digest of a second run", again.Digest, d.Digest)
	if !h.Xattrs {
		want, err := layer.Difference(left, dir)
		must(t, err)
		sameEntries(t, stream, want)
	}
	// The whole tree as one layer.
	whole, err := c.compare(c.between(t, "", right, ociLayer))
	must(t, err)
	full := c.made(t, namespaceOfTests, whole, labels.of(whole, nil))
	if !h.Xattrs {
		want, err := layer.Difference("", dir)
		must(t, err)
		sameEntries(t, full, want)
	}
	for parent, blob := range map[string]*types.Descriptor{base: d, "": whole} {
		made, err := c.s.Prepare(target, parent)
		must(t, err)
		apply, err := c.request(blob.MediaType, blob.Digest, int(blob.Size_), target)
		must(t, err)
		_, err = c.send(apply)
		must(t, err)
		got, err := layer.Scan(made)
		must(t, err)
		want, err := layer.Scan(dir)
		must(t, err)
		if blob == d {
			forgetTimesOfDirs(t, got, want, stream)
		}
		for _, problem := range carried.Compare(bounded(got), bounded(want)) {
			t.Errorf("applied to %q: %s", parent, problem)
		}
		must(t, c.s.Remove(target))
	}
	must(t, c.s.Remove(look))
	must(t, c.s.Remove(right))
	must(t, c.s.Remove(base))
	return len(headers(t, stream))
}

// forgetTimesOfDirs: a directory of which nothing but the time has changed is in no layer, ours or containerd's.
func forgetTimesOfDirs(t *testing.T, got, want layer.Tree, stream []byte) {
	t.Helper()
	entries := map[string]bool{}
	for r := tar.NewReader(bytes.NewReader(stream)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		entries[strings.TrimSuffix(h.Name, "/")] = true
	}
	for path, node := range want {
		if node.Mode&unix.S_IFMT == unix.S_IFDIR && !entries[path] && got[path] != nil {
			got[path].Modified = node.Modified
		}
	}
}

// bounded: an applier makes 1970 of a time before that.
func bounded(tree layer.Tree) layer.Tree {
	for _, node := range tree {
		if node.Modified.Unix() < 0 {
			node.Modified = time.Unix(0, 0)
		}
	}
	return tree
}

// changed makes a base of count files and a container on it in which ten are changed.
func (c *comparer) changed(t *testing.T, count int) (look, right string) {
	t.Helper()
	must(t, c.s.LayerBy("base", "", func(dir string) error { return harness.Fill(dir, count) }))
	_, err := c.s.View("look", "base")
	must(t, err)
	history.Past()
	dir, err := c.s.Prepare("right", "base")
	must(t, err)
	history.Past()
	for i := 0; i < 10; i++ {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("d%d/f%d", i, i*100)), []byte(fmt.Sprintf("changed %d\n", i)), 0o644))
	}
	return "look", "right"
}

var filesRead = regexp.MustCompile(`compared snapshot .* with .*: (\d+) entries, (\d+) of (\d+) files read`)

// The log tells how many files were read: those that changed and no others.
func TestDiffReadsWhatHasChanged(t *testing.T) {
	needClonefs(t)
	c := startCompare(t, "", "")
	look, right := c.changed(t, 3000)
	d, err := c.compare(c.between(t, look, right, ""))
	must(t, err)
	equal(t, "entries", len(headers(t, c.made(t, namespaceOfTests, d, nil))), 20)
	found := filesRead.FindStringSubmatch(c.d.Log())
	if found == nil {
		t.Fatal("the log does not tell what was read")
	}
	equal(t, "entries in the log", found[1], "20")
	equal(t, "files read", found[2], "10")
}

func TestDiffSourceDateEpoch(t *testing.T) {
	needClonefs(t)
	c := startCompare(t, "", "")
	look, right := c.changed(t, 1000)
	dir, err := c.s.Source(right)
	must(t, err)
	must(t, os.Remove(filepath.Join(dir, "d5/f555")))
	old := time.Unix(1000000000, 0)
	must(t, os.Chtimes(filepath.Join(dir, "d0/f0"), old, old))
	const epoch = 1500000000
	stamp := binary.AppendUvarint([]byte{1 << 3}, epoch)
	field := append([]byte{6<<3 | 2, byte(len(stamp))}, stamp...)
	digests := map[digest.Digest]bool{}
	for i := 0; i < 2; i++ {
		request := c.between(t, look, right, ociLayer+"+gzip")
		request.XXX_unrecognized = field
		d, err := c.compare(request)
		must(t, err)
		digests[d.Digest] = true
		r := tar.NewReader(bytes.NewReader(c.made(t, namespaceOfTests, d, nil)))
		for n := 0; ; n++ {
			h, err := r.Next()
			if err == io.EOF {
				equal(t, "entries", n, 21)
				break
			}
			must(t, err)
			if h.ModTime.Unix() > epoch {
				t.Errorf("%s is of %v", h.Name, h.ModTime)
			}
			if h.Name == "d0/f0" && !h.ModTime.Equal(old) {
				t.Errorf("%s is of %v, though it was older than that", h.Name, h.ModTime)
			}
		}
		// The same changes at another time give the same layer.
		for n := 1; n < 10; n++ {
			must(t, os.Chtimes(filepath.Join(dir, fmt.Sprintf("d%d/f%d", n, n*100)), time.Now(), time.Now()))
		}
	}
	equal(t, "number of digests", len(digests), 1)
}

// leasesOf lists the leases of a namespace, and what each of them holds.
func (c *comparer) leasesOf(t *testing.T, namespace string) map[string]string {
	t.Helper()
	ctx := namespaces.WithNamespace(context.Background(), namespace)
	all, err := c.containerd.Leases.List(ctx)
	must(t, err)
	held := map[string]string{}
	for _, lease := range all {
		resources, err := c.containerd.Leases.ListResources(ctx, lease)
		must(t, err)
		held[lease.ID] = fmt.Sprint(resources)
		if expire, there := lease.Labels["containerd.io/gc.expire"]; there {
			at, err := time.Parse(time.RFC3339, expire)
			if err != nil || time.Until(at) < 10*time.Minute || time.Until(at) > 25*time.Hour {
				t.Errorf("lease %s expires at %q (%v)", lease.ID, expire, err)
			}
			held[lease.ID] += " expires"
		}
	}
	return held
}

func (c *comparer) has(namespace string, blob digest.Digest) bool {
	_, err := c.containerd.DB.ContentStore().Info(namespaces.WithNamespace(context.Background(), namespace), blob)
	return err == nil
}

func TestDiffLayersAreLeasedInTheNamespaceOfTheCaller(t *testing.T) {
	needClonefs(t)
	c := startCompare(t, "", "")
	look, right := c.changed(t, 1000)
	collect := func() {
		t.Helper()
		_, err := c.containerd.DB.GarbageCollect(context.Background())
		must(t, err)
	}
	for _, namespace := range []string{"one", "two"} { // in the second one the blob is there, but for another namespace
		ctx, cancel := harness.CallContext()
		defer cancel()
		d, err := c.compareIn(inNamespace(ctx, namespace), c.between(t, look, right, ""))
		must(t, err)
		c.made(t, namespace, d, nil)
		collect()
		if !c.has(namespace, d.Digest) || c.has(namespaceOfTests, d.Digest) {
			t.Error("the blob is in the wrong namespace, or nothing protects it")
		}
		held := c.leasesOf(t, namespace)
		equal(t, "number of leases", len(held), 1)
		for id, what := range held {
			if !strings.Contains(what, d.Digest.String()) || !strings.Contains(what, "expires") {
				t.Errorf("lease %s holds %s", id, what)
			}
			must(t, c.containerd.Leases.Delete(namespaces.WithNamespace(context.Background(), namespace), leases.Lease{ID: id}))
		}
		collect()
		if c.has(namespace, d.Digest) {
			t.Error("the blob outlives its lease")
		}
	}
	equal(t, "leases elsewhere", len(c.leasesOf(t, namespaceOfTests)), 0)

	// Under the caller's lease there is no other.
	inOne := namespaces.WithNamespace(context.Background(), "one")
	_, err := c.containerd.Leases.Create(inOne, leases.WithID("mine"))
	must(t, err)
	ctx, cancel := harness.CallContext()
	defer cancel()
	d, err := c.compareIn(leases.WithLease(inNamespace(ctx, "one"), "mine"), c.between(t, look, right, ""))
	must(t, err)
	collect()
	c.made(t, "one", d, nil)
	held := c.leasesOf(t, "one")
	if len(held) != 1 || !strings.Contains(held["mine"], d.Digest.String()) {
		t.Errorf("the leases are %v", held)
	}
	// Once more, though it is there: under another lease it must be held by that one, too.
	_, err = c.containerd.Leases.Create(inOne, leases.WithID("other"))
	must(t, err)
	_, err = c.compareIn(leases.WithLease(inNamespace(ctx, "one"), "other"), c.between(t, look, right, ""))
	must(t, err)
	must(t, c.containerd.Leases.Delete(inOne, leases.Lease{ID: "mine"}))
	collect()
	if !c.has("one", d.Digest) {
		t.Errorf("the second lease does not hold the blob: %v", c.leasesOf(t, "one"))
	}
	// A caller without a namespace: the key of the snapshot tells it.
	must(t, c.s.Layer("three/1/base", "", harness.Files{"a": "b"}))
	_, err = c.s.Prepare("three/2/right", "three/1/base")
	must(t, err)
	d, err = c.compare(c.between(t, "", "three/2/right", ""))
	must(t, err)
	c.made(t, "three", d, nil)
}

func TestDiffABlobThatIsThereAlready(t *testing.T) {
	needClonefs(t)
	c := startCompare(t, "", "")
	look, right := c.changed(t, 1000)
	request := c.between(t, look, right, "")
	d, err := c.compare(request)
	must(t, err)
	ctx := namespaces.WithNamespace(context.Background(), namespaceOfTests)
	store := c.containerd.DB.ContentStore()
	// Without the label, and with labels of its own, as if somebody had pulled it.
	_, err = store.Update(ctx, content.Info{Digest: d.Digest, Labels: map[string]string{"theirs": "1"}}, "labels")
	must(t, err)
	request.Labels = map[string]string{"ours": "2"}
	again, err := c.compare(request)
	must(t, err)
	equal(t, "digest", again.Digest, d.Digest)
	c.made(t, namespaceOfTests, again, map[string]string{"theirs": "1", "ours": "2"})
}

// A ref of the caller's may hold something, complete or not.
func TestDiffRefsOfTheCaller(t *testing.T) {
	needClonefs(t)
	c := startCompare(t, "", "")
	look, right := c.changed(t, 1000)
	ctx := namespaces.WithNamespace(context.Background(), namespaceOfTests)
	store := c.containerd.DB.ContentStore()
	w, err := store.Writer(ctx, content.WithRef("mine"))
	must(t, err)
	_, err = w.Write([]byte("what was there before"))
	must(t, err)
	request := c.between(t, look, right, "")
	request.Ref = "mine"
	if _, err := c.compare(request); status.Code(err) != codes.Unavailable {
		t.Errorf("a ref that somebody else writes to: %v", err)
	}
	must(t, w.Close())
	d, err := c.compare(request)
	must(t, err)
	c.made(t, namespaceOfTests, d, nil)
	statuses, err := store.ListStatuses(ctx)
	must(t, err)
	equal(t, "number of ingests left", len(statuses), 0)
}

func TestDiffRequestsThatAreForOthers(t *testing.T) {
	needClonefs(t)
	c := startCompare(t, "", "")
	look, right := c.changed(t, 1000)
	good := c.between(t, look, right, "")
	for what, change := range map[string]func(r *diffapi.DiffRequest){
		"media type":        func(r *diffapi.DiffRequest) { r.MediaType = "text/plain" },
		"docker":            func(r *diffapi.DiffRequest) { r.MediaType = dockerLayer + ".gzip" },
		"encrypted":         func(r *diffapi.DiffRequest) { r.MediaType = ociLayer + "+gzip+encrypted" },
		"right elsewhere":   func(r *diffapi.DiffRequest) { r.Right = []*types.Mount{{Type: "bind", Source: t.TempDir()}} },
		"left elsewhere":    func(r *diffapi.DiffRequest) { r.Left = []*types.Mount{{Type: "bind", Source: t.TempDir()}} },
		"overlay":           func(r *diffapi.DiffRequest) { r.Right = []*types.Mount{{Type: "overlay", Source: r.Right[0].Source}} },
		"two on the right":  func(r *diffapi.DiffRequest) { r.Right = append(r.Right, r.Left...) },
		"two on the left":   func(r *diffapi.DiffRequest) { r.Left = append(r.Left, r.Right...) },
		"none on the right": func(r *diffapi.DiffRequest) { r.Right = nil },
	} {
		request := *good
		request.Right, request.Left = append([]*types.Mount(nil), good.Right...), append([]*types.Mount(nil), good.Left...)
		change(&request)
		if _, err := c.compare(&request); status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v", what, err)
		}
	}
	equal(t, "calls of containerd", c.containerd.Calls("/containerd.services.leases.v1.Leases/Create"), int64(0))
	_, err := c.compare(good)
	must(t, err)

	// By configuration all are.
	c = startCompare(t, "", "[diff]\ndiffer = \"walking\"\n")
	look, right = c.changed(t, 1000)
	_, err = c.compare(c.between(t, look, right, ""))
	fails(t, err, codes.Unimplemented)
}

// Each snapshotter name may have a containerd of its own.
func TestDiffContainerdOfTheSnapshotter(t *testing.T) {
	needClonefs(t)
	c := &comparer{socket: newSocket(t)}
	c.unpacker = startDiff(t, "", fmt.Sprintf("[containerd]\naddress = \"/nonexistent/c.sock\"\n[containerd.clonefs]\naddress = %q\n", c.socket))
	c.serve(t)
	look, right := c.changed(t, 1000)
	_, err := c.compare(c.between(t, look, right, ""))
	must(t, err)
	c.s = c.d.Snapshots("other")
	look, right = c.changed(t, 1000)
	_, err = c.compare(c.between(t, look, right, ""))
	fails(t, err, codes.Unavailable, "/nonexistent/c.sock")
}

func TestDiffWithoutContainerd(t *testing.T) {
	needClonefs(t)
	c := startCompare(t, "", "")
	look, right := c.changed(t, 1000)
	c.containerd.Close()
	began := time.Now()
	_, err := c.compare(c.between(t, look, right, ""))
	fails(t, err, codes.Unavailable, c.socket, "[containerd]")
	if took := time.Since(began); took > harness.Bound(10*time.Second) {
		t.Errorf("it took %v to say so", took)
	}
	// It comes back, and is found.
	_ = os.Remove(c.socket) // a socket of a server that was stopped may be left
	c.serve(t)
	harness.Eventually(t, 10*time.Second, func() string {
		if _, err := c.compare(c.between(t, look, right, "")); err != nil {
			return err.Error()
		}
		return ""
	})
	// One that takes connections and says nothing does not hold anybody who goes away.
	c.containerd.Close()
	_ = os.Remove(c.socket)
	silent, err := net.Listen("unix", c.socket)
	must(t, err)
	defer silent.Close()
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() {
		_, err := c.compareIn(ctx, c.between(t, look, right, ""))
		result <- err
	}()
	time.Sleep(500 * time.Millisecond)
	must(t, c.s.Layer("another", "", harness.Files{"a": "b"})) // nobody else is held
	cancel()
	if err := <-result; err == nil {
		t.Error("a Diff without containerd succeeded")
	}
	harness.Eventually(t, 10*time.Second, func() string { // right is free again
		if err := c.s.Remove(right); err != nil {
			return err.Error()
		}
		return ""
	})
	answers(t, c.d)
}

// A Diff that takes long: its snapshots stay, and it ends with its client, or with the daemon.
func TestDiffUnderWay(t *testing.T) {
	needClonefs(t)
	c := startCompare(t, "", "")
	look, right := c.changed(t, 1000)
	dir, err := c.s.Source(right)
	must(t, err)
	must(t, os.Truncate(filepath.Join(dir, "d3/f300"), 60<<30)) // zeros, which take their time
	start := func() (context.CancelFunc, chan error) {
		ctx, cancel := context.WithCancel(context.Background())
		request, result := c.between(t, look, right, ""), make(chan error, 1)
		go func() {
			_, err := c.compareIn(ctx, request)
			result <- err
		}()
		time.Sleep(500 * time.Millisecond)
		return cancel, result
	}
	cancel, result := start()
	fails(t, c.s.Remove(right), codes.FailedPrecondition, "remove")
	other, _ := c.prepared(t, "base")
	c.removed(t, other)
	answers(t, c.d)
	cancel()
	equal(t, "class", status.Code(<-result), codes.Canceled)
	store := c.containerd.DB.ContentStore()
	ctx := namespaces.WithNamespace(context.Background(), namespaceOfTests)
	harness.Eventually(t, 10*time.Second, func() string {
		statuses, err := store.ListStatuses(ctx)
		if err != nil || len(statuses) > 0 {
			return fmt.Sprintf("ingests left: %v %v", statuses, err)
		}
		if held := c.leasesOf(t, namespaceOfTests); len(held) > 0 {
			return fmt.Sprintf("leases left: %v", held)
		}
		return ""
	})

	cancel, result = start()
	defer cancel()
	c.d.Kill()
	if err := <-result; err == nil {
		t.Error("a Diff of a daemon that was killed succeeded")
	}
	c.containerd.Close()
	c = startCompare(t, c.d.Root, "")
	must(t, os.Truncate(filepath.Join(dir, "d3/f300"), 100))
	d, err := c.compare(c.between(t, look, right, ""))
	must(t, err)
	c.made(t, namespaceOfTests, d, nil)
	for _, key := range []string{right, look, "base"} {
		must(t, c.s.Remove(key))
	}
	c.nothingLeft(t)
}

// A blob that our own store does not have comes from containerd.
func TestDiffApplyOfABlobThatContainerdHas(t *testing.T) {
	needClonefs(t)
	keeper := startDiff(t, "", "") // whose content it is
	c := startCompare(t, "", "")
	c.containerd.Close()
	_ = os.Remove(c.socket)
	var err error
	c.containerd, err = metadata.Serve(c.socket, filepath.Join(t.TempDir(), "meta.db"), proxy.NewContentStore(keeper.blobs.api))
	must(t, err)
	t.Cleanup(c.containerd.Close)
	stream := (&layer.Layer{Entries: append(hundreds(100), &layer.Entry{Name: "big", Type: layer.File, Mode: 0o644, Data: randomBytes(3, 9<<20)})}).Archive(false)
	data := layer.Packing{Kind: layer.Gzip}.Pack(stream)
	blob := digest.FromBytes(data)
	ctx := namespaces.WithNamespace(context.Background(), "far")
	must(t, content.WriteBlob(ctx, c.containerd.DB.ContentStore(), "far", bytes.NewReader(data), ocispec.Descriptor{Digest: blob, Size: int64(len(data))}))
	key, dir := c.prepared(t, "")
	request, err := c.request(ociLayer+"+gzip", blob, len(data), key)
	must(t, err)
	call, cancel := harness.CallContext()
	defer cancel()
	answer, err := c.differ.Apply(inNamespace(call, "far"), request)
	must(t, err)
	equal(t, "problem", describes(answer.Applied, stream), "")
	files, err := harness.ReadFiles(dir)
	must(t, err)
	equal(t, "number of files", len(files), 101)
	if calls := c.containerd.Calls("/containerd.services.content.v1.Content/Read"); calls > 9 {
		t.Errorf("%d Reads for one layer", calls)
	}
	_, err = c.differ.Apply(inNamespace(call, "other"), request) // where nobody has it
	if !errdefs.IsNotFound(errdefs.FromGRPC(err)) {
		t.Errorf("a blob of another namespace: %v", err)
	}
	c.removed(t, key)
}
