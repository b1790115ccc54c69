// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"

	"clonefs/tests/gotool/harness"
)

// blob is random data, so that nothing can gain by compressing it or by leaving holes.
type blob struct {
	data   []byte
	digest digest.Digest
}

func newBlob(size int) (*blob, error) {
	b := &blob{data: make([]byte, size)}
	if _, err := rand.Read(b.data); err != nil {
		return nil, err
	}
	b.digest = digest.FromBytes(b.data)
	return b, nil
}

func newBlobs(count, size int) ([]*blob, error) {
	blobs := make([]*blob, count)
	for i := range blobs {
		var err error
		if blobs[i], err = newBlob(size); err != nil {
			return nil, err
		}
	}
	return blobs, nil
}

// streamBound ends a call that hangs.
const streamBound = 10 * time.Minute

func streamContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), harness.Bound(streamBound))
}

const writeMessage = 1 << 20

// write makes a blob with the calls of containerd's own client: STAT, each WRITE when the one before is answered,
// COMMIT. The blob is durable, as far as the server promises that, when this returns.
func (s *side) write(ref string, b *blob) error {
	ctx, cancel := streamContext()
	defer cancel()
	stream, err := s.content.Write(ctx)
	if err != nil {
		return err
	}
	turn := func(request *contentapi.WriteContentRequest, offset int) (*contentapi.WriteContentResponse, error) {
		if err := stream.Send(request); err != nil && err != io.EOF {
			return nil, err
		}
		answer, err := stream.Recv() // also tells why Send could not send
		if err != nil {
			return nil, fmt.Errorf("%s of %s at %d: %w", request.Action, ref, request.Offset, err)
		}
		if answer.Offset != int64(offset) {
			return nil, fmt.Errorf("%s of %s answers offset %d, not %d", request.Action, ref, answer.Offset, offset)
		}
		return answer, nil
	}
	total := len(b.data)
	if _, err := turn(&contentapi.WriteContentRequest{Ref: ref, Total: int64(total)}, 0); err != nil {
		return err
	}
	for from := 0; from < total; {
		to := from + writeMessage
		if to > total {
			to = total
		}
		request := &contentapi.WriteContentRequest{Action: contentapi.WriteActionWrite, Offset: int64(from), Data: b.data[from:to]}
		if _, err := turn(request, to); err != nil {
			return err
		}
		from = to
	}
	answer, err := turn(&contentapi.WriteContentRequest{Action: contentapi.WriteActionCommit, Offset: int64(total),
		Total: int64(total), Expected: b.digest}, total)
	if err != nil {
		return err
	}
	if answer.Digest != b.digest {
		return fmt.Errorf("COMMIT of %s answers %s, not %s", ref, answer.Digest, b.digest)
	}
	return end(stream)
}

// end takes what comes after the last answer: containerd's server repeats it.
func end(stream contentapi.Content_WriteClient) error {
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		if _, err := stream.Recv(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// read takes a whole blob by one call; the largest message, and an error unless it had size bytes.
func (s *side) read(blob digest.Digest, size int, sum hash.Hash) (largest int, err error) {
	ctx, cancel := streamContext()
	defer cancel()
	stream, err := s.content.Read(ctx, &contentapi.ReadContentRequest{Digest: blob})
	if err != nil {
		return 0, err
	}
	got := 0
	for {
		answer, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
		if sum != nil {
			sum.Write(answer.Data)
		}
		got += len(answer.Data)
		if len(answer.Data) > largest {
			largest = len(answer.Data)
		}
	}
	if got != size {
		return 0, fmt.Errorf("%d bytes of %s were read, not %d", got, blob, size)
	}
	return largest, nil
}

// readAt fills p as containerd's own client does: one call without a deadline, cancelled when the bytes are there.
func (s *side) readAt(blob digest.Digest, p []byte, offset int64) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := s.content.Read(ctx, &contentapi.ReadContentRequest{Digest: blob, Offset: offset, Size_: int64(len(p))})
	if err != nil {
		return err
	}
	for len(p) > 0 {
		answer, err := stream.Recv()
		if err != nil {
			return err
		}
		p = p[copy(p, answer.Data):]
	}
	return nil
}

// verify reads a blob and compares its digest.
func (s *side) verify(b *blob) error {
	sum := sha256.New()
	if _, err := s.read(b.digest, len(b.data), sum); err != nil {
		return err
	}
	if read := digest.NewDigest(digest.SHA256, sum); read != b.digest {
		return fmt.Errorf("%s: what is read from %s is %s", s.name, b.digest, read)
	}
	return nil
}

func (s *side) remove(b *blob) error {
	ctx, cancel := harness.CallContext()
	defer cancel()
	_, err := s.content.Delete(ctx, &contentapi.DeleteContentRequest{Digest: b.digest})
	return err
}
