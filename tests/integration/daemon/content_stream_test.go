// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"math/rand"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
)

// Write streams that end in other ways than they should.

func TestContentAStreamWithoutAnyMessageEnds(t *testing.T) {
	d, c := startContent(t)
	for i := 0; i < 50; i++ {
		w, err := c.write()
		must(t, err)
		switch i % 3 {
		case 0:
			err = w.close()
			if code := status.Code(err); err != nil && code != codes.InvalidArgument {
				t.Errorf("a stream without a message ends with %v", err)
			}
		case 1:
			w.vanish()
		case 2: // stays open while others work
			t.Cleanup(w.vanish)
		}
	}
	c.blob(t, []byte("works"))
	answers(t, d)
	harness.StopClean(t, d)
}

// cuts are ways for a client to go.
var cuts = []struct {
	what string
	cut  func(*writing, *grpc.ClientConn)
}{
	{"RST_STREAM", func(w *writing, _ *grpc.ClientConn) { w.vanish() }},
	{"half-close", func(w *writing, _ *grpc.ClientConn) { _ = w.stream.CloseSend() }},
	{"close of the connection", func(_ *writing, conn *grpc.ClientConn) { _ = conn.Close() }},
}

// After each message the stream is cut, before or after its answer. What was answered is kept, the ref is free
// soon, and what was in flight is done or not.
func TestContentStreamsCutAtEachMessage(t *testing.T) {
	d, c := startContent(t)
	one, two := randomBytes(1, 100000), randomBytes(2, 2<<20)
	both := append(append([]byte{}, one...), two...)
	script := []message{statOf("r"), writeAt(0, one), {}, writeAt(len(one), two), commitAt(len(both), digest.FromBytes(both))}
	stages := [][]byte{nil, {}, one, one, both} // what there is before each message
	for _, way := range cuts {
		for last := range script {
			for _, answered := range []bool{true, false} {
				conn, err := harness.Dial(d.Socket)
				must(t, err)
				w, err := contentsOn(conn).write()
				must(t, err)
				for i := 0; i < last; i++ {
					w.said(t, script[i])
				}
				if answered {
					w.said(t, script[last])
				} else {
					must(t, w.stream.Send(&script[last]))
				}
				way.cut(w, conn)
				checkCut(t, c, both, stages[last], last == len(script)-1, answered, answered && last+1 < len(stages), stages, last)
				w.vanish()
				_ = conn.Close()
				if t.Failed() {
					t.Fatalf("%s at message %d, answered: %v", way.what, last, answered)
				}
			}
		}
	}
	awaitContentFiles(t, d, c)
	answers(t, d)
}

// checkCut checks the ref after a cut and leaves nothing.
func checkCut(t *testing.T, c contents, both, before []byte, committing, answered, known bool, stages [][]byte, last int) {
	t.Helper()
	if committing {
		_, err := c.info(digest.FromBytes(both))
		if answered {
			must(t, err)
		}
	}
	// The ref is free within the wait for a busy one, or a little later on a busy machine.
	harness.Eventually(t, 5*time.Second, func() string {
		w, err := c.write()
		must(t, err)
		defer w.vanish()
		answer, err := w.say(statOf("r"))
		if err != nil {
			return err.Error()
		}
		at := int(answer.Offset)
		if at > len(both) || answer.Digest != digest.FromBytes(both[:at]) {
			t.Errorf("at %d the digest is %s", at, answer.Digest)
		}
		if known && at != len(stages[last+1]) {
			t.Errorf("the ref is at %d, and %d was answered", at, len(stages[last+1]))
		}
		if !answered && !committing && at < len(before) {
			t.Errorf("the ref is at %d, and %d was answered before", at, len(before))
		}
		if err := w.close(); err != nil {
			t.Error(err)
		}
		return ""
	})
	must(t, c.abort("r"))
	must(t, c.delete(digest.FromBytes(both)))
}

// A commit that the client does not wait for is done whole or not at all.
func TestContentCommitsWhoseClientVanishes(t *testing.T) {
	d, c := startContent(t)
	random := rand.New(rand.NewSource(1))
	done := 0
	for i := 0; i < 60; i++ {
		data := randomBytes(int64(i), 1<<20)
		dgst := digest.FromBytes(data)
		w, _ := c.opened(t, on("r", writeAt(0, data)))
		m := commitAt(len(data), dgst)
		must(t, w.stream.Send(&m))
		time.Sleep(time.Duration(random.Intn(5000)) * time.Microsecond)
		w.vanish()
		next, err := c.write()
		must(t, err)
		answer, err := next.say(on("r", message{Expected: dgst})) // waits for the ref, and for that commit
		switch {
		case status.Code(err) == codes.AlreadyExists:
			done++
			must(t, c.intact(dgst, len(data)))
		case err != nil:
			t.Fatal(err)
		default:
			stands(t, answer, actionStat, data)
			next.said(t, commitAt(len(data), dgst))
			must(t, c.intact(dgst, len(data)))
		}
		next.vanish()
		c.keeps(t, "r", nil)
		must(t, c.delete(dgst))
	}
	t.Logf("%d of 60 commits were done", done)
	awaitContentFiles(t, d, c)
}

// A client may send ahead; each message is answered in order, and the commit ends it.
func TestContentMessagesSentAhead(t *testing.T) {
	_, c := startContent(t)
	w, err := c.write()
	must(t, err)
	var data []byte
	first := statOf("r")
	must(t, w.stream.Send(&first))
	for i := 0; i < 200; i++ {
		piece := randomBytes(int64(i), 10000)
		m := writeAt(len(data), piece)
		must(t, w.stream.Send(&m))
		data = append(data, piece...)
	}
	last := commitAt(len(data), digest.FromBytes(data))
	must(t, w.stream.Send(&last))
	answer, err := w.stream.Recv()
	must(t, err)
	stands(t, *answer, actionStat, nil)
	for i := 1; i <= 200; i++ {
		answer, err := w.stream.Recv()
		must(t, err)
		stands(t, *answer, actionWrite, data[:i*10000])
	}
	answer, err = w.stream.Recv()
	must(t, err)
	stands(t, *answer, actionCommit, data)
	must(t, w.ended())
	c.reads(t, digest.FromBytes(data), data)
}

func TestContentClientsThatVanishDuringAnyCallAreSurvived(t *testing.T) {
	d, c := startContent(t)
	someBlobs(t, c, 150)
	big := c.blob(t, randomBytes(1, 8<<20))
	piece := randomBytes(2, 100000)
	together(t, 60, func(i int) error {
		conn, err := harness.Dial(d.Socket)
		if err != nil {
			return err
		}
		defer conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.Intn(20000))*time.Microsecond)
		defer cancel()
		c := contentsOn(conn)
		for ctx.Err() == nil { // any answer will do
			if stream, err := c.api.Write(ctx); err == nil {
				w := &writing{stream, cancelNothing}
				answer, err := w.say(statOf(numbered("v", i%20)))
				for err == nil && answer.Offset < 500000 {
					answer, err = w.say(writeAt(int(answer.Offset), piece))
				}
			}
			_, _ = c.read(big, 0, 0)
			_ = c.abort(numbered("v", i%20))
		}
		return nil
	})
	answers(t, d)
	for i := 0; i < 20; i++ { // all refs are free
		w, _ := c.opened(t, statOf(numbered("v", i)))
		w.closed(t)
		must(t, c.abort(numbered("v", i)))
	}
	awaitContentFiles(t, d, c)
	equal(t, "number of blobs", len(c.list(t)), 151)
}

func cancelNothing() {}

func TestContentSigtermEndsTheDaemonWhileClientsSitOnStreams(t *testing.T) {
	d, c := startContent(t)
	data := randomBytes(1, 300000)
	for i := 0; i < 20; i++ {
		w, _ := c.opened(t, statOf(numbered("r", i)))
		if i%2 == 0 {
			w.said(t, writeAt(0, data))
		}
		t.Cleanup(w.vanish)
	}
	d, c = restartContent(t, d) // exit status 0 in time
	for i := 0; i < 20; i++ {
		kept := []byte{}
		if i%2 == 0 {
			kept = data
		}
		c.keeps(t, numbered("r", i), kept)
	}
	awaitContentFiles(t, d, c)
}
