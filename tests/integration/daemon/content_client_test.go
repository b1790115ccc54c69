// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand"
	"sort"
	"testing"

	_ "crypto/sha256" // for digest.Algorithm
	_ "crypto/sha512"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	ptypes "github.com/gogo/protobuf/types"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
)

// contents is a client of the Content service. No call outlives its own deadline.
type contents struct{ api contentapi.ContentClient }

func contentsOn(conn *grpc.ClientConn) contents {
	return contents{contentapi.NewContentClient(conn)}
}

// startContent gives a test a daemon on a fresh root and a client.
func startContent(t *testing.T, args ...string) (*harness.Daemon, contents) {
	t.Helper()
	d := harness.Start(t, "", args...)
	return d, contentsOn(d.Conn)
}

// restartContent stops the daemon cleanly and goes on with another on the same root.
func restartContent(t *testing.T, d *harness.Daemon) (*harness.Daemon, contents) {
	t.Helper()
	d = harness.Restart(t, d)
	return d, contentsOn(d.Conn)
}

// randomBytes are the same for the same seed.
func randomBytes(seed int64, size int) []byte {
	data := make([]byte, size)
	rand.New(rand.NewSource(seed)).Read(data)
	return data
}

var (
	algorithms  = []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512}
	emptyDigest = digest.FromBytes(nil)
)

func (c contents) info(dgst digest.Digest) (contentapi.Info, error) {
	ctx, cancel := harness.CallContext()
	defer cancel()
	r, err := c.api.Info(ctx, &contentapi.InfoRequest{Digest: dgst})
	if err != nil {
		return contentapi.Info{}, err
	}
	return r.Info, nil
}

// update sends labels with a mask (nil: none).
func (c contents) update(info contentapi.Info, mask ...string) (contentapi.Info, error) {
	ctx, cancel := harness.CallContext()
	defer cancel()
	request := &contentapi.UpdateRequest{Info: info}
	if mask != nil {
		request.UpdateMask = &ptypes.FieldMask{Paths: mask}
	}
	r, err := c.api.Update(ctx, request)
	if err != nil {
		return contentapi.Info{}, err
	}
	return r.Info, nil
}

// walk calls f for each message of a List.
func (c contents) walk(f func(batch []contentapi.Info) error, filters ...string) error {
	ctx, cancel := harness.CallContext()
	defer cancel()
	stream, err := c.api.List(ctx, &contentapi.ListContentRequest{Filters: filters})
	if err != nil {
		return err
	}
	for {
		r, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = f(r.Info)
		}
		if err != nil {
			return err
		}
	}
}

// list is a List as a map.
func (c contents) list(t *testing.T, filters ...string) map[digest.Digest]contentapi.Info {
	t.Helper()
	infos := map[digest.Digest]contentapi.Info{}
	must(t, c.walk(func(batch []contentapi.Info) error {
		for _, info := range batch {
			if _, twice := infos[info.Digest]; twice {
				t.Errorf("%s is listed twice", info.Digest)
			}
			infos[info.Digest] = info
		}
		return nil
	}, filters...))
	return infos
}

func (c contents) delete(dgst digest.Digest) error {
	ctx, cancel := harness.CallContext()
	defer cancel()
	_, err := c.api.Delete(ctx, &contentapi.DeleteContentRequest{Digest: dgst})
	return err
}

// read is one Read; what came before an error is returned with it.
func (c contents) read(dgst digest.Digest, offset, size int64) ([]byte, error) {
	ctx, cancel := harness.CallContext()
	defer cancel()
	stream, err := c.api.Read(ctx, &contentapi.ReadContentRequest{Digest: dgst, Offset: offset, Size_: size})
	if err != nil {
		return nil, err
	}
	return readOut(stream)
}

func readOut(stream contentapi.Content_ReadClient) ([]byte, error) {
	var data []byte
	for {
		r, err := stream.Recv()
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return data, err
		}
		data = append(data, r.Data...)
	}
}

// intact is an error unless the blob is there, whole, and has the right bytes.
func (c contents) intact(dgst digest.Digest, size int) error {
	info, err := c.info(dgst)
	if err != nil {
		return fmt.Errorf("Info: %w", err)
	}
	data, err := c.read(dgst, 0, 0)
	if err != nil {
		return fmt.Errorf("Read of %s: %w", dgst, err)
	}
	if info.Size_ != int64(size) || len(data) != size || dgst.Algorithm().FromBytes(data) != dgst {
		return fmt.Errorf("%s has %d bytes (Info: %d) with digest %s, not %d", dgst, len(data), info.Size_,
			dgst.Algorithm().FromBytes(data), size)
	}
	return nil
}

func (c contents) status(ref string) (contentapi.Status, error) {
	ctx, cancel := harness.CallContext()
	defer cancel()
	r, err := c.api.Status(ctx, &contentapi.StatusRequest{Ref: ref})
	if err != nil {
		return contentapi.Status{}, err
	}
	return *r.Status, nil
}

// statuses is a ListStatuses as a map.
func (c contents) statuses(t *testing.T, filters ...string) map[string]contentapi.Status {
	t.Helper()
	all, err := c.listStatuses(filters...)
	must(t, err)
	byRef := map[string]contentapi.Status{}
	for _, st := range all {
		if _, twice := byRef[st.Ref]; twice {
			t.Errorf("%q is listed twice", st.Ref)
		}
		byRef[st.Ref] = st
	}
	return byRef
}

func (c contents) listStatuses(filters ...string) ([]contentapi.Status, error) {
	ctx, cancel := harness.CallContext()
	defer cancel()
	r, err := c.api.ListStatuses(ctx, &contentapi.ListStatusesRequest{Filters: filters})
	if err != nil {
		return nil, err
	}
	return r.Statuses, nil
}

// refs are the refs of all ingests, sorted.
func (c contents) refs(t *testing.T, filters ...string) string {
	t.Helper()
	refs := []string{}
	for ref := range c.statuses(t, filters...) {
		refs = append(refs, ref)
	}
	sort.Strings(refs)
	return fmt.Sprint(refs)
}

func (c contents) abort(ref string) error {
	ctx, cancel := harness.CallContext()
	defer cancel()
	_, err := c.api.Abort(ctx, &contentapi.AbortRequest{Ref: ref})
	return err
}

// A message of Write, and its usual forms.
type message = contentapi.WriteContentRequest

func statOf(ref string) message { return message{Ref: ref} }

func writeAt(offset int, data []byte) message {
	return message{Action: contentapi.WriteActionWrite, Offset: int64(offset), Data: data}
}

func commitAt(offset int, expected digest.Digest) message {
	return message{Action: contentapi.WriteActionCommit, Offset: int64(offset), Expected: expected}
}

// on names the ref, as a first message must.
func on(ref string, m message) message {
	m.Ref = ref
	return m
}

// writing is one Write stream.
type writing struct {
	stream contentapi.Content_WriteClient
	vanish context.CancelFunc // resets the stream
}

// write opens a stream on which nothing has been said.
func (c contents) write() (*writing, error) {
	ctx, cancel := harness.CallContext()
	stream, err := c.api.Write(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	return &writing{stream, cancel}, nil
}

// say sends one message and waits for its answer.
func (w *writing) say(m message) (contentapi.WriteContentResponse, error) {
	if err := w.stream.Send(&m); err != nil && err != io.EOF { // after EOF Recv tells what it was
		return contentapi.WriteContentResponse{}, err
	}
	answer, err := w.stream.Recv()
	if err == io.EOF {
		err = fmt.Errorf("the stream ended without an answer to %v", m.Action)
	}
	if err != nil {
		w.vanish() // it is over
		return contentapi.WriteContentResponse{}, err
	}
	return *answer, nil
}

// close half-closes the stream, as containerd's Writer.Close does, and waits for its end.
func (w *writing) close() error {
	defer w.vanish()
	if err := w.stream.CloseSend(); err != nil {
		return err
	}
	return w.ended()
}

// ended waits for the end of a stream on which everything is answered.
func (w *writing) ended() error {
	answer, err := w.stream.Recv()
	if err == nil {
		return fmt.Errorf("an answer too many: %v", answer)
	}
	if err != io.EOF {
		return err
	}
	return nil
}

// opened begins a stream with a first message that must succeed.
func (c contents) opened(t testing.TB, first message) (*writing, contentapi.WriteContentResponse) {
	t.Helper()
	w, err := c.write()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := w.say(first)
	if err != nil {
		t.Fatalf("%v of %q: %v", first.Action, first.Ref, err)
	}
	return w, answer
}

// refuses makes a stream of one message, which must fail.
func (c contents) refuses(t *testing.T, first message, class codes.Code, words ...string) {
	t.Helper()
	w, err := c.write()
	must(t, err)
	defer w.vanish()
	_, err = w.say(first)
	fails(t, err, class, words...)
}

// said says a message that must succeed.
func (w *writing) said(t testing.TB, m message) contentapi.WriteContentResponse {
	t.Helper()
	answer, err := w.say(m)
	if err != nil {
		t.Fatalf("%v at %d: %v", m.Action, m.Offset, err)
	}
	return answer
}

func (w *writing) closed(t testing.TB) {
	t.Helper()
	if err := w.close(); err != nil {
		t.Fatalf("after the half-close: %v", err)
	}
}

// stands checks what an answer tells of the ingest: its data so far.
func stands(t *testing.T, answer contentapi.WriteContentResponse, action contentapi.WriteAction, data []byte) {
	t.Helper()
	standsBy(t, digest.SHA256, answer, action, data)
}

func standsBy(t *testing.T, alg digest.Algorithm, answer contentapi.WriteContentResponse,
	action contentapi.WriteAction, data []byte) {
	t.Helper()
	equal(t, "the action", answer.Action, action)
	equal(t, "the offset", answer.Offset, int64(len(data)))
	equal(t, "the running digest", answer.Digest, alg.FromBytes(data))
}

// partial leaves an ingest with data behind.
func (c contents) partial(t testing.TB, ref string, data []byte) {
	t.Helper()
	w, _ := c.opened(t, on(ref, writeAt(0, data)))
	w.closed(t)
}

// put makes a blob in messages of at most 1 MiB, as containerd does; AlreadyExists is success, too.
func (c contents) put(ref string, data []byte, labels ...string) (digest.Digest, error) {
	dgst := digest.FromBytes(data)
	w, err := c.write()
	if err != nil {
		return dgst, err
	}
	defer w.vanish()
	m := message{Ref: ref, Total: int64(len(data))}
	for offset := 0; ; {
		if _, err = w.say(m); err != nil {
			break
		}
		if m.Action == contentapi.WriteActionCommit {
			err = w.ended()
			break
		}
		if offset += len(m.Data); offset == len(data) {
			m = commitAt(offset, dgst)
			m.Labels = harness.Labels(labels...)
		} else {
			end := offset + 1<<20
			if end > len(data) {
				end = len(data)
			}
			m = writeAt(offset, data[offset:end])
		}
	}
	if status.Code(err) == codes.AlreadyExists {
		err = nil
	}
	return dgst, err
}

// blob makes a blob for a test.
func (c contents) blob(t testing.TB, data []byte, labels ...string) digest.Digest {
	t.Helper()
	dgst, err := c.put("making "+digest.FromBytes(data).Encoded(), data, labels...)
	if err != nil {
		t.Fatal(err)
	}
	return dgst
}

// reads checks that a blob is there with these bytes.
func (c contents) reads(t *testing.T, dgst digest.Digest, want []byte) {
	t.Helper()
	got, err := c.read(dgst, 0, 0)
	if err != nil {
		t.Errorf("Read of %s: %v", dgst, err)
	} else if !bytes.Equal(got, want) {
		t.Errorf("Read of %s gave %d bytes that are not the %d right ones", dgst, len(got), len(want))
	}
}

// missing checks that there is no such blob.
func (c contents) missing(t *testing.T, dgst digest.Digest) {
	t.Helper()
	_, err := c.info(dgst)
	fails(t, err, codes.NotFound)
	_, err = c.read(dgst, 0, 0)
	fails(t, err, codes.NotFound)
}

// keeps checks that nobody holds ref and that it has this data; nil: that there is no such ingest.
func (c contents) keeps(t *testing.T, ref string, data []byte) {
	t.Helper()
	st, err := c.status(ref)
	if data == nil {
		fails(t, err, codes.NotFound)
		return
	}
	if err != nil {
		t.Errorf("Status of %q: %v", ref, err)
		return
	}
	equal(t, "the offset in Status", st.Offset, int64(len(data)))
	w, answer := c.opened(t, statOf(ref))
	stands(t, answer, contentapi.WriteActionStat, data)
	w.closed(t)
}

func sortDigests(digests []digest.Digest) {
	sort.Slice(digests, func(i, j int) bool { return digests[i] < digests[j] })
}
