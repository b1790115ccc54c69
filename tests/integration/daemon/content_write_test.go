// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"

	"clonefs/tests/gotool/harness"
)

// The Write state machine (contract 6.2) without refusals; those are in content_refusal_test.go.

const (
	actionStat   = contentapi.WriteActionStat
	actionWrite  = contentapi.WriteActionWrite
	actionCommit = contentapi.WriteActionCommit
)

func TestContentEveryAnswerHasOffsetAndRunningDigest(t *testing.T) {
	_, c := startContent(t)
	for _, alg := range algorithms {
		t.Run(alg.String(), func(t *testing.T) {
			data := append([]byte(alg), randomBytes(1, 3<<20)...)
			dgst := alg.FromBytes(data)
			w, answer := c.opened(t, message{Ref: alg.String(), Total: int64(len(data)), Expected: dgst})
			standsBy(t, alg, answer, actionStat, nil)
			equal(t, "total", answer.Total, int64(len(data)))
			standsBy(t, alg, w.said(t, writeAt(0, nil)), actionWrite, nil)
			at := 0
			for _, size := range []int{1, 63, 64, 4096, 1 << 20, 0, 3<<20 - 1<<20 - 5000} {
				standsBy(t, alg, w.said(t, writeAt(at, data[at:at+size])), actionWrite, data[:at+size])
				at += size
				standsBy(t, alg, w.said(t, message{}), actionStat, data[:at])
			}
			end := commitAt(at, dgst)
			end.Data, end.Total = data[at:], int64(len(data))
			answer = w.said(t, end)
			standsBy(t, alg, answer, actionCommit, data)
			equal(t, "total in the answer to COMMIT", answer.Total, int64(len(data)))
			must(t, w.ended())
			c.reads(t, dgst, data)
			c.keeps(t, alg.String(), nil)
		})
	}
}

func TestContentDigestIsSha256UnlessExpectedSaysOtherwise(t *testing.T) {
	_, c := startContent(t)
	data := []byte("some data")
	w, answer := c.opened(t, statOf("r"))
	stands(t, answer, actionStat, nil)
	w.said(t, writeAt(0, data))
	stands(t, w.said(t, commitAt(len(data), "")), actionCommit, data)
	must(t, w.ended())
	c.reads(t, digest.FromBytes(data), data)

	for _, alg := range algorithms[1:] { // COMMIT without expected is of the algorithm that was announced
		w, _ := c.opened(t, message{Ref: "r", Expected: alg.FromBytes(data)})
		w.said(t, writeAt(0, data))
		standsBy(t, alg, w.said(t, commitAt(len(data), "")), actionCommit, data)
		c.reads(t, alg.FromBytes(data), data)
	}
	equal(t, "number of blobs", len(c.list(t)), 3)
}

func TestContentCommitMayNameAnotherAlgorithm(t *testing.T) {
	_, c := startContent(t)
	data := randomBytes(2, 3<<20)
	for _, first := range algorithms {
		for _, last := range algorithms {
			data[0]++
			w, answer := c.opened(t, message{Ref: "r", Expected: first.FromString("something else")})
			standsBy(t, first, answer, actionStat, nil)
			standsBy(t, first, w.said(t, writeAt(0, data[:2<<20])), actionWrite, data[:2<<20])
			end := commitAt(2<<20, last.FromBytes(data))
			end.Data = data[2<<20:]
			standsBy(t, last, w.said(t, end), actionCommit, data)
			must(t, w.ended())
			c.reads(t, last.FromBytes(data), data)
			if first != last {
				c.missing(t, first.FromBytes(data))
			}
		}
	}
}

func TestContentOneMessageMayBeAWholeIngest(t *testing.T) {
	_, c := startContent(t)
	data := []byte("all at once")
	only := on("r", commitAt(0, digest.FromBytes(data)))
	only.Data, only.Labels = data, harness.Labels("a", "1")
	w, answer := c.opened(t, only)
	stands(t, answer, actionCommit, data)
	must(t, w.ended())
	c.reads(t, digest.FromBytes(data), data)
	info, err := c.info(digest.FromBytes(data))
	must(t, err)
	equal(t, "the label", info.Labels["a"], "1")
}

func TestContentEmptyBlobIsABlob(t *testing.T) {
	d, c := startContent(t)
	for _, alg := range algorithms {
		dgst := alg.FromBytes(nil)
		w, answer := c.opened(t, on("r", commitAt(0, dgst)))
		standsBy(t, alg, answer, actionCommit, nil)
		must(t, w.ended())
		c.reads(t, dgst, nil)
		info, err := c.info(dgst)
		must(t, err)
		equal(t, "size", info.Size_, int64(0))
	}
	_, c = restartContent(t, d)
	c.reads(t, emptyDigest, nil)
	must(t, c.delete(emptyDigest))
	w, _ := c.opened(t, statOf("r"))
	stands(t, w.said(t, commitAt(0, "")), actionCommit, nil)
	must(t, w.ended())
	c.reads(t, emptyDigest, nil)
}

// Only what the commit brings counts, not what earlier messages had.
func TestContentLabelsAreThoseOfTheCommit(t *testing.T) {
	_, c := startContent(t)
	first := statOf("r")
	first.Labels = harness.Labels("early", "1")
	w, _ := c.opened(t, first)
	end := commitAt(0, "")
	end.Data, end.Labels = []byte("x"), harness.Labels("a", "1", "empty", "")
	w.said(t, end)
	info, err := c.info(digest.FromString("x"))
	must(t, err)
	equal(t, "number of labels", len(info.Labels), 1)
	equal(t, "the label", info.Labels["a"], "1")
}

// same as before: what a client learns by opening a ref again.
func sameIngest(t *testing.T, before, after contentapi.WriteContentResponse) {
	t.Helper()
	equal(t, "offset", after.Offset, before.Offset)
	equal(t, "total", after.Total, before.Total)
	equal(t, "digest", after.Digest, before.Digest)
	equal(t, "started_at", after.StartedAt, before.StartedAt)
	sameUpdate(t, after.UpdatedAt, before.UpdatedAt)
}

// After a restart it is the time of the file, which the kernel takes before the write, from a coarse clock.
func sameUpdate(t *testing.T, after, before time.Time) {
	t.Helper()
	if gap := after.Sub(before); gap > 0 || gap < -100*time.Millisecond {
		t.Errorf("updated_at moved by %v, to %v", gap, after)
	}
}

func TestContentIngestsResumeWhereTheyWere(t *testing.T) {
	d, c := startContent(t)
	data := randomBytes(3, 5<<20)
	half := len(data)/2 + 1
	w, opened := c.opened(t, message{Ref: "r", Total: int64(len(data))})
	before := time.Now()
	written := w.said(t, writeAt(0, data[:half]))
	after := time.Now()
	known := w.said(t, message{})
	equal(t, "started_at", known.StartedAt, opened.StartedAt)
	if known.UpdatedAt.Before(before) || known.UpdatedAt.After(after) {
		t.Errorf("updated_at is %v, not between %v and %v", known.UpdatedAt, before, after)
	}
	stands(t, written, actionWrite, data[:half])
	w.closed(t)
	for _, pause := range []struct {
		what string
		do   func()
	}{
		{"at once", func() {}},
		{"after a restart", func() { d, c = restartContent(t, d) }},
		{"after kill -9", func() {
			time.Sleep(100 * time.Millisecond) // younger ingests may be lost by a kill
			d.Kill()
			d = harness.Start(t, d.Root)
			c = contentsOn(d.Conn)
		}},
		{"after another writer", func() { w, _ := c.opened(t, statOf("r")); w.closed(t) }},
	} {
		pause.do()
		for _, total := range []int64{0, int64(len(data))} {
			w, answer := c.opened(t, message{Ref: "r", Total: total})
			stands(t, answer, actionStat, data[:half])
			sameIngest(t, known, answer)
			w.closed(t)
			if t.Failed() {
				t.Fatalf("resumed %s with total %d", pause.what, total)
			}
		}
		st, err := c.status("r")
		must(t, err)
		equal(t, "Status: started_at", st.StartedAt, known.StartedAt)
		sameUpdate(t, st.UpdatedAt, known.UpdatedAt)
		equal(t, "Status: total", st.Total, known.Total)
		equal(t, "Status: offset", st.Offset, known.Offset)
	}
	w, _ = c.opened(t, message{Ref: "r", Total: int64(len(data))})
	w.said(t, writeAt(half, data[half:]))
	stands(t, w.said(t, commitAt(len(data), digest.FromBytes(data))), actionCommit, data)
	c.reads(t, digest.FromBytes(data), data)
	c.keeps(t, "r", nil)
}

// A client need not look first: it may go on where it knows that it was.
func TestContentResumedByAWriteAtTheOffset(t *testing.T) {
	d, c := startContent(t)
	for _, again := range []func(){func() {}, func() { d, c = restartContent(t, d) }} {
		c.partial(t, "r", []byte("one "))
		again()
		w, answer := c.opened(t, on("r", writeAt(4, []byte("two"))))
		stands(t, answer, actionWrite, []byte("one two"))
		w.closed(t)
		c.keeps(t, "r", []byte("one two"))
		must(t, c.abort("r"))
	}
}

// Resumed by other algorithms than it was written with.
func TestContentResumedWithAnotherAlgorithm(t *testing.T) {
	d, c := startContent(t)
	data := randomBytes(4, 1<<20)
	c.partial(t, "r", data[:1000])
	for i, alg := range []digest.Algorithm{digest.SHA512, digest.SHA384, digest.SHA256, digest.SHA512} {
		if i == 3 {
			d, c = restartContent(t, d)
		}
		w, answer := c.opened(t, message{Ref: "r", Expected: alg.FromBytes(data)})
		standsBy(t, alg, answer, actionStat, data[:1000])
		w.closed(t)
	}
	w, _ := c.opened(t, message{Ref: "r", Expected: digest.SHA512.FromBytes(data)})
	standsBy(t, digest.SHA512, w.said(t, writeAt(1000, data[1000:])), actionWrite, data)
	standsBy(t, digest.SHA512, w.said(t, commitAt(len(data), "")), actionCommit, data)
	c.reads(t, digest.SHA512.FromBytes(data), data)
}

func TestContentOffset0Truncates(t *testing.T) {
	d, c := startContent(t)
	long, short := []byte("a long text that is not wanted"), []byte("short")
	w, _ := c.opened(t, on("r", writeAt(0, long)))
	stands(t, w.said(t, writeAt(0, short)), actionWrite, short)
	stands(t, w.said(t, writeAt(0, long)), actionWrite, long)
	stands(t, w.said(t, writeAt(0, nil)), actionWrite, nil)
	stands(t, w.said(t, message{}), actionStat, nil)
	stands(t, w.said(t, writeAt(0, long)), actionWrite, long)
	w.closed(t)
	c.keeps(t, "r", long)

	w, _ = c.opened(t, on("r", writeAt(0, short))) // by the first message of a resumed one
	w.closed(t)
	d, c = restartContent(t, d)
	c.keeps(t, "r", short)
	w, _ = c.opened(t, statOf("r"))
	stands(t, w.said(t, writeAt(0, nil)), actionWrite, nil)
	w.closed(t)
	c.keeps(t, "r", []byte{})

	c.partial(t, "r", long)
	w, _ = c.opened(t, statOf("r"))
	end := commitAt(0, digest.FromBytes(short)) // by the commit itself
	end.Data = short
	stands(t, w.said(t, end), actionCommit, short)
	c.reads(t, digest.FromBytes(short), short)

	c.partial(t, "r", long)
	w, _ = c.opened(t, statOf("r"))
	stands(t, w.said(t, commitAt(0, "")), actionCommit, nil) // to nothing
	c.reads(t, emptyDigest, nil)
	equal(t, "number of blobs", len(c.list(t)), 2)
	_ = d
}

func TestContentStatIgnoresOffsetAndData(t *testing.T) {
	_, c := startContent(t)
	w, _ := c.opened(t, on("r", writeAt(0, []byte("12345"))))
	for _, offset := range []int64{0, 3, 5, 99} {
		stands(t, w.said(t, message{Offset: offset, Data: []byte("x")}), actionStat, []byte("12345"))
	}
	w.closed(t)
	c.keeps(t, "r", []byte("12345"))
}

func TestContentTotalIsWhatWasAnnouncedLast(t *testing.T) {
	_, c := startContent(t)
	w, answer := c.opened(t, message{Ref: "r", Total: 100})
	equal(t, "total", answer.Total, int64(100))
	equal(t, "total", w.said(t, message{}).Total, int64(100))
	m := writeAt(0, []byte("12345"))
	m.Total = 7
	w.said(t, m)
	equal(t, "total", w.said(t, message{}).Total, int64(7))
	equal(t, "total", w.said(t, message{Total: 5}).Total, int64(5))
	answer = w.said(t, commitAt(5, ""))
	stands(t, answer, actionCommit, []byte("12345"))
	equal(t, "total", answer.Total, int64(5))
}

func TestContentAnotherTotalStartsAnew(t *testing.T) {
	d, c := startContent(t)
	for _, again := range []func(){func() {}, func() { d, c = restartContent(t, d) }} {
		w, _ := c.opened(t, message{Ref: "r", Total: 100})
		w.said(t, writeAt(0, []byte("12345")))
		w.closed(t)
		again()
		w, answer := c.opened(t, message{Ref: "r", Total: 10})
		stands(t, answer, actionStat, nil)
		equal(t, "total", answer.Total, int64(10))
		stands(t, w.said(t, writeAt(0, []byte("67"))), actionWrite, []byte("67"))
		w.closed(t)
		again()
		c.keeps(t, "r", []byte("67")) // nothing of the old data behind it
		st, err := c.status("r")
		must(t, err)
		equal(t, "total in Status", st.Total, int64(10))
		must(t, c.abort("r"))
	}
	c.partial(t, "r", []byte("12345")) // no total known: any fits
	w, answer := c.opened(t, message{Ref: "r", Total: 10})
	stands(t, answer, actionStat, []byte("12345"))
	equal(t, "total", answer.Total, int64(10))
	w.closed(t)
}

func TestContentTimesOfAnIngestAndItsBlob(t *testing.T) {
	_, c := startContent(t)
	before := time.Now()
	w, first := c.opened(t, statOf("r"))
	opened := time.Now()
	inside(t, "started_at", first.StartedAt, before, opened)
	inside(t, "updated_at of a new ingest", first.UpdatedAt, before, opened)
	for i := 0; i < 3; i++ {
		time.Sleep(10 * time.Millisecond)
		sent := time.Now()
		w.said(t, writeAt(i, []byte("x")))
		got := time.Now()
		time.Sleep(10 * time.Millisecond)
		answer := w.said(t, message{})
		equal(t, "started_at", answer.StartedAt, first.StartedAt)
		inside(t, "updated_at", answer.UpdatedAt, sent, got)
	}
	time.Sleep(10 * time.Millisecond)
	sent := time.Now()
	answer := w.said(t, commitAt(3, ""))
	got := time.Now()
	equal(t, "started_at in the answer to COMMIT", answer.StartedAt, first.StartedAt)
	info, err := c.info(digest.FromString("xxx"))
	must(t, err)
	inside(t, "created_at", info.CreatedAt, sent, got)
	equal(t, "updated_at at first", info.UpdatedAt, info.CreatedAt)
}

func inside(t *testing.T, what string, when, from, to time.Time) {
	t.Helper()
	// The kernel's coarse clock, of which file times are, may be a tick behind.
	if when.Before(from.Add(-10*time.Millisecond)) || when.After(to) {
		t.Errorf("%s is %v, not between %v and %v", what, when, from, to)
	}
}

func TestContentMessagesUpTo16MiBWork(t *testing.T) {
	d, c := startContent(t)
	data := randomBytes(5, 16<<20-200)
	w, _ := c.opened(t, statOf("r"))
	stands(t, w.said(t, writeAt(0, data)), actionWrite, data)
	stands(t, w.said(t, commitAt(len(data), digest.FromBytes(data))), actionCommit, data)
	c.reads(t, digest.FromBytes(data), data)

	w, _ = c.opened(t, on("big", writeAt(0, []byte("kept"))))
	_, err := w.say(writeAt(4, make([]byte, 16<<20+1)))
	fails(t, err, codes.ResourceExhausted)
	c.keeps(t, "big", []byte("kept"))
	answers(t, d)
}
