// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"fmt"
	"hash"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"crypto/sha256"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"

	"clonefs/tests/gotool/harness"
)

// What the daemon may have used at the most, in MiB: with clients that wait for each answer, as containerd's do,
// and with such that send what flow control lets them.
const (
	memoryBound = 150
	aheadBound  = 1024
)

// peakMemory is the most memory that a daemon has used, in MiB.
func peakMemory(t *testing.T, d *harness.Daemon) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Pid()))
	must(t, err)
	for _, line := range strings.Split(string(text), "\n") {
		var kib int
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib >> 10
		}
	}
	t.Fatal("no VmHWM in /proc")
	return 0
}

// checkMemory prints the peak; sanitizers take much more, so their builds are not judged.
func checkMemory(t *testing.T, d *harness.Daemon, what string, bound int) {
	t.Helper()
	peak := peakMemory(t, d)
	t.Logf("%s: VmHWM %d MiB", what, peak)
	if peak > bound && !slowBuild() {
		t.Errorf("%s took %d MiB of memory, more than %d", what, peak, bound)
	}
}

func slowBuild() bool { return harness.EnvInt("CLONEFS_TEST_SLOW", 1) > 1 }

func mebibytes(normal int) int {
	if slowBuild() {
		return normal / 8
	}
	return normal
}

// streamIngest writes so many MiB to a ref in messages of so many MiB and commits. All is the same MiB.
func streamIngest(c contents, ref string, total, piece int, mebibyte []byte) (digest.Digest, error) {
	w, err := c.write()
	if err != nil {
		return "", err
	}
	defer w.vanish()
	if _, err = w.say(message{Ref: ref, Total: int64(total) << 20}); err != nil {
		return "", err
	}
	data := bytes.Repeat(mebibyte, piece)
	var sum hash.Hash = sha256.New()
	for at := 0; at < total; at += piece {
		if _, err = w.say(writeAt(at<<20, data)); err != nil {
			return "", err
		}
		_, _ = sum.Write(data)
	}
	dgst := digest.NewDigest(digest.SHA256, sum)
	_, err = w.say(commitAt(total<<20, dgst))
	return dgst, err
}

// readThrough reads a blob that is the same MiB again and again, without keeping it.
func readThrough(c contents, dgst digest.Digest, total int) error {
	ctx, cancel := harness.CallContext()
	defer cancel()
	stream, err := c.api.Read(ctx, &contentapi.ReadContentRequest{Digest: dgst})
	if err != nil {
		return err
	}
	sum, size := sha256.New(), 0
	for size < total<<20 {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		_, _ = sum.Write(r.Data)
		size += len(r.Data)
	}
	if got := digest.NewDigest(digest.SHA256, sum); got != dgst {
		return fmt.Errorf("read %s instead of %s", got, dgst)
	}
	return nil
}

func TestContentOneBigIngestTakesLittleMemory(t *testing.T) {
	d, c := startContent(t)
	size := mebibytes(2048)
	dgst, err := streamIngest(c, "big", size, 1, randomBytes(1, 1<<20))
	must(t, err)
	checkMemory(t, d, fmt.Sprintf("an ingest of %d MiB", size), memoryBound)
	must(t, readThrough(c, dgst, size))
	checkMemory(t, d, "and its Read", memoryBound)
	must(t, c.delete(dgst))
	awaitContentFiles(t, d, c)
}

func TestContentManyIngestsAtOnceTakeLittleMemory(t *testing.T) {
	d, c := startContent(t)
	each := mebibytes(32)
	digests := make([]digest.Digest, 64)
	together(t, 64, func(i int) error {
		var err error
		digests[i], err = streamIngest(c, numbered("r", i), each, 1, randomBytes(int64(i), 1<<20))
		return err
	})
	checkMemory(t, d, fmt.Sprintf("64 ingests of %d MiB in messages of 1 MiB", each), memoryBound)
	together(t, 64, func(i int) error { return readThrough(c, digests[i], each) })
	checkMemory(t, d, "and their Reads", memoryBound)
	for _, dgst := range digests {
		must(t, c.delete(dgst))
	}
	awaitContentFiles(t, d, c)
}

// What a client may keep in flight is bounded for each stream, whatever it sends ahead or does not read.
func TestContentClientsThatDoNotListenTakeLittleMemory(t *testing.T) {
	d, c := startContent(t)
	dgst, err := streamIngest(c, "big", 64, 8, randomBytes(2, 1<<20))
	must(t, err)
	for i := 0; i < 64; i++ {
		slowly(t, c, dgst) // and reads no more
	}
	small := contentsOn(connections(t, d, 1)[0])
	small.blob(t, []byte("others go on"))
	checkMemory(t, d, "64 Reads that nobody takes", memoryBound)

	sending := contentsOn(connections(t, d, 1)[0])
	piece := randomBytes(3, 1<<20)
	var group sync.WaitGroup
	for i := 0; i < 64; i++ {
		w, err := sending.write()
		must(t, err)
		group.Add(1)
		go func(i int) {
			defer group.Done()
			m := on(numbered("ahead", i), writeAt(0, piece))
			for n := 0; n < 16 && w.stream.Send(&m) == nil; n++ { // until it is made to wait
				m = writeAt((n+1)<<20, piece)
			}
		}(i)
		defer w.vanish()
		time.AfterFunc(5*time.Second, w.vanish)
	}
	time.Sleep(time.Second)
	small.blob(t, []byte("others still go on"))
	group.Wait()
	checkMemory(t, d, "64 Writes that are sent ahead and whose answers nobody takes", aheadBound)
	for i := 0; i < 64; i++ {
		must(t, small.abort(numbered("ahead", i)))
	}
	must(t, small.delete(dgst))
	awaitContentFiles(t, d, small)
}
