// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"

	"clonefs/tests/gotool/harness"
)

// Write: what is refused, what that leaves, and that the ref is free afterwards (contract 6.2).

// refusedMessage says a message on an ingest that has data, as the first message of a stream and as a
// later one, and checks the class and what is left of the ingest.
func refusedMessage(t *testing.T, c contents, m message, data []byte, class codes.Code, left []byte) {
	t.Helper()
	c.partial(t, "r", data)
	w, _ := c.opened(t, statOf("r"))
	_, err := w.say(m)
	fails(t, err, class)
	c.keeps(t, "r", left)
	must(t, c.abort("r"))

	c.partial(t, "r", data)
	c.refuses(t, on("r", m), class)
	c.keeps(t, "r", left)
	must(t, c.abort("r"))
}

func TestContentWrongOffsetsAreOutOfRangeAndKeepTheData(t *testing.T) {
	_, c := startContent(t)
	data := []byte("12345")
	for _, offset := range []int{1, 4, 6, 1 << 40, 1<<63 - 1} {
		m := writeAt(offset, []byte("x"))
		refusedMessage(t, c, m, data, codes.OutOfRange, data)
		refusedMessage(t, c, writeAt(offset, nil), data, codes.OutOfRange, data)
		m.Action = actionCommit
		refusedMessage(t, c, m, data, codes.OutOfRange, data)
	}
	c.refuses(t, on("new", writeAt(1, []byte("x"))), codes.OutOfRange)
	c.keepsAtMost(t, "new", []byte{})
	equal(t, "number of blobs", len(c.list(t)), 0)
}

// keepsAtMost checks that ref is free and has this data or does not exist.
func (c contents) keepsAtMost(t *testing.T, ref string, data []byte) {
	t.Helper()
	if _, err := c.status(ref); err == nil {
		c.keeps(t, ref, data)
		must(t, c.abort(ref))
		return
	}
	c.keeps(t, ref, nil)
}

func TestContentWrongSizesKeepTheData(t *testing.T) {
	d, c := startContent(t)
	data := []byte("12345")
	for _, total := range []int64{1, 4, 6, 1 << 40} {
		m := commitAt(5, digest.FromBytes(data))
		m.Total = total
		refusedMessage(t, c, m, data, codes.FailedPrecondition, data)
		m.Expected = ""
		refusedMessage(t, c, m, data, codes.FailedPrecondition, data)
	}

	w, _ := c.opened(t, message{Ref: "r", Total: 6}) // announced earlier in the stream
	w.said(t, writeAt(0, data))
	_, err := w.say(commitAt(5, digest.FromBytes(data)))
	fails(t, err, codes.FailedPrecondition)
	c.keeps(t, "r", data)

	_, c = restartContent(t, d)
	w, _ = c.opened(t, statOf("r"))
	m := commitAt(5, digest.FromBytes(data))
	m.Total = 5
	stands(t, w.said(t, m), actionCommit, data)
	c.reads(t, digest.FromBytes(data), data)
	equal(t, "refs", c.refs(t), "[]")
}

func TestContentWrongDigestsKeepTheData(t *testing.T) {
	d, c := startContent(t)
	data := randomBytes(1, 2<<20)
	for _, alg := range algorithms {
		refusedMessage(t, c, commitAt(len(data), alg.FromString("else")), data, codes.FailedPrecondition, data)

		w, _ := c.opened(t, message{Ref: "r", Expected: alg.FromString("else")}) // announced earlier
		w.said(t, writeAt(0, data))
		_, err := w.say(commitAt(len(data), ""))
		fails(t, err, codes.FailedPrecondition)
		c.keeps(t, "r", data)
	}
	equal(t, "number of blobs", len(c.list(t)), 0)

	_, c = restartContent(t, d)
	w, _ := c.opened(t, statOf("r"))
	stands(t, w.said(t, commitAt(len(data), digest.FromBytes(data))), actionCommit, data)
	c.reads(t, digest.FromBytes(data), data)
}

func TestContentAnotherExpectedReplacesTheEarlierOne(t *testing.T) {
	_, c := startContent(t)
	data := []byte("data")
	w, _ := c.opened(t, message{Ref: "r", Expected: digest.FromString("first")})
	m := writeAt(0, data)
	m.Expected = digest.FromString("second")
	w.said(t, m)
	stands(t, w.said(t, commitAt(4, digest.FromBytes(data))), actionCommit, data)

	w, _ = c.opened(t, statOf("r")) // or by a message before the commit
	w.said(t, writeAt(0, []byte("more")))
	w.said(t, message{Expected: digest.FromString("first")})
	w.said(t, message{Expected: digest.FromString("more")})
	stands(t, w.said(t, commitAt(4, "")), actionCommit, []byte("more"))
}

func TestContentWhatExistsNeedNotBeWrittenAgain(t *testing.T) {
	_, c := startContent(t)
	for _, alg := range algorithms {
		there := []byte(alg)
		w, _ := c.opened(t, statOf("making"))
		m := commitAt(0, alg.FromBytes(there))
		m.Data = there
		w.said(t, m)
		dgst := m.Expected

		// Known at the first message: there need not even be an ingest.
		for _, first := range []message{{Expected: dgst}, {Action: actionWrite, Expected: dgst, Data: []byte("x")},
			{Action: actionCommit, Expected: dgst, Data: there}, {Expected: dgst, Total: 99}} {
			c.refuses(t, on("r", first), codes.AlreadyExists)
			c.keeps(t, "r", nil)
		}
		// Known later: the data goes. Offsets and sizes are not even looked at.
		for _, m := range []message{{Expected: dgst}, {Expected: dgst, Total: 99},
			{Action: actionWrite, Expected: dgst, Data: []byte("x"), Offset: 4},
			{Action: actionWrite, Expected: dgst, Data: []byte("x"), Offset: 99},
			{Action: actionCommit, Expected: dgst, Offset: 4}, {Action: actionCommit, Expected: dgst, Offset: 0, Total: 99}} {
			c.partial(t, "r", []byte("data"))
			w, _ := c.opened(t, statOf("r"))
			_, err := w.say(m)
			fails(t, err, codes.AlreadyExists)
			c.keeps(t, "r", nil)
		}
		c.reads(t, dgst, there)
	}
	equal(t, "refs", c.refs(t), "[]")
}

// The digest is not known before the end: the data is there twice, and goes.
func TestContentCommitOfWhatExistsFreesTheRef(t *testing.T) {
	_, c := startContent(t)
	for _, alg := range algorithms {
		data := append([]byte(alg), randomBytes(1, 100000)...)
		dgst := alg.FromBytes(data)
		for i, class := range []codes.Code{codes.OK, codes.AlreadyExists, codes.AlreadyExists} {
			w, err := c.write()
			must(t, err)
			_, err = w.say(on("r", writeAt(0, data)))
			must(t, err)
			m := commitAt(len(data), "")
			if alg != digest.SHA256 || i == 2 {
				m.Expected = dgst
			}
			_, err = w.say(m)
			if class == codes.OK {
				must(t, err)
			} else {
				fails(t, err, class)
			}
			c.keeps(t, "r", nil)
			w, answer := c.opened(t, statOf("r"))
			stands(t, answer, actionStat, nil)
			w.closed(t)
			must(t, c.abort("r"))
		}
		c.reads(t, dgst, data)
	}
}

// Two write the same; the second learns it by its commit, and by whatever names the digest.
func TestContentBlobThatCameMeanwhile(t *testing.T) {
	_, c := startContent(t)
	data := []byte("both write this")
	dgst := digest.FromBytes(data)
	for _, last := range []message{commitAt(len(data), ""), commitAt(len(data), dgst), {Expected: dgst},
		{Action: actionWrite, Offset: 3, Expected: dgst}} {
		slow, _ := c.opened(t, message{Ref: "slow", Expected: dgst, Total: int64(len(data))})
		slow.said(t, writeAt(0, data))
		quick, _ := c.opened(t, message{Ref: "quick", Expected: dgst})
		quick.said(t, writeAt(0, data))
		quick.said(t, commitAt(len(data), dgst))
		stands(t, slow.said(t, message{}), actionStat, data) // nothing names the digest here
		_, err := slow.say(last)
		fails(t, err, codes.AlreadyExists)
		c.keeps(t, "slow", nil)
		c.reads(t, dgst, data)
		must(t, c.delete(dgst))
	}
}

// Size comes before existence: an ingest of another size than announced is not the blob that is there.
func TestContentSizeIsCheckedBeforeExistence(t *testing.T) {
	_, c := startContent(t)
	data := []byte("there")
	c.blob(t, data)
	w, _ := c.opened(t, on("r", writeAt(0, data)))
	m := commitAt(len(data), "")
	m.Total = 99
	_, err := w.say(m)
	fails(t, err, codes.FailedPrecondition)
	c.keeps(t, "r", data)
}

func TestContentCommitEndsTheStream(t *testing.T) {
	_, c := startContent(t)
	w, _ := c.opened(t, on("r", writeAt(0, []byte("x"))))
	w.said(t, commitAt(1, ""))
	must(t, w.ended())
	if _, err := w.say(writeAt(1, []byte("y"))); err == nil {
		t.Error("a message after COMMIT was answered")
	}
	c.keeps(t, "r", nil)
	c.reads(t, digest.FromString("x"), []byte("x"))
}

// Whatever ends a stream, the ref is free when the client knows of it; not a moment later.
func TestContentRefusalsFreeTheRefAtOnce(t *testing.T) {
	_, c := startContent(t)
	there := c.blob(t, []byte("there"))
	for what, m := range map[string]message{
		"out of range":     writeAt(99, nil),
		"wrong digest":     commitAt(4, digest.FromString("else")),
		"wrong size":       {Action: actionCommit, Offset: 4, Total: 99},
		"exists":           {Expected: there},
		"malformed digest": {Expected: "sha256:abc"},
		"label too long":   {Action: actionCommit, Offset: 4, Labels: harness.Labels("k", fmt.Sprintf("%05000d", 1))},
	} {
		for i := 0; i < 20; i++ {
			c.partial(t, "r", []byte("data"))
			w, _ := c.opened(t, statOf("r"))
			if _, err := w.say(m); err == nil {
				t.Errorf("%s: accepted", what)
			}
			next, err := c.write()
			must(t, err)
			if _, err = next.say(statOf("r")); err != nil {
				t.Errorf("%s: opened again: %v", what, err)
			}
			must(t, next.close())
			must(t, c.abort("r"))
		}
	}
}
