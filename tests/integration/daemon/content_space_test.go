// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
)

// A volume that is really full.

const volumeMiB = 320

// smallVolume is a small XFS volume of which about free MiB are left.
func smallVolume(t *testing.T, free int64) string {
	t.Helper()
	volume := harness.Volume(t, volumeMiB)
	leaveFree(t, volume, "filler", free)
	return volume
}

// leaveFree leaves about free MiB of a volume, by a file of this name.
func leaveFree(t *testing.T, volume, name string, free int64) {
	t.Helper()
	filler, err := os.Create(filepath.Join(volume, name))
	must(t, err)
	defer filler.Close()
	must(t, unix.Fallocate(int(filler.Fd()), 0, 0, freeBytes(t, volume)-free<<20))
}

func freeBytes(t *testing.T, dir string) int64 {
	t.Helper()
	var st unix.Statfs_t
	must(t, unix.Statfs(dir, &st))
	return int64(st.Bavail) * st.Bsize
}

// writeUntilFull writes to a ref until the volume is full and answers what was acknowledged.
func writeUntilFull(t *testing.T, c contents, ref string) int {
	t.Helper()
	w, _ := c.opened(t, statOf(ref))
	for at := 0; at < volumeMiB<<20; {
		_, err := w.say(writeAt(at, pieceOf(at)))
		if err != nil {
			fails(t, err, codes.ResourceExhausted)
			return at
		}
		at += 1 << 20
	}
	t.Fatal("the volume does not get full")
	return 0
}

func pieceOf(at int) []byte { return randomBytes(int64(at), 1<<20) }

func TestContentAFullVolumeInTheMiddleOfAWrite(t *testing.T) {
	volume := smallVolume(t, 40)
	d := harness.Start(t, filepath.Join(volume, "root"))
	c := contentsOn(d.Conn)
	there := c.blob(t, []byte("there"), "a", "1")
	at := writeUntilFull(t, c, "r")
	t.Logf("%d MiB were written, %d KiB are left", at>>20, freeBytes(t, volume)>>10)
	if at < 20<<20 {
		t.Errorf("the volume was full after %d bytes", at)
	}

	// What was acknowledged is there, the ref is free, and reading goes on.
	st, err := c.status("r")
	must(t, err)
	if st.Offset < int64(at) || st.Offset >= int64(at)+1<<20 {
		t.Errorf("the ref is at %d, acknowledged were %d", st.Offset, at)
	}
	c.reads(t, there, []byte("there"))
	equal(t, "number of blobs", len(c.list(t)), 1)
	for i := 0; i < 3; i++ {
		w, answer := c.opened(t, statOf("r"))
		_, err := w.say(writeAt(int(answer.Offset), pieceOf(0)))
		fails(t, err, codes.ResourceExhausted)
		must(t, w.stream.CloseSend())
		w.vanish()
	}
	if _, err := c.put("another", pieceOf(1)); err == nil {
		t.Error("a blob of 1 MiB found room")
	} else {
		equal(t, "the class", status.Code(err), codes.ResourceExhausted)
	}
	must(t, c.abort("another"))
	answers(t, d)

	// What frees space works, and then everything does.
	must(t, c.abort("r"))
	must(t, d.AwaitDeletion(time.Minute))
	awaitContentFiles(t, d, c)
	harness.Eventually(t, 10*time.Second, func() string { // XFS frees in the background
		if free := freeBytes(t, volume); free < int64(at) {
			return fmt.Sprintf("%d bytes are free after the Abort of %d", free, at)
		}
		return ""
	})
	dgst, err := streamIngest(c, "r", 20, 1, pieceOf(2))
	must(t, err)
	must(t, readThrough(c, dgst, 20))
	must(t, c.intact(there, 5))
	must(t, c.delete(dgst))
	must(t, d.AwaitDeletion(time.Minute))
	dgst, err = streamIngest(c, "r", 20, 1, pieceOf(3))
	must(t, err)
	d, c = restartContent(t, d)
	must(t, readThrough(c, dgst, 20))
	equal(t, "refs", c.refs(t), "[]")
	awaitContentFiles(t, d, c)
}

// A daemon on a full volume starts, reads, and deletes what makes room again.
func TestContentStartOnAFullVolume(t *testing.T) {
	volume := smallVolume(t, 40)
	d := harness.Start(t, filepath.Join(volume, "root"))
	c := contentsOn(d.Conn)
	dgst, err := streamIngest(c, "big", 8, 1, pieceOf(1))
	must(t, err)
	at := writeUntilFull(t, c, "r")
	for _, kill := range []bool{false, true} {
		if kill {
			d.Kill()
			d = harness.Start(t, d.Root)
			c = contentsOn(d.Conn)
		} else {
			d, c = restartContent(t, d)
		}
		must(t, readThrough(c, dgst, 8))
		st, err := c.status("r")
		must(t, err)
		if st.Offset < int64(at) {
			t.Errorf("the ref is at %d, acknowledged were %d", st.Offset, at)
		}
	}
	must(t, c.delete(dgst))
	must(t, d.AwaitDeletion(time.Minute))
	w, answer := c.opened(t, statOf("r")) // there is room for the rest of it now
	rest := 0
	for ; rest < 4; rest++ {
		answer = w.said(t, writeAt(int(answer.Offset), pieceOf(rest)))
	}
	w.said(t, commitAt(int(answer.Offset), answer.Digest))
	must(t, c.intact(answer.Digest, int(answer.Offset)))
	awaitContentFiles(t, d, c)
}

// A volume without a free block: small records, and what empties it, must not fail for ever.
func TestContentDeleteAndAbortOnAVolumeWithoutAFreeBlock(t *testing.T) {
	volume := smallVolume(t, 30)
	d := harness.Start(t, filepath.Join(volume, "root"))
	c := contentsOn(d.Conn)
	made := someBlobs(t, c, 60)
	for i := 0; i < 20; i++ {
		c.partial(t, numbered("r", i), []byte("data"))
	}
	time.Sleep(recorded)
	hog := filepath.Join(volume, "hog")
	must(t, os.Mkdir(hog, 0o700))
	must(t, fillUp(hog, 0))
	t.Logf("%d bytes are left", freeBytes(t, volume))
	failed := 0
	for _, dgst := range made {
		if err := c.delete(dgst); err != nil {
			fails(t, err, codes.ResourceExhausted)
			failed++
		}
	}
	for i := 0; i < 20; i++ {
		if err := c.abort(numbered("r", i)); err != nil {
			fails(t, err, codes.ResourceExhausted)
			failed++
		}
	}
	_, err := c.update(contentapi.Info{Digest: digest.FromString("blob-0"), Labels: harness.Labels("a", "b")})
	if code := status.Code(err); code != codes.NotFound && code != codes.ResourceExhausted {
		t.Errorf("Update on a full volume: %v", err)
	}
	t.Logf("%d of 80 failed", failed)
	if failed > 40 {
		t.Errorf("%d of 80 calls that free space failed for want of it", failed)
	}
	answers(t, d)
	must(t, os.RemoveAll(hog))
	for _, dgst := range made {
		must(t, c.delete(dgst))
	}
	for ref := range c.statuses(t) {
		must(t, c.abort(ref))
	}
	c.blob(t, []byte("works again"))
	awaitContentFiles(t, d, c)
}
