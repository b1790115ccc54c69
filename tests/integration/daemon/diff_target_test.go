// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	diffapi "github.com/containerd/containerd/api/services/diff/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/layer"
)

// slowLayer takes many seconds to apply: zeros, of which a gzip is small.
func slowLayer(name string) []byte { return bomb(name, 60<<10) }

// applying is an Apply under way.
type applying struct {
	cancel context.CancelFunc
	result chan error
}

// begin starts an Apply of a layer that takes long and waits until there is something of it.
func (u *unpacker) begin(t *testing.T, key, dir, name string) *applying {
	t.Helper()
	data := slowLayer(name)
	blob, err := u.put(data)
	must(t, err)
	request, err := u.request(ociLayer+"+gzip", blob, len(data), key)
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), harness.Bound(3*time.Minute))
	t.Cleanup(cancel)
	a := &applying{cancel, make(chan error, 1)}
	go func() {
		_, err := u.differ.Apply(ctx, request)
		a.result <- err
	}()
	harness.Eventually(t, 20*time.Second, func() string {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return err.Error()
		}
		return ""
	})
	return a
}

// ends waits for the result, which must come soon.
func (a *applying) ends(t *testing.T) error {
	t.Helper()
	select {
	case err := <-a.result:
		return err
	case <-time.After(harness.Bound(10 * time.Second)):
		t.Fatal("the Apply does not end")
		return nil
	}
}

func (a *applying) goesOn(t *testing.T) {
	t.Helper()
	select {
	case err := <-a.result:
		t.Fatalf("the Apply ended with %v; it should have taken longer", err)
	default:
	}
}

func smallLayer(name string) []byte {
	return (&layer.Layer{Entries: []*layer.Entry{{Name: name, Type: layer.File, Mode: 0o644, Data: []byte(name)}}}).Archive(false)
}

func needClonefs(t *testing.T) {
	t.Helper()
	if standIn() {
		t.Skip("skip: only clonefsd does this")
	}
}

func TestDiffApplyOfAClientThatGoesAway(t *testing.T) {
	needClonefs(t)
	u := startDiff(t, "", "")
	key, dir := u.prepared(t, "")
	a := u.begin(t, key, dir, "zeros")
	a.goesOn(t)
	a.cancel()
	equal(t, "the class", status.Code(a.ends(t)), codes.Canceled)
	// The daemon stops, and the target can be used and removed.
	harness.Eventually(t, 10*time.Second, func() string {
		if _, err := u.apply(ociLayer, smallLayer("small"), key); err != nil {
			return err.Error()
		}
		return ""
	})
	u.removed(t, key)
	u.nothingLeft(t)
}

func TestDiffRemoveStopsAnApply(t *testing.T) {
	needClonefs(t)
	u := startDiff(t, "", "")
	key, dir := u.prepared(t, "")
	a := u.begin(t, key, dir, "zeros")
	a.goesOn(t)
	began := time.Now()
	must(t, u.s.Remove(key))
	if took := time.Since(began); took > harness.Bound(3*time.Second) {
		t.Errorf("the Remove took %v", took)
	}
	err := a.ends(t)
	if code := status.Code(err); code != codes.Canceled && code != codes.Aborted && code != codes.NotFound && code != codes.FailedPrecondition {
		t.Errorf("the Apply ended with %v", err)
	}
	_, err = u.s.Stat(key)
	fails(t, err, codes.NotFound)
	u.nothingLeft(t)
}

func TestDiffCommitDuringAnApply(t *testing.T) {
	needClonefs(t)
	u := startDiff(t, "", "")
	key, dir := u.prepared(t, "")
	a := u.begin(t, key, dir, "zeros")
	fails(t, u.s.Commit("done", key), codes.FailedPrecondition)
	// Others are not disturbed.
	other, _ := u.prepared(t, "")
	_, err := u.apply(ociLayer, smallLayer("small"), other)
	must(t, err)
	must(t, u.s.Commit("other", other))
	a.goesOn(t)
	a.cancel()
	_ = a.ends(t) // cancelled
	harness.Eventually(t, 10*time.Second, func() string {
		if err := u.s.Commit("done", key); err != nil {
			return err.Error()
		}
		return ""
	})
	u.removed(t, "done", "other")
	u.nothingLeft(t)
}

func TestDiffTwoAppliesToOneTarget(t *testing.T) {
	needClonefs(t)
	u := startDiff(t, "", "")
	key, dir := u.prepared(t, "")
	a := u.begin(t, key, dir, "zeros")
	_, err := u.apply(ociLayer, smallLayer("small"), key)
	fails(t, err, codes.FailedPrecondition)
	a.goesOn(t)
	a.cancel()
	_ = a.ends(t) // cancelled
	u.removed(t, key)

	// One after the other is fine: a client may put several layers into one snapshot.
	key, dir = u.prepared(t, "")
	for _, name := range []string{"one", "two"} {
		u.applied(t, ociLayer, smallLayer(name), smallLayer(name), key)
	}
	must(t, harness.SameFiles(dir, harness.Files{"one": "one", "two": "two"}))
	u.removed(t, key)
	u.nothingLeft(t)
}

func TestDiffKillDuringAnApply(t *testing.T) {
	needClonefs(t)
	u := startDiff(t, "", "")
	for round := 0; round < 3; round++ {
		key, dir := u.prepared(t, "")
		a := u.begin(t, key, dir, "zeros")
		time.Sleep(time.Duration(round) * 100 * time.Millisecond)
		u.d.Kill()
		_ = a.ends(t) // the connection is gone
		u = startDiff(t, u.d.Root, "")
		info, err := u.s.Stat(key)
		must(t, err)
		equal(t, "kind", info.Kind.String(), "ACTIVE")
		u.nothingLeft(t)
		u.removed(t, key)
		u.nothingLeft(t)
	}
}

func TestDiffShutdownDuringAnApply(t *testing.T) {
	needClonefs(t)
	u := startDiff(t, "", "")
	key, dir := u.prepared(t, "")
	a := u.begin(t, key, dir, "zeros")
	harness.StopClean(t, u.d)
	if err := a.ends(t); err == nil {
		t.Error("an Apply that was interrupted succeeded")
	}
	u = startDiff(t, u.d.Root, "")
	u.removed(t, key)
	u.nothingLeft(t)
}

func TestDiffApplyToAFullVolume(t *testing.T) {
	needClonefs(t)
	volume := smallVolume(t, 40)
	u := startDiff(t, filepath.Join(volume, "root"), "")
	free := freeBytes(t, volume)
	for _, entries := range [][]*layer.Entry{
		{{Name: "big", Type: layer.File, Mode: 0o644, Data: bytes.Repeat(randomBytes(1, 1<<20), 100)}},
		hundreds(20000),
	} {
		key, _ := u.prepared(t, "")
		stream := (&layer.Layer{Entries: entries}).Archive(false)
		_, err := u.apply(ociLayer+"+gzip", layer.Packing{Kind: layer.Zstd}.Pack(stream), key)
		if err == nil {
			t.Error("it fits into a volume that is full")
		}
		fails(t, err, codes.ResourceExhausted)
		u.removed(t, key)
		u.nothingLeft(t)
		for dgst := range u.blobs.list(t) {
			must(t, u.blobs.delete(dgst))
		}
		for ref := range u.blobs.statuses(t) {
			must(t, u.blobs.abort(ref))
		}
		must(t, u.d.AwaitDeletion(time.Minute))
		harness.Eventually(t, 20*time.Second, func() string {
			if now := freeBytes(t, volume); now < free-4<<20 {
				return fmt.Sprintf("%d MiB are free, there were %d", now>>20, free>>20)
			}
			return ""
		})
	}
	key, dir := u.prepared(t, "")
	u.applied(t, ociLayer, smallLayer("small"), smallLayer("small"), key)
	must(t, harness.SameFiles(dir, harness.Files{"small": "small"}))
	u.removed(t, key)
}

// hundreds are files of 4 KiB that are all the same, which a blob of them does not cost.
func hundreds(count int) (entries []*layer.Entry) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 256)
	for i := 0; i < count; i++ {
		entries = append(entries, &layer.Entry{Name: fmt.Sprintf("d%d/f%d", i/100, i), Type: layer.File, Mode: 0o644, Data: data})
	}
	return entries
}

func TestDiffApplyOfABlobThatIsNowhere(t *testing.T) {
	needClonefs(t)
	u := startDiff(t, "", "[containerd]\naddress = \"/nonexistent/containerd.sock\"\n")
	key, _ := u.prepared(t, "")
	request, err := u.request(ociLayer, digest.FromString("nowhere"), 7, key)
	must(t, err)
	began := time.Now()
	_, err = u.send(request)
	fails(t, err, codes.Unavailable, "/nonexistent/containerd.sock", "[containerd]")
	if took := time.Since(began); took > harness.Bound(10*time.Second) {
		t.Errorf("that took %v", took)
	}
	u.removed(t, key)
	u.nothingLeft(t)
}

func TestDiffApplyOfADamagedBlob(t *testing.T) {
	needClonefs(t)
	stream := (&layer.Layer{Entries: hundreds(200)}).Archive(false)
	u := startDiff(t, "", "")
	for what, damage := range map[string]func(path string) error{
		"altered": alter(5000),
		"cut":     func(path string) error { return os.Truncate(path, 700) },
	} {
		t.Run(what, func(t *testing.T) {
			data := layer.Packing{Kind: layer.GzipMembers, Seed: int64(len(what))}.Pack(stream)
			data = append(data, layer.Packing{Kind: layer.Gzip}.Pack(randomBytes(int64(len(what)), 20000))...)
			blob, err := u.put(data)
			must(t, err)
			must(t, damage(filepath.Join(u.d.Root, "content/blobs/sha256", blob.Encoded())))
			key, _ := u.prepared(t, "")
			request, err := u.request(ociLayer+"+gzip", blob, len(data), key)
			must(t, err)
			_, err = u.send(request)
			fails(t, err, codes.DataLoss)
			u.removed(t, key)
		})
	}
	for what, kind := range map[string]layer.PackingKind{"gzip, cut": layer.GzipCut, "gzip, sum": layer.GzipBadSum, "gzip and more": layer.GzipGarbage,
		"zstd, cut": layer.ZstdCut, "zstd, sum": layer.ZstdBadSum} {
		t.Run(what, func(t *testing.T) {
			key, _ := u.prepared(t, "")
			_, err := u.apply(ociLayer+"+gzip", layer.Packing{Kind: kind, Seed: 2}.Pack(stream), key)
			if err == nil {
				t.Fatal("not refused")
			}
			plain(t, err)
			t.Log(err)
			u.removed(t, key)
		})
	}
	u.nothingLeft(t)
}

func TestDiffApplyToWhatIsNoTarget(t *testing.T) {
	needClonefs(t)
	u := startDiff(t, "", "")
	population(t, u.s)
	key, _ := u.prepared(t, "base")
	other, _ := u.prepared(t, "")
	good, err := u.s.Mounts(key)
	must(t, err)
	second, err := u.s.Mounts(other)
	must(t, err)
	view, err := u.s.Mounts("look")
	must(t, err)
	outside := t.TempDir()
	changed := func(change func(m *types.Mount)) []*types.Mount {
		m := *good[0]
		m.Options = append([]string(nil), m.Options...)
		change(&m)
		return []*types.Mount{&m}
	}
	// The next differ would fill whatever it is given; what is in our store is not for it.
	want := func(what string) codes.Code {
		switch what {
		case "committed", "below the target", "above the target", "a slash more", "a tree that is not", "a way around":
			return codes.FailedPrecondition
		}
		return codes.Unimplemented
	}
	data := smallLayer("small")
	blob, err := u.put(data)
	must(t, err)
	for what, mounts := range map[string][]*types.Mount{
		"no mount":           nil,
		"two mounts":         {good[0], second[0]},
		"twice the same":     {good[0], good[0]},
		"read-only":          changed(func(m *types.Mount) { m.Options = []string{"rbind", "ro"} }),
		"overlay":            changed(func(m *types.Mount) { m.Type = "overlay" }),
		"no type":            changed(func(m *types.Mount) { m.Type = "" }),
		"other path":         changed(func(m *types.Mount) { m.Source = outside }),
		"no path":            changed(func(m *types.Mount) { m.Source = "" }),
		"below the target":   changed(func(m *types.Mount) { m.Source += "/etc" }),
		"a slash more":       changed(func(m *types.Mount) { m.Source += "/" }),
		"above the target":   changed(func(m *types.Mount) { m.Source = filepath.Dir(m.Source) }),
		"the root":           changed(func(m *types.Mount) { m.Source = "/" }),
		"our own root":       changed(func(m *types.Mount) { m.Source = u.d.Root }),
		"a tree that is not": changed(func(m *types.Mount) { m.Source = filepath.Join(u.d.TreePath(), "999999", "fs") }),
		"a way around":       changed(func(m *types.Mount) { m.Source = filepath.Dir(m.Source) + "/../../trees/" + "0/fs" }),
		"a view":             view,
		"committed": changed(func(m *types.Mount) {
			m.Source = view[0].Source // a view shows its parent's own tree
		}),
	} {
		t.Run(what, func(t *testing.T) {
			_, err := u.send(&diffapi.ApplyRequest{Diff: &types.Descriptor{MediaType: ociLayer, Digest: blob, Size_: int64(len(data))}, Mounts: mounts})
			fails(t, err, want(what))
		})
	}
	must(t, harness.SameFiles(view[0].Source, harness.Files{"etc/hosts": "base\n", "bin/tool": "tool\n"}))
	equal(t, "files outside", names(t, outside), "[]")
	// What a client may add to the options of a mount that is fine.
	_, err = u.send(&diffapi.ApplyRequest{Diff: &types.Descriptor{MediaType: ociLayer, Digest: blob, Size_: int64(len(data))},
		Mounts: changed(func(m *types.Mount) { m.Options = append(m.Options, "volatile") })})
	must(t, err)
	request, err := u.request(ociLayer, blob, len(data), key)
	must(t, err)
	request.XXX_unrecognized = syncFS
	_, err = u.send(request)
	must(t, err)
	// Requests that are none.
	for what, descriptor := range map[string]*types.Descriptor{
		"no descriptor": nil, "no digest": {MediaType: ociLayer}, "no such digest": {MediaType: ociLayer, Digest: "sha256:abc"},
		"a path": {MediaType: ociLayer, Digest: "sha256:../../../../etc/passwd"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := u.send(&diffapi.ApplyRequest{Diff: descriptor, Mounts: good})
			fails(t, err, codes.InvalidArgument)
		})
	}
	answers(t, u.d)
}

func TestDiffMediaTypes(t *testing.T) {
	u := startDiff(t, "", withoutFlush)
	stream := smallLayer("small")
	gzip, zstd := layer.Packing{Kind: layer.Gzip}.Pack(stream), layer.Packing{Kind: layer.Zstd}.Pack(stream)
	nondistributable := strings.Replace(ociLayer, "layer.", "layer.nondistributable.", 1)
	foreign := strings.Replace(dockerLayer, "rootfs.", "rootfs.foreign.", 1)
	const refused, unknown = "refused", "unknown"
	for _, c := range []struct {
		media             string
		plain, gzip, zstd string // what becomes of such data
	}{
		{ociLayer, "", refused, refused}, // as it is, which is no archive
		{nondistributable, "", refused, refused},
		{ociLayer + "+gzip", "", "", ""},
		{ociLayer + "+zstd", "", "", ""},
		{nondistributable + "+gzip", "", "", ""},
		{nondistributable + "+zstd", "", "", ""},
		{dockerLayer, "", "", ""},
		{foreign, "", "", ""},
		{dockerLayer + ".gzip", "", "", ""},
		{foreign + ".gzip", "", "", ""},
		{dockerLayer + ".zstd", "", "", ""},
		{ociLayer + "+encrypted", unknown, unknown, unknown},
		{ociLayer + "+gzip+encrypted", unknown, unknown, unknown},
		{ociLayer + "+encrypted+gzip", unknown, unknown, unknown},
		{ociLayer + "+zstd+encrypted", unknown, unknown, unknown},
		{ociLayer + "+xz", unknown, unknown, unknown},
		{dockerLayer + "+encrypted", unknown, unknown, unknown},
		{"application/vnd.erofs.layer.v1", unknown, unknown, unknown},
		{"application/vnd.oci.image.config.v1+json", unknown, unknown, unknown},
		{"text/plain", unknown, unknown, unknown},
		{"", unknown, unknown, unknown},
	} {
		if standIn() && (c.plain == unknown || strings.HasSuffix(c.media, ".zstd")) {
			continue // containerd says something else in each version
		}
		t.Run(c.media, func(t *testing.T) {
			for i, data := range [][]byte{stream, gzip, zstd} {
				key, dir := u.prepared(t, "")
				answer, err := u.apply(c.media, data, key)
				switch want := []string{c.plain, c.gzip, c.zstd}[i]; {
				case want == unknown:
					fails(t, err, codes.Unimplemented)
				case want == refused && err == nil:
					t.Errorf("data %d is not refused", i)
				case want == refused:
					plain(t, err)
				case err != nil:
					t.Errorf("data %d: %v", i, err)
				default:
					equal(t, "problem", describes(answer, stream), "")
					must(t, harness.SameFiles(dir, harness.Files{"small": "small"}))
				}
				u.removed(t, key)
			}
		})
	}
	// Nothing is a layer, too.
	for _, media := range []string{ociLayer, ociLayer + "+gzip", dockerLayer} {
		key, dir := u.prepared(t, "")
		u.applied(t, media, nil, nil, key)
		must(t, harness.SameFiles(dir, harness.Files{}))
		u.removed(t, key)
	}
	u.nothingLeft(t)
}
