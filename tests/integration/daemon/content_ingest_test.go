// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
)

// Status, ListStatuses, Abort (contract 6.1).

func TestContentStatusTellsWhereAnIngestIs(t *testing.T) {
	d, c := startContent(t)
	_, err := c.status("r")
	fails(t, err, codes.NotFound)
	w, opened := c.opened(t, message{Ref: "r", Total: 100})
	for i := 0; i < 3; i++ { // while it is held
		st, err := c.status("r")
		must(t, err)
		equal(t, "ref", st.Ref, "r")
		equal(t, "offset", st.Offset, int64(i*1000))
		equal(t, "total", st.Total, int64(100))
		equal(t, "started_at", st.StartedAt, opened.StartedAt)
		equal(t, "updated_at", st.UpdatedAt, w.said(t, message{}).UpdatedAt)
		equal(t, "ListStatuses", fmt.Sprint(c.statuses(t)["r"]), fmt.Sprint(st))
		w.said(t, writeAt(i*1000, randomBytes(1, 1000)))
	}
	w.closed(t)
	before, err := c.status("r")
	must(t, err)
	equal(t, "offset", before.Offset, int64(3000))
	_, c = restartContent(t, d)
	after, err := c.status("r")
	must(t, err)
	equal(t, "ListStatuses after a restart", fmt.Sprint(c.statuses(t)["r"]), fmt.Sprint(after))
	sameUpdate(t, after.UpdatedAt, before.UpdatedAt)
	after.UpdatedAt = before.UpdatedAt
	equal(t, "Status after a restart", fmt.Sprint(after), fmt.Sprint(before))
}

// An ingest of which nothing was written is one, too: the garbage collector must find it.
func TestContentStatusOfAnIngestWithoutData(t *testing.T) {
	d, c := startContent(t)
	w, _ := c.opened(t, message{Ref: "r", Total: 5})
	w.closed(t)
	for i := 0; i < 2; i++ {
		st, err := c.status("r")
		must(t, err)
		equal(t, "offset", st.Offset, int64(0))
		equal(t, "total", st.Total, int64(5))
		equal(t, "refs", c.refs(t), "[r]")
		d, c = restartContent(t, d)
	}
	must(t, c.abort("r"))
	equal(t, "refs", c.refs(t), "[]")
}

func TestContentStatusOfWhatIsCommittedIsNotFound(t *testing.T) {
	d, c := startContent(t)
	w, _ := c.opened(t, on("r", writeAt(0, []byte("x"))))
	w.said(t, commitAt(1, ""))
	_, err := c.status("r")
	fails(t, err, codes.NotFound)
	equal(t, "refs", c.refs(t), "[]")
	_, c = restartContent(t, d)
	equal(t, "refs", c.refs(t), "[]")
}

func TestContentListStatusesUnderstandsFilters(t *testing.T) {
	_, c := startContent(t)
	equal(t, "refs", c.refs(t), "[]")
	for _, ref := range []string{"default/1/layer-sha256:abc", "default/2/config", "moby/3/layer-sha256:def", "x"} {
		c.partial(t, ref, []byte(ref))
	}
	for _, f := range []struct {
		filters []string
		want    string
	}{
		{nil, "[default/1/layer-sha256:abc default/2/config moby/3/layer-sha256:def x]"},
		{[]string{""}, "[default/1/layer-sha256:abc default/2/config moby/3/layer-sha256:def x]"},
		{[]string{"ref==x"}, "[x]"},
		{[]string{"ref==default/2/config", "ref==x"}, "[default/2/config x]"},
		{[]string{`ref=="default/1/layer-sha256:abc"`}, "[default/1/layer-sha256:abc]"},
		{[]string{"ref~=/layer/"}, "[default/1/layer-sha256:abc moby/3/layer-sha256:def]"},
		{[]string{"ref~=^default/"}, "[default/1/layer-sha256:abc default/2/config]"},
		{[]string{"ref!=x,ref~=/config/"}, "[default/2/config]"},
		{[]string{"ref"}, "[default/1/layer-sha256:abc default/2/config moby/3/layer-sha256:def x]"},
		{[]string{"ref==nothing"}, "[]"},
		{[]string{"total"}, "[]"},
		{[]string{"layer"}, "[]"}, // the proto's words about regular expressions are obsolete
	} {
		equal(t, fmt.Sprintf("refs for %q", f.filters), c.refs(t, f.filters...), f.want)
	}
}

func TestContentAbortDropsTheDataAndSucceedsForWhatIsNotThere(t *testing.T) {
	d, c := startContent(t)
	must(t, c.abort("nothing"))
	c.partial(t, "r", []byte("data"))
	c.partial(t, "other", []byte("other data"))
	must(t, c.abort("r"))
	must(t, c.abort("r"))
	c.keeps(t, "r", nil)
	awaitContentFiles(t, d, c)
	d, c = restartContent(t, d)
	c.keeps(t, "r", nil)
	must(t, c.abort("r"))
	c.keeps(t, "other", []byte("other data"))
	w, answer := c.opened(t, message{Ref: "r", Total: 7})
	stands(t, answer, actionStat, nil)
	w.closed(t)
	must(t, c.abort("other"))
	equal(t, "refs", c.refs(t), "[r]")
	awaitContentFiles(t, d, c)
}

// The writer is told with its next message, whatever that is; nothing of it becomes a blob.
func TestContentAbortOfARefWithAnOpenWriter(t *testing.T) {
	d, c := startContent(t)
	data := []byte("data")
	for _, next := range []message{{}, writeAt(4, []byte("more")), writeAt(0, []byte("more")), commitAt(4, ""),
		commitAt(4, digest.FromBytes(data))} {
		w, _ := c.opened(t, on("r", writeAt(0, data)))
		must(t, c.abort("r"))
		_, err := c.status("r")
		fails(t, err, codes.NotFound)
		equal(t, "refs", c.refs(t), "[]")
		_, err = w.say(next)
		if code := status.Code(err); code == codes.OK || code == codes.Unknown || code == codes.Internal ||
			code == codes.AlreadyExists {
			t.Errorf("after Abort %v was answered with %v", next.Action, err)
		}
		c.missing(t, digest.FromBytes(data))
		w, answer := c.opened(t, statOf("r")) // free, and anew
		stands(t, answer, actionStat, nil)
		w.closed(t)
		must(t, c.abort("r"))
	}
	awaitContentFiles(t, d, c)
	answers(t, d)
}

// The old writer must not touch what a new one makes of the ref.
func TestContentAnAbortedWriterLeavesTheNextOneAlone(t *testing.T) {
	d, c := startContent(t)
	for i := 0; i < 20; i++ {
		old, _ := c.opened(t, on("r", writeAt(0, []byte("old"))))
		must(t, c.abort("r"))
		next, err := c.write()
		must(t, err)
		_, err = next.say(on("r", writeAt(0, []byte("new data"))))
		switch status.Code(err) {
		case codes.OK: // the ref is free at once
			if i%2 == 0 {
				_ = old.close() // any end will do
			} else if _, err := old.say(writeAt(3, []byte("x"))); err == nil {
				t.Error("the aborted writer writes on")
			}
			stands(t, next.said(t, message{}), actionStat, []byte("new data"))
			next.closed(t)
			c.keeps(t, "r", []byte("new data"))
		case codes.Unavailable: // or when the old writer is gone
			_ = old.close()
			w, answer := c.opened(t, statOf("r"))
			stands(t, answer, actionStat, nil)
			w.closed(t)
		default:
			t.Errorf("the ref after an Abort: %v", err)
		}
		must(t, c.abort("r"))
	}
	awaitContentFiles(t, d, c)
}

func TestContentAbortAndWriteOfTheSameRefAtOnce(t *testing.T) {
	d, c := startContent(t)
	allowed := map[codes.Code]bool{codes.OK: true, codes.Unavailable: true, codes.NotFound: true, codes.Aborted: true,
		codes.FailedPrecondition: true, codes.OutOfRange: true, codes.Canceled: true}
	together(t, 9, func(i int) error {
		for round := 0; round < 40; round++ {
			if i%3 == 0 {
				if err := c.abort("r"); err != nil {
					return err
				}
				continue
			}
			data := []byte(numbered(numbered("data", i), round))
			dgst, err := c.put("r", data)
			if !allowed[status.Code(err)] {
				return err
			}
			if err == nil {
				err = c.intact(dgst, len(data)) // acknowledged
			}
			if err != nil && status.Code(err) == codes.OK {
				return err
			}
		}
		return nil
	})
	must(t, c.abort("r"))
	equal(t, "refs", c.refs(t), "[]")
	awaitContentFiles(t, d, c)
}

func TestContentAThousandIngestsAreListedAndFoundAgain(t *testing.T) {
	d, c := startContent(t)
	const count = 1000
	together(t, 10, func(worker int) error {
		for i := worker; i < count; i += 10 {
			w, err := c.write()
			if err == nil {
				_, err = w.say(on(numbered("r", i), writeAt(0, []byte(numbered("data", i)))))
			}
			if err == nil {
				err = w.close()
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	equal(t, "number of ingests", len(c.statuses(t)), count)
	began := time.Now()
	d, c = restartContent(t, d)
	if took := time.Since(began); took > harness.Bound(5*time.Second) {
		t.Errorf("the restart took %v", took)
	}
	statuses := c.statuses(t)
	equal(t, "number of ingests", len(statuses), count)
	for i := 0; i < count; i++ {
		equal(t, "offset", statuses[numbered("r", i)].Offset, int64(len(numbered("data", i))))
	}
	for ref := range statuses {
		must(t, c.abort(ref))
	}
	awaitContentFiles(t, d, c)
}
