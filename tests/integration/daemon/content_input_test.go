// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"math"
	"math/rand"
	"strings"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
)

const contentService = "/containerd.services.content.v1.Content/"

var contentMethods = []string{"Info", "Update", "List", "Delete", "Read", "Status", "ListStatuses", "Abort"}

// badDigests are wrong in every way that a digest can be.
func badDigests() []digest.Digest {
	sha256, sha512 := digest.FromString("x").Encoded(), digest.SHA512.FromString("x").Encoded()
	bad := []digest.Digest{
		":", "sha256", "sha256:", ":" + digest.Digest(sha256), digest.Digest(sha256),
		"sha256:" + digest.Digest(sha256[:63]), "sha256:" + digest.Digest(sha256) + "0", "sha256:" + digest.Digest(sha512),
		"sha512:" + digest.Digest(sha256), "sha384:" + digest.Digest(sha512[:95]), "sha384:" + digest.Digest(sha512[:97]),
		"sha512:" + digest.Digest(sha512[:127]), "sha512:" + digest.Digest(sha512) + "0",
		"sha256:" + digest.Digest(strings.ToUpper(sha256)), "SHA256:" + digest.Digest(sha256),
		"sha256:" + digest.Digest("g"+sha256[1:]), "sha256:" + digest.Digest(" "+sha256[1:]),
		"sha256:" + digest.Digest("/"+sha256[1:]), "sha256:../../../../../../../../../../../../../../../../../../etc/passwd",
		"sha256: " + digest.Digest(sha256), " sha256:" + digest.Digest(sha256), "sha256:" + digest.Digest(sha256) + "\n",
		"sha256:" + digest.Digest(sha256) + " ", "sha256::" + digest.Digest(sha256), "sha256-" + digest.Digest(sha256),
		"sha256:sha256:" + digest.Digest(sha256), "sha1:" + digest.Digest(sha256[:40]), "md5:" + digest.Digest(sha256[:32]),
		"sha224:" + digest.Digest(sha256[:56]), "blake3:" + digest.Digest(sha256), "sha512/256:" + digest.Digest(sha256),
		"sha256+b64:" + digest.Digest(sha256), "../sha256:" + digest.Digest(sha256), "ä:" + digest.Digest(sha256),
		"sha256:" + digest.Digest(strings.Repeat("0", 1<<20)),
		"sha25:" + digest.Digest(sha256), "sha2560:" + digest.Digest(sha256),
	}
	return bad
}

func TestContentMalformedDigestsAreInvalidArguments(t *testing.T) {
	d, c := startContent(t)
	c.partial(t, "r", []byte("data"))
	for i, bad := range append(badDigests(), "") {
		calls := map[string]error{}
		_, calls["Info"] = c.info(bad)
		_, calls["Update"] = c.update(contentapi.Info{Digest: bad, Labels: harness.Labels("a", "b")})
		calls["Delete"] = c.delete(bad)
		_, calls["Read"] = c.read(bad, 0, 0)
		if bad != "" { // no expectation
			for name, m := range map[string]message{"STAT": {}, "WRITE": writeAt(4, []byte("x")), "COMMIT": commitAt(4, "")} {
				m.Expected = bad
				w, _ := c.opened(t, statOf("r"))
				_, calls["later "+name] = w.say(m)
				w, err := c.write()
				must(t, err)
				_, calls["first "+name] = w.say(on("r", m))
			}
		}
		for what, err := range calls {
			if status.Code(err) != codes.InvalidArgument {
				t.Errorf("%s with digest %d, %.100q: %v", what, i, bad, err)
			}
		}
	}
	c.keeps(t, "r", []byte("data"))
	equal(t, "number of blobs", len(c.list(t)), 0)
	answers(t, d)
}

// oddRefs are strings that a client may well send.
func oddRefs() []string {
	return []string{
		".", "..", "../..", "/", "//", "/etc/passwd", "../../../../etc/passwd", "a/../b", "a/b/", "-", "--help", "~", "*",
		"default/1/layer-sha256:" + emptyDigest.Encoded(), " ", "  ", "a b", "\n", "a\nb", "a\r\nb", "\t", "\x01", "\x7f", "\\", "%s%n", "'", "\"",
		"ä", "日本語", "😀", "a\u0301", "á", "data", "ref", "1", "0", "lost+found", "ingest",
		strings.Repeat("r", 4096), strings.Repeat("../", 1365), strings.Repeat("r/", 2048), strings.Repeat("ä", 2048),
	}
}

func TestContentRefsMayBeAnyText(t *testing.T) {
	d, c := startContent(t)
	before, err := filesBelow(d.Root)
	must(t, err)
	refs := oddRefs()
	for i, ref := range refs {
		c.partial(t, ref, []byte(numbered("data", i)))
	}
	for round := 0; round < 2; round++ {
		equal(t, "number of ingests", len(c.statuses(t)), len(refs))
		for i, ref := range refs {
			c.keeps(t, ref, []byte(numbered("data", i)))
			st, err := c.status(ref)
			must(t, err)
			equal(t, "ref", st.Ref, ref)
		}
		d, c = restartContent(t, d)
	}
	for i, ref := range refs {
		w, _ := c.opened(t, statOf(ref))
		if i%2 == 0 {
			w.closed(t)
			must(t, c.abort(ref))
			continue
		}
		data := []byte(numbered("data", i))
		w.said(t, commitAt(len(data), digest.FromBytes(data)))
		c.reads(t, digest.FromBytes(data), data)
	}
	equal(t, "refs", c.refs(t), "[]")
	awaitContentFiles(t, d, c)
	after, err := filesBelow(d.Root)
	must(t, err)
	equal(t, "files in ROOT besides the blobs", len(after)-len(c.list(t)), len(before))
}

func TestContentRefsFarTooLongAreRefused(t *testing.T) {
	d, c := startContent(t)
	for _, size := range []int{64 << 10, 1 << 20, 10 << 20} {
		ref := strings.Repeat("r", size)
		c.refuses(t, statOf(ref), codes.InvalidArgument)
		c.refuses(t, on(ref, commitAt(0, "")), codes.InvalidArgument)
		if _, err := c.status(ref); status.Code(err) != codes.InvalidArgument && status.Code(err) != codes.NotFound {
			t.Errorf("Status of a ref of %d bytes: %v", size, err)
		}
		if err := c.abort(ref); err != nil && status.Code(err) != codes.InvalidArgument {
			t.Errorf("Abort of a ref of %d bytes: %v", size, err)
		}
	}
	equal(t, "refs", c.refs(t), "[]")
	answers(t, d)
}

func TestContentStreamsWithoutARefAreRefused(t *testing.T) {
	d, c := startContent(t)
	for _, first := range []message{{}, writeAt(0, []byte("x")), commitAt(0, ""), commitAt(0, emptyDigest), {Total: 5}} {
		c.refuses(t, first, codes.InvalidArgument)
	}
	if _, err := c.status(""); status.Code(err) != codes.InvalidArgument && status.Code(err) != codes.NotFound {
		t.Errorf("Status without a ref: %v", err)
	}
	if err := c.abort(""); err != nil && status.Code(err) != codes.InvalidArgument {
		t.Errorf("Abort without a ref: %v", err)
	}
	equal(t, "refs", c.refs(t), "[]")
	answers(t, d)
}

// Negative numbers mean nothing here; refused or not, they must not change what is there.
func TestContentNegativeNumbersDoNoHarm(t *testing.T) {
	d, c := startContent(t)
	data := []byte("12345")
	for _, n := range []int64{-1, -5, math.MinInt64, math.MinInt64 + 5} {
		for _, action := range []contentapi.WriteAction{actionWrite, actionCommit} {
			m := message{Action: action, Offset: n, Data: []byte("x")}
			c.partial(t, "r", data)
			w, _ := c.opened(t, statOf("r"))
			_, err := w.say(m)
			if code := status.Code(err); code != codes.InvalidArgument && code != codes.OutOfRange {
				t.Errorf("%v at %d: %v", action, n, err)
			}
			c.keeps(t, "r", data)
			must(t, c.abort("r"))
		}
		for _, m := range []message{{Total: n}, {Action: actionWrite, Total: n, Offset: 5}, {Action: actionCommit, Total: n, Offset: 5}} {
			c.partial(t, "r", data)
			w, _ := c.opened(t, statOf("r"))
			answer, err := w.say(m)
			if err == nil {
				stands(t, answer, m.Action, data) // ignored, as containerd does
				_ = w.close()
			} else if status.Code(err) != codes.InvalidArgument {
				t.Errorf("%v with total %d: %v", m.Action, n, err)
			}
			if m.Action != actionCommit || err != nil {
				c.keeps(t, "r", data)
			}
			must(t, c.abort("r"))
			must(t, c.delete(digest.FromBytes(data)))

			w, err = c.write()
			must(t, err)
			if answer, err = w.say(message{Ref: "r", Total: n}); err == nil {
				stands(t, answer, actionStat, nil)
				w.closed(t)
			} else if status.Code(err) != codes.InvalidArgument {
				t.Errorf("first message with total %d: %v", n, err)
			}
			must(t, c.abort("r"))
		}
	}
	equal(t, "number of blobs", len(c.list(t)), 0)
	equal(t, "refs", c.refs(t), "[]")
	awaitContentFiles(t, d, c)
}

func TestContentHugeTotalsReserveNothing(t *testing.T) {
	d, c := startContent(t)
	for _, total := range []int64{1 << 50, math.MaxInt64} {
		w, answer := c.opened(t, message{Ref: "r", Total: total})
		equal(t, "total", answer.Total, total)
		stands(t, w.said(t, writeAt(0, []byte("x"))), actionWrite, []byte("x"))
		_, err := w.say(commitAt(1, ""))
		fails(t, err, codes.FailedPrecondition)
		c.keeps(t, "r", []byte("x"))
		st, err := c.status("r")
		must(t, err)
		equal(t, "total in Status", st.Total, total)
		must(t, c.abort("r"))
	}
	awaitContentFiles(t, d, c)
}

func TestContentLabelsAreLimitedTo4096Bytes(t *testing.T) {
	_, c := startContent(t)
	key := "containerd.io/gc.ref.content"
	fits := strings.Repeat("v", 4096-len(key))
	dgst := c.blob(t, []byte("fits"), key, fits)
	for what, labels := range map[string]map[string]string{
		"a value too long": harness.Labels(key, fits+"v"),
		"a key too long":   harness.Labels(strings.Repeat("k", 4096), "v"),
		"too many":         tooManyLabels(),
	} {
		m := commitAt(4, "")
		m.Labels = labels
		refusedMessage(t, c, m, []byte("data"), codes.InvalidArgument, []byte("data"))
		c.missing(t, digest.FromString("data"))
		_, err := c.update(contentapi.Info{Digest: dgst, Labels: labels})
		fails(t, err, codes.InvalidArgument)
		var mask []string
		for key := range labels {
			mask = append(mask, "labels."+key)
		}
		_, err = c.update(contentapi.Info{Digest: dgst, Labels: labels}, mask...)
		fails(t, err, codes.InvalidArgument)
		info, err := c.info(dgst)
		must(t, err)
		if len(info.Labels) != 1 || info.Labels[key] != fits {
			t.Errorf("after %s the labels are %.200v", what, info.Labels)
		}
	}
}

func tooManyLabels() map[string]string {
	labels := map[string]string{}
	for i := 0; i < 20000; i++ {
		labels[numbered("label", i)] = "x"
	}
	return labels
}

func TestContentUnknownActionsDoNoHarm(t *testing.T) {
	d, c := startContent(t)
	for _, action := range []contentapi.WriteAction{3, 99, -1} {
		c.partial(t, "r", []byte("data"))
		w, _ := c.opened(t, statOf("r"))
		if _, err := w.say(message{Action: action, Data: []byte("x"), Offset: 4}); err == nil {
			w.closed(t)
		} else if status.Code(err) != codes.InvalidArgument && status.Code(err) != codes.Unimplemented {
			t.Errorf("action %d: %v", action, err)
		}
		c.keeps(t, "r", []byte("data"))
	}
	answers(t, d)
}

// What C or Go could not carry: NUL in a string, and what is not UTF-8.
func TestContentNulAndInvalidUTF8AreRefused(t *testing.T) {
	d, c := startContent(t)
	c.partial(t, "a", []byte("data"))
	for _, bad := range []string{"a\x00b", "\x00", "a\xff", "\xc0\x80", "\xed\xa0\x80", "a\xe2\x82"} {
		for _, method := range []string{"Info", "Delete", "Read", "Status", "Abort"} {
			_, err := rawCall(d.Conn, contentService+method, field(1, bad))
			fails(t, err, codes.InvalidArgument)
		}
		for _, method := range []string{"List", "ListStatuses"} {
			_, err := rawCall(d.Conn, contentService+method, field(1, "ref=="+bad))
			fails(t, err, codes.InvalidArgument)
		}
		c.refuses(t, statOf(bad), codes.InvalidArgument)
		c.refuses(t, message{Ref: "a", Expected: digest.Digest(bad)}, codes.InvalidArgument)
		refusedLabels := commitAt(4, "")
		refusedLabels.Labels = harness.Labels("label", bad)
		c.refuses(t, on("a", refusedLabels), codes.InvalidArgument)
		w, _ := c.opened(t, statOf("a"))
		_, err := w.say(refusedLabels)
		fails(t, err, codes.InvalidArgument)
	}
	c.keeps(t, "a", []byte("data"))
	equal(t, "refs", c.refs(t), "[a]")
}

func TestContentMalformedMessagesAreRefused(t *testing.T) {
	d, c := startContent(t)
	for what, message := range malformed {
		for _, method := range append(contentMethods, "Write") {
			if what == "a label that is not a pair" || strings.HasPrefix(what, "key as a") || strings.HasPrefix(what, "a length of 2^63") {
				continue // another field or none here
			}
			if what == "snapshotter as a varint" && method == "Write" {
				continue // the action
			}
			_, err := rawCall(d.Conn, contentService+method, message)
			if code := status.Code(err); code != codes.InvalidArgument && code != codes.Internal {
				t.Errorf("%s with %s: %v", method, what, err)
			}
		}
	}
	equal(t, "refs", c.refs(t), "[]")
	answers(t, d)
}

func TestContentUpdateWithoutInfoIsRefused(t *testing.T) {
	d, _ := startContent(t)
	_, err := rawCall(d.Conn, contentService+"Update", nil)
	fails(t, err, codes.InvalidArgument)
	answers(t, d)
}

func TestContentRandomMessagesAreSurvived(t *testing.T) {
	d, c := startContent(t)
	dgst := c.blob(t, []byte("there"))
	seed := int64(harness.EnvInt("CLONEFS_TEST_SEED", int(time.Now().UnixNano())))
	t.Logf("CLONEFS_TEST_SEED=%d", seed)
	random := rand.New(rand.NewSource(seed))
	for i := 0; i < 2000; i++ {
		message := make([]byte, random.Intn(60))
		random.Read(message)
		method := append(contentMethods, "Write")[random.Intn(len(contentMethods)+1)]
		switch {
		case method == "Delete":
			continue // it could succeed
		case method == "Write" && random.Intn(2) == 0:
			message = join(field(2, "r"), message)
		case random.Intn(2) == 0:
			message = join(field(1, dgst.String()), message)
		}
		_, _ = rawCall(d.Conn, contentService+method, message) // any answer will do
	}
	answers(t, d)
	c.reads(t, dgst, []byte("there"))
	must(t, c.abort("r"))
}

func TestContentManyFiltersAreAnsweredAtOnce(t *testing.T) {
	d, c := startContent(t)
	someBlobs(t, c, 100)
	c.partial(t, "r", nil)
	var filters []string
	for i := 0; i < 10000; i++ {
		filters = append(filters, fmt.Sprintf("digest~=/never %d/", i))
	}
	began := time.Now()
	err := c.walk(func([]contentapi.Info) error { return nil }, filters...)
	if err != nil {
		fails(t, err, codes.InvalidArgument)
	}
	_, err = c.listStatuses(filters...)
	if err != nil {
		fails(t, err, codes.InvalidArgument)
	}
	if took := time.Since(began); took > harness.Bound(2*filterBound) {
		t.Errorf("10,000 filters took %v", took)
	}
	answers(t, d)
}
