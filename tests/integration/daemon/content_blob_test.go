// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"

	"clonefs/tests/gotool/harness"
)

// Info, Update, List, Delete (contract 6.1).

func TestContentInfoOfWhatIsAndIsNotThere(t *testing.T) {
	d, c := startContent(t)
	data := randomBytes(1, 12345)
	before := time.Now()
	dgst := c.blob(t, data, "a", "1", "b.c/d", "2")
	after := time.Now()
	info, err := c.info(dgst)
	must(t, err)
	equal(t, "digest", info.Digest, dgst)
	equal(t, "size", info.Size_, int64(len(data)))
	equal(t, "labels", fmt.Sprint(info.Labels), fmt.Sprint(harness.Labels("a", "1", "b.c/d", "2")))
	inside(t, "created_at", info.CreatedAt, before, after)
	equal(t, "updated_at", info.UpdatedAt, info.CreatedAt)
	for _, alg := range algorithms {
		c.missing(t, alg.FromString("nothing"))
	}
	c.missing(t, digest.SHA512.FromBytes(data)) // the same bytes by another name
	c.partial(t, "r", []byte("unfinished"))
	c.missing(t, digest.FromString("unfinished"))

	_, c = restartContent(t, d)
	again, err := c.info(dgst)
	must(t, err)
	equal(t, "Info after a restart", fmt.Sprint(again), fmt.Sprint(info))
	c.reads(t, dgst, data)
}

func TestContentUpdateFollowsItsMask(t *testing.T) {
	d, c := startContent(t)
	dgst := c.blob(t, []byte("labelled"))
	labelled := func(pairs ...string) contentapi.Info {
		return contentapi.Info{Digest: dgst, Labels: harness.Labels(pairs...)}
	}
	for _, u := range updates {
		t.Run(u.promise, func(t *testing.T) {
			old, err := c.update(labelled("a", "1", "b.c/d", "2"))
			must(t, err)
			before := time.Now()
			answer, err := c.update(contentapi.Info{Digest: dgst, Labels: u.sent, Size_: 99, CreatedAt: time.Unix(1, 0),
				UpdatedAt: time.Unix(2, 0)}, u.mask...)
			must(t, err)
			inside(t, "updated_at", answer.UpdatedAt, before, time.Now())
			want := old
			want.Labels, want.UpdatedAt = u.want, answer.UpdatedAt
			equal(t, "the answer", fmt.Sprint(answer), fmt.Sprint(want))
			later, err := c.info(dgst)
			must(t, err)
			equal(t, "Info afterwards", fmt.Sprint(later), fmt.Sprint(answer))
		})
	}
	last, err := c.info(dgst)
	must(t, err)
	_, c = restartContent(t, d)
	again, err := c.info(dgst)
	must(t, err)
	equal(t, "Info after a restart", fmt.Sprint(again), fmt.Sprint(last))
	c.reads(t, dgst, []byte("labelled"))
}

func TestContentUpdateRefusesWhatIsNoLabel(t *testing.T) {
	_, c := startContent(t)
	dgst := c.blob(t, []byte("labelled"), "a", "1")
	before, err := c.info(dgst)
	must(t, err)
	labels := harness.Labels("a", "2")
	for _, mask := range [][]string{{"size"}, {"digest"}, {"created_at"}, {"colour"}, {"labelsfoo"}, {"labels.a", "size"}} {
		_, err := c.update(contentapi.Info{Digest: dgst, Labels: labels}, mask...)
		fails(t, err, codes.InvalidArgument)
	}
	_, err = c.update(contentapi.Info{Digest: digest.FromString("nothing"), Labels: labels})
	fails(t, err, codes.NotFound)
	after, err := c.info(dgst)
	must(t, err)
	equal(t, "Info", fmt.Sprint(after), fmt.Sprint(before))
}

// someBlobs makes blobs of all algorithms; label n is their number modulo 10.
func someBlobs(t *testing.T, c contents, count int) []digest.Digest {
	t.Helper()
	made := make([]digest.Digest, count)
	together(t, 8, func(worker int) error {
		for i := worker; i < count; i += 8 {
			data := []byte(numbered("blob", i))
			m := on(numbered("r", i), commitAt(0, algorithms[i%3].FromBytes(data)))
			m.Data, m.Labels = data, harness.Labels("n", fmt.Sprint(i%10))
			w, err := c.write()
			if err == nil {
				_, err = w.say(m)
			}
			if err != nil {
				return err
			}
			w.vanish()
			made[i] = m.Expected
		}
		return nil
	})
	if t.Failed() {
		t.FailNow()
	}
	return made
}

func TestContentListSendsBatchesOfAtMost100(t *testing.T) {
	_, c := startContent(t)
	messages := 0
	count := func(batch []contentapi.Info) error {
		messages++
		if len(batch) == 0 || len(batch) > 100 {
			t.Errorf("a message of %d blobs", len(batch))
		}
		return nil
	}
	must(t, c.walk(count))
	equal(t, "messages for an empty store", messages, 0)
	made := someBlobs(t, c, 250)
	must(t, c.walk(count))
	if messages < 3 {
		t.Errorf("250 blobs came in %d messages", messages)
	}
	listed := c.list(t)
	equal(t, "number of blobs", len(listed), 250)
	for _, dgst := range made {
		info, err := c.info(dgst)
		must(t, err)
		equal(t, "List says", fmt.Sprint(listed[dgst]), fmt.Sprint(info))
	}
}

func TestContentListUnderstandsFilters(t *testing.T) {
	_, c := startContent(t)
	made := someBlobs(t, c, 30)
	c.blob(t, []byte("plain"))
	plain := digest.FromString("plain")
	for _, f := range []struct {
		filters []string
		want    int
	}{
		{nil, 31},
		{[]string{""}, 31},
		{[]string{"labels.n"}, 30},
		{[]string{"labels.n==3"}, 3},
		{[]string{"labels.n!=3"}, 28},
		{[]string{"labels.n==3", "labels.n==4", "labels.n==3"}, 6},
		{[]string{"labels.n==3,digest~=/^sha512:/"}, 1},
		{[]string{"digest==" + plain.String()}, 1},
		{[]string{`digest=="` + made[4].String() + `"`, "digest==" + made[5].String()}, 2},
		{[]string{"digest==" + digest.FromString("nothing").String()}, 0},
		{[]string{"digest~=^sha384:"}, 10},
		{[]string{"digest~=/(/"}, 0},
		{[]string{"digest"}, 31},
		{[]string{"size"}, 0},
		{[]string{"size==5"}, 0},
		{[]string{"size!=5"}, 31},
		{[]string{"colour==red"}, 0},
	} {
		equal(t, fmt.Sprintf("number of blobs for %q", f.filters), len(c.list(t, f.filters...)), f.want)
	}
	for _, bad := range []string{"digest==", "digest=x", "digest== x ", "labels.a-b", ","} {
		err := c.walk(func([]contentapi.Info) error { return nil }, bad)
		fails(t, err, codes.InvalidArgument)
		_, err = c.listStatuses(bad)
		fails(t, err, codes.InvalidArgument)
	}
}

// Garbage collection does it so, while the stream is open; the daemon must not stumble over what went.
func TestContentDeleteInsideAList(t *testing.T) {
	d, c := startContent(t)
	someBlobs(t, c, 350)
	seen := 0
	must(t, c.walk(func(batch []contentapi.Info) error {
		for _, info := range batch {
			seen++
			if _, err := c.info(info.Digest); err != nil {
				return err
			}
			if err := c.delete(info.Digest); err != nil {
				return err
			}
			c.missing(t, info.Digest)
		}
		c.blob(t, []byte(numbered("new during the List", seen))) // listed or not
		return nil
	}))
	if seen < 350 {
		t.Errorf("only %d of 350 blobs were listed", seen)
	}
	for dgst := range c.list(t) {
		must(t, c.delete(dgst))
	}
	awaitContentFiles(t, d, c)
	equal(t, "number of blobs", len(c.list(t)), 0)
}

func TestContentDeleteSucceedsForWhatIsNotThere(t *testing.T) {
	d, c := startContent(t)
	for _, alg := range algorithms {
		dgst := alg.FromString("x")
		must(t, c.delete(dgst))
		m := on("r", commitAt(0, dgst))
		m.Data = []byte("x")
		w, _ := c.opened(t, m)
		must(t, w.ended())
		must(t, c.delete(dgst))
		must(t, c.delete(dgst))
		c.missing(t, dgst)
		must(t, c.delete(dgst))
	}
	awaitContentFiles(t, d, c)
	_, c = restartContent(t, d)
	equal(t, "number of blobs", len(c.list(t)), 0)
}

func TestContentBlobsComeAgainAfterDelete(t *testing.T) {
	d, c := startContent(t)
	data := randomBytes(1, 100000)
	for i := 0; i < 50; i++ {
		dgst := c.blob(t, data)
		c.reads(t, dgst, data)
		must(t, c.delete(dgst))
		c.missing(t, dgst)
	}
	c.blob(t, data)
	awaitContentFiles(t, d, c)
}

// Delete and write of the same blobs from many sides: every answer fits, and in the end what is listed is there.
func TestContentDeleteAndWriteOfTheSameBlobAtOnce(t *testing.T) {
	d, c := startContent(t)
	together(t, 12, func(i int) error {
		for round := 0; round < 30; round++ {
			data := []byte(numbered("shared", round%3))
			if i%3 == 0 {
				if err := c.delete(digest.FromBytes(data)); err != nil {
					return err
				}
			} else if _, err := c.put(numbered("r", i), data); err != nil {
				return err
			}
		}
		return nil
	})
	for dgst, info := range c.list(t) {
		must(t, c.intact(dgst, int(info.Size_)))
	}
	awaitContentFiles(t, d, c)
	equal(t, "refs", c.refs(t), "[]")
}

func TestContentBlobsAreReadOnlyFiles(t *testing.T) {
	d, c := startContent(t)
	for _, dgst := range someBlobs(t, c, 3) {
		info, err := os.Stat(blobFile(d, dgst))
		must(t, err)
		if !info.Mode().IsRegular() || info.Mode()&0o222 != 0 {
			t.Errorf("%s is %v", dgst, info.Mode())
		}
	}
}

func blobFile(d *harness.Daemon, dgst digest.Digest) string {
	return filepath.Join(d.Root, "content", "blobs", dgst.Algorithm().String(), dgst.Encoded())
}

// awaitContentFiles waits until ROOT/content has the files of the blobs that are listed, at most one file for
// each ingest, nothing else, and ROOT/trash nothing. For a daemon that is not in use.
func awaitContentFiles(t *testing.T, d *harness.Daemon, c contents) {
	t.Helper()
	want := []string{}
	for dgst := range c.list(t) {
		want = append(want, blobFile(d, dgst))
	}
	sort.Strings(want)
	ingests := c.statuses(t)
	harness.Eventually(t, 20*time.Second, func() string {
		got, err := filesBelow(filepath.Join(d.Root, "content", "blobs"))
		if err == nil && fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Sprintf("the blobs' files are %.900v, listed are %.900v", got, want)
		}
		if err == nil {
			got, err = filesBelow(filepath.Join(d.Root, "content", "ingest"))
		}
		if err == nil && len(got) > len(ingests) {
			return fmt.Sprintf("the ingests' files are %.900v, listed are %.900v", got, ingests)
		}
		if err == nil {
			got, err = filesBelow(filepath.Join(d.Root, "trash"))
		}
		if err != nil {
			return err.Error()
		}
		if len(got) != 0 {
			return fmt.Sprintf("in ROOT/trash are %.900v", got)
		}
		return ""
	})
}

// filesBelow lists what is below dir and is not a directory.
func filesBelow(dir string) ([]string, error) {
	files := []string{}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if os.IsNotExist(err) {
			return nil // deleted while we looked
		}
		if err == nil && !info.IsDir() {
			files = append(files, path)
		}
		return err
	})
	sort.Strings(files)
	return files, err
}
