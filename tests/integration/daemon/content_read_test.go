// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
)

func TestContentReadClipsToTheBlob(t *testing.T) {
	_, c := startContent(t)
	data := randomBytes(1, 3<<20+77)
	dgst, size := c.blob(t, data), int64(len(data))
	for _, r := range []struct{ offset, size, from, to int64 }{
		{0, 0, 0, size},
		{0, size, 0, size},
		{0, size + 1, 0, size},
		{0, 1, 0, 1},
		{0, -1, 0, size},
		{0, math.MinInt64, 0, size},
		{0, math.MaxInt64, 0, size},
		{1, math.MaxInt64, 1, size}, // a sum beyond 63 bits
		{size - 1, math.MaxInt64, size - 1, size},
		{-1, 10, 0, 10},
		{math.MinInt64, 10, 0, 10},
		{math.MinInt64, math.MinInt64, 0, size},
		{7, 32768, 7, 7 + 32768},
		{4096, 1 << 20, 4096, 4096 + 1<<20},
		{1<<20 - 1, 2, 1<<20 - 1, 1<<20 + 1},
		{12345, 1<<20 + 1, 12345, 12346 + 1<<20},
		{size - 10, 10, size - 10, size},
		{size - 10, 11, size - 10, size},
		{size - 10, 0, size - 10, size},
		{size, 0, size, size},
		{size, 1, size, size},
		{size, math.MaxInt64, size, size},
	} {
		got, err := c.read(dgst, r.offset, r.size)
		if err != nil {
			t.Errorf("Read(%d, %d): %v", r.offset, r.size, err)
		} else if !bytes.Equal(got, data[r.from:r.to]) {
			t.Errorf("Read(%d, %d) gave %d bytes, not %d from %d on", r.offset, r.size, len(got), r.to-r.from, r.from)
		}
	}
	for _, offset := range []int64{size + 1, size + 1<<20, math.MaxInt64} {
		for _, n := range []int64{-1, 0, 1, math.MaxInt64} {
			_, err := c.read(dgst, offset, n)
			fails(t, err, codes.OutOfRange)
		}
	}
}

func TestContentReadOfAnEmptyBlob(t *testing.T) {
	_, c := startContent(t)
	c.blob(t, nil)
	for _, n := range []int64{-1, 0, 1, math.MaxInt64} {
		got, err := c.read(emptyDigest, 0, n)
		must(t, err)
		equal(t, "bytes", len(got), 0)
		_, err = c.read(emptyDigest, 1, n)
		fails(t, err, codes.OutOfRange)
	}
}

func TestContentReadComesInChunksOfAtMost1MiB(t *testing.T) {
	_, c := startContent(t)
	data := randomBytes(2, 10<<20+1)
	dgst := c.blob(t, data)
	ctx, cancel := harness.CallContext()
	defer cancel()
	stream, err := c.api.Read(ctx, &contentapi.ReadContentRequest{Digest: dgst, Offset: 5})
	must(t, err)
	at, chunks := 5, 0
	for {
		r, err := stream.Recv()
		if err == io.EOF {
			break
		}
		must(t, err)
		chunks++
		if len(r.Data) == 0 || len(r.Data) > 1<<20 {
			t.Errorf("a chunk of %d bytes", len(r.Data))
		}
		equal(t, "the offset in the answer", r.Offset, int64(at-5)) // containerd counts from where the Read began
		if !bytes.Equal(r.Data, data[at:at+len(r.Data)]) {
			t.Fatalf("wrong bytes at %d", at)
		}
		at += len(r.Data)
	}
	equal(t, "the end", at, len(data))
	t.Logf("%d chunks", chunks)
}

func TestContentReadsAtRandomFromManySides(t *testing.T) {
	d, c := startContent(t)
	var blobs [][]byte
	var digests []digest.Digest
	for i, size := range []int{1, 4095, 4096, 100000, 1 << 20, 5<<20 + 3} {
		blobs = append(blobs, randomBytes(int64(i), size))
		digests = append(digests, c.blob(t, blobs[i]))
	}
	conns := append(connections(t, d, 3), d.Conn)
	together(t, 16, func(worker int) error {
		random, c := rand.New(rand.NewSource(int64(worker))), contentsOn(conns[worker%4])
		for i := 0; i < 100; i++ {
			which := random.Intn(len(blobs))
			data := blobs[which]
			from := random.Intn(len(data) + 1)
			to := from + random.Intn(len(data)-from+1)
			if i%2 == 0 && to > from+32768 {
				to = from + 32768
			}
			if to == from {
				continue // size 0 means all
			}
			got, err := c.read(digests[which], int64(from), int64(to-from))
			if err != nil {
				return err
			}
			if !bytes.Equal(got, data[from:to]) {
				return fmt.Errorf("Read(%d, %d) of %d bytes gave other bytes", from, to-from, len(data))
			}
		}
		return nil
	})
}

// slowly begins a Read of a blob that is bigger than what the connection buffers, and takes one chunk of it.
func slowly(t *testing.T, c contents, dgst digest.Digest) (contentapi.Content_ReadClient, []byte, context.CancelFunc) {
	t.Helper()
	ctx, cancel := harness.CallContext()
	t.Cleanup(cancel)
	stream, err := c.api.Read(ctx, &contentapi.ReadContentRequest{Digest: dgst})
	must(t, err)
	r, err := stream.Recv()
	must(t, err)
	return stream, r.Data, cancel
}

func TestContentReadGoesOnWhenTheBlobIsDeleted(t *testing.T) {
	d, c := startContent(t)
	data := randomBytes(3, 64<<20)
	dgst := c.blob(t, data)
	stream, first, _ := slowly(t, c, dgst)
	other := contentsOn(connections(t, d, 1)[0])
	must(t, other.delete(dgst))
	other.missing(t, dgst)
	must(t, d.AwaitDeletion(time.Minute))
	rest, err := readOut(stream)
	must(t, err)
	if got := append(first, rest...); !bytes.Equal(got, data) {
		t.Errorf("the Read gave %d bytes, not the %d right ones", len(got), len(data))
	}
	awaitContentFiles(t, d, other)
}

// A client that has its bytes cancels; one that does not read waits. Neither holds anything up.
func TestContentReadsThatNobodyFinishesHoldNothingUp(t *testing.T) {
	d, c := startContent(t)
	data := randomBytes(4, 32<<20)
	dgst := c.blob(t, data)
	stuck := contentsOn(connections(t, d, 1)[0])
	for i := 0; i < 50; i++ {
		_, _, cancel := slowly(t, c, dgst)
		cancel()
		slowly(t, stuck, dgst)
	}
	began := time.Now()
	for i := 0; i < 50; i++ {
		got, err := c.read(dgst, int64(i), 32768)
		must(t, err)
		equal(t, "bytes", len(got), 32768)
		c.blob(t, []byte(numbered("small", i)))
	}
	if took := time.Since(began); took > harness.Bound(10*time.Second) {
		t.Errorf("50 small reads and writes took %v", took)
	}
	c.reads(t, dgst, data)
	must(t, c.delete(dgst))
	c.missing(t, dgst)
	answers(t, d)
	harness.StopClean(t, d) // with clients that sit on streams
}

// The client's clock or the daemon's ends the stream, whichever looks first. If it is the daemon's and the stream
// ends amid a message, Go's client calls that Internal.
func TestContentReadWithADeadline(t *testing.T) {
	_, c := startContent(t)
	dgst := c.blob(t, randomBytes(5, 32<<20))
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	stream, err := c.api.Read(ctx, &contentapi.ReadContentRequest{Digest: dgst})
	must(t, err)
	time.Sleep(60 * time.Millisecond)
	_, err = readOut(stream)
	if class := status.Code(err); class != codes.DeadlineExceeded &&
		(class != codes.Internal || status.Convert(err).Message() != io.ErrUnexpectedEOF.Error()) {
		t.Errorf("got %v, not the class %v", err, codes.DeadlineExceeded)
	}
	_, err = c.read(dgst, 0, 1)
	must(t, err)
}
