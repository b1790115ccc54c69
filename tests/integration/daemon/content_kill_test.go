// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"math/rand"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
)

const (
	ingestWorkers  = 10
	refsOfAWorker  = 3
	blobsOfAWorker = 12 // more are deleted
)

// kill -9 at random moments of many parallel ingests. CLONEFS_KILL_ROUNDS rounds, from CLONEFS_TEST_SEED.
func TestContentKillAtRandomMomentsLosesNothingAndLeavesNothing(t *testing.T) {
	seed := int64(harness.EnvInt("CLONEFS_TEST_SEED", int(time.Now().UnixNano())))
	rounds := harness.EnvInt("CLONEFS_KILL_ROUNDS", killRounds)
	t.Logf("CLONEFS_TEST_SEED=%d, %d rounds", seed, rounds)
	random := rand.New(rand.NewSource(seed))
	root := harness.NewRoot(t)
	var workers []*ingester
	for i := 0; i < ingestWorkers; i++ {
		workers = append(workers, newIngester(numbered("w", i), random.Int63()))
	}
	began := time.Now()
	for round := 0; round < rounds; round++ {
		if random.Intn(8) == 0 {
			killDuringStart(t, root, time.Duration(random.Intn(30))*time.Millisecond)
		}
		d, err := harness.Launch(harness.Options{Root: root})
		must(t, err)
		checkIngesters(t, d, workers, random.Intn(10) == 0)
		if t.Failed() {
			t.Fatalf("in round %d of seed %d\n%s", round, seed, d.Log())
		}
		ingestAndKill(t, d, workers, time.Duration(random.Int63n(int64(loadTime))))
	}
	d := harness.Start(t, root)
	checkIngesters(t, d, workers, true)
	commits, deletes, resumed, lost, cut, oldest := 0, 0, 0, 0, 0, time.Duration(0)
	for _, w := range workers {
		commits, deletes, resumed, lost = commits+w.commits, deletes+w.deletes, resumed+w.resumed, lost+w.lost
		cut += w.cutCommits
		if w.oldest > oldest {
			oldest = w.oldest
		}
	}
	t.Logf("%d commits, %d deletes, %d ingests resumed, %d young ones lost, the oldest of %v, %d lost in their commit, %v a round",
		commits, deletes, resumed, lost, oldest, cut, time.Since(began)/time.Duration(rounds))
	if commits < rounds || resumed < rounds/4 {
		t.Errorf("only %d commits and %d resumed ingests in %d rounds", commits, resumed, rounds)
	}
}

// ingestAndKill lets all workers work for a while and kills the daemon under them.
func ingestAndKill(t *testing.T, d *harness.Daemon, workers []*ingester, load time.Duration) {
	t.Helper()
	killed := make(chan bool)
	var group sync.WaitGroup
	for _, w := range workers {
		group.Add(1)
		go func(w *ingester) {
			defer group.Done()
			w.work(t, contentsOn(d.Conn), killed)
		}(w)
	}
	time.Sleep(load)
	close(killed) // errors are expected from now on
	now := time.Now()
	d.Kill()
	group.Wait()
	for _, w := range workers {
		w.killed = now
	}
}

// checkIngesters compares a daemon that has just started with what the workers know.
func checkIngesters(t *testing.T, d *harness.Daemon, workers []*ingester, readAll bool) {
	t.Helper()
	c := contentsOn(d.Conn)
	listed, statuses := c.list(t), c.statuses(t)
	known := map[digest.Digest]bool{}
	for _, w := range workers {
		for _, dgst := range w.settle(t, c, listed, readAll) {
			known[dgst] = true
		}
		for ref := range statuses {
			if strings.HasPrefix(ref, w.name+" ") && w.refs[ref] == nil {
				t.Errorf("nobody left the ingest %q", ref)
			}
		}
	}
	for dgst := range listed {
		if !known[dgst] {
			t.Errorf("nobody knows blob %s", dgst)
		}
	}
	if !t.Failed() {
		awaitContentFiles(t, d, c)
	}
}

// ingester makes, resumes, commits, deletes and aborts blobs of its own and knows what must be there.
type ingester struct {
	name    string
	random  *rand.Rand
	serial  int64
	blobs   map[digest.Digest]*madeBlob
	refs    map[string]*halfBlob
	fresh   []digest.Digest // acknowledged since the last check
	pending string          // the call in flight, as "commit ref", "delete digest", "abort ref"
	target  digest.Digest   // of that commit or delete
	killed  time.Time

	commits, deletes, resumed, lost int
	oldest                          time.Duration // of the lost ones
	cutCommits                      int           // that left neither blob nor ingest
}

type madeBlob struct {
	size   int
	labels map[string]string
}

// halfBlob is an ingest: its data is data[:at], or up to data[:sent] when a write was in flight.
type halfBlob struct {
	data     []byte
	at, sent int
	born     time.Time
	survived bool // a kill, so it must survive all
}

func newIngester(name string, seed int64) *ingester {
	return &ingester{name: name, random: rand.New(rand.NewSource(seed)), blobs: map[digest.Digest]*madeBlob{},
		refs: map[string]*halfBlob{}}
}

// work makes calls until one fails, which only the kill may cause.
func (w *ingester) work(t *testing.T, c contents, killed <-chan bool) {
	for {
		err := w.step(c)
		if err == nil {
			continue
		}
		select {
		case <-killed:
		default:
			t.Errorf("%s: %v", w.name, err)
		}
		return
	}
}

func (w *ingester) step(c contents) error {
	switch n := w.random.Intn(12); {
	case n == 0 || len(w.blobs) > blobsOfAWorker:
		return w.delete(c)
	case n == 1:
		return w.abort(c)
	case n == 2:
		return w.label(c)
	default:
		return w.ingest(c)
	}
}

func (w *ingester) ref() string {
	return fmt.Sprintf("%s ref %d", w.name, w.random.Intn(refsOfAWorker))
}

// newData is small, mostly; its beginning names the worker, so that no two make the same blob.
func (w *ingester) newData() []byte {
	w.serial++
	size := w.random.Intn(20000)
	switch w.random.Intn(10) {
	case 0:
		size = 0
	case 1:
		size = w.random.Intn(3 << 20)
	}
	return append([]byte(fmt.Sprintf("%s %d\n", w.name, w.serial)), randomBytes(w.serial, size)...)
}

// ingest begins or resumes a blob, writes some of it or all, and commits it or leaves it.
func (w *ingester) ingest(c contents) error {
	ref := w.ref()
	half := w.refs[ref]
	if half == nil {
		half = &halfBlob{data: w.newData(), born: time.Now()}
		w.refs[ref] = half
	}
	stream, err := c.write()
	if err != nil {
		return err
	}
	defer stream.vanish()
	answer, err := stream.say(message{Ref: ref, Total: int64(len(half.data))})
	if err != nil {
		return err
	}
	if int(answer.Offset) != half.at || answer.Digest != digest.FromBytes(half.data[:half.at]) {
		return fmt.Errorf("%q is at %d with %s, not at %d", ref, answer.Offset, answer.Digest, half.at)
	}
	piece := 1 + w.random.Intn(1<<20)
	for half.at < len(half.data) {
		if w.random.Intn(8) == 0 {
			return stream.close() // the rest comes later
		}
		end := half.at + piece
		if end > len(half.data) {
			end = len(half.data)
		}
		half.sent = end
		if _, err = stream.say(writeAt(half.at, half.data[half.at:end])); err != nil {
			return err
		}
		half.at = end
	}
	dgst := digest.FromBytes(half.data)
	m := commitAt(half.at, []digest.Digest{dgst, ""}[w.random.Intn(2)])
	m.Labels = harness.Labels("of", w.name)
	w.pending, w.target = "commit "+ref, dgst
	if _, err = stream.say(m); err != nil {
		return err
	}
	w.pending = ""
	w.made(ref, dgst)
	return nil
}

func (w *ingester) made(ref string, dgst digest.Digest) {
	w.blobs[dgst] = &madeBlob{size: len(w.refs[ref].data), labels: harness.Labels("of", w.name)}
	w.fresh = append(w.fresh, dgst)
	delete(w.refs, ref)
	w.commits++
}

func (w *ingester) some() (digest.Digest, bool) {
	var all []digest.Digest
	for dgst := range w.blobs {
		all = append(all, dgst)
	}
	if len(all) == 0 {
		return "", false
	}
	sortDigests(all)
	return all[w.random.Intn(len(all))], true
}

func (w *ingester) delete(c contents) error {
	dgst, ok := w.some()
	if !ok {
		return nil
	}
	w.pending, w.target = "delete", dgst
	if err := c.delete(dgst); err != nil {
		return err
	}
	w.pending = ""
	delete(w.blobs, dgst)
	w.deletes++
	return nil
}

func (w *ingester) abort(c contents) error {
	ref := w.ref()
	w.pending = "abort " + ref
	if err := c.abort(ref); err != nil {
		return err
	}
	w.pending = ""
	delete(w.refs, ref)
	return nil
}

func (w *ingester) label(c contents) error {
	dgst, ok := w.some()
	if !ok {
		return nil
	}
	labels := harness.Labels("of", w.name, "n", fmt.Sprint(w.random.Intn(1000)))
	w.pending, w.target = "label", dgst
	if _, err := c.update(contentapi.Info{Digest: dgst, Labels: labels}); err != nil {
		return err
	}
	w.pending = ""
	w.blobs[dgst].labels = labels
	return nil
}

// settle compares with a daemon that has just started: all that is known is there, and the call in flight is
// done or not. It answers the blobs that are its own.
func (w *ingester) settle(t *testing.T, c contents, listed map[digest.Digest]contentapi.Info, readAll bool) []digest.Digest {
	t.Helper()
	_, targetThere := listed[w.target]
	switch ref := strings.TrimPrefix(w.pending, "commit "); {
	case ref != w.pending && targetThere:
		w.made(ref, w.target)
	case w.pending == "delete" && !targetThere:
		delete(w.blobs, w.target)
	}
	w.settleRefs(t, c)
	var all []digest.Digest
	for dgst, blob := range w.blobs {
		all = append(all, dgst)
		info, ok := listed[dgst]
		if !ok || info.Size_ != int64(blob.size) {
			t.Errorf("%s: acknowledged and lost: %s of %d bytes, listed: %v", w.name, dgst, blob.size, info)
			continue
		}
		if w.pending == "label" && w.target == dgst {
			blob.labels = info.Labels
		}
		if fmt.Sprint(info.Labels) != fmt.Sprint(blob.labels) {
			t.Errorf("%s: %s has the labels %v, not %v", w.name, dgst, info.Labels, blob.labels)
		}
	}
	check := w.fresh
	if readAll {
		check = all
	}
	for _, dgst := range check {
		if blob := w.blobs[dgst]; blob != nil {
			if err := c.intact(dgst, blob.size); err != nil {
				t.Errorf("%s: %v", w.name, err)
			}
		}
	}
	w.fresh, w.pending = nil, ""
	return all
}

// settleRefs looks where each ingest is: no ref is busy, and what was acknowledged is there, unless the ingest
// was very young.
func (w *ingester) settleRefs(t *testing.T, c contents) {
	t.Helper()
	var refs []string
	for ref := range w.refs {
		refs = append(refs, ref)
	}
	sort.Strings(refs)
	for _, ref := range refs {
		half := w.refs[ref]
		st, err := c.status(ref)
		if status.Code(err) == codes.NotFound {
			age := w.killed.Sub(half.born)
			switch w.pending {
			case "abort " + ref:
			case "commit " + ref: // the crash ladder is stricter
				w.cutCommits++
			default:
				if half.survived || age > harness.Bound(youngIngest) {
					t.Errorf("%s: %q with %d bytes, %v old, is lost", w.name, ref, half.at, age)
				}
				if half.at > 0 && age > w.oldest {
					w.oldest = age
				}
				w.lost++
			}
			delete(w.refs, ref)
			continue
		}
		if err != nil {
			t.Errorf("%s: Status of %q: %v", w.name, ref, err)
			continue
		}
		at := int(st.Offset)
		if at < half.at || at > half.at && at > half.sent {
			t.Errorf("%s: %q is at %d, between %d and %d were acknowledged and sent", w.name, ref, at, half.at, half.sent)
			continue
		}
		stream, err := c.write()
		must(t, err)
		answer, err := stream.say(message{Ref: ref, Total: int64(len(half.data))})
		if err != nil {
			t.Errorf("%s: %q after the restart: %v", w.name, ref, err)
			continue
		}
		if int(answer.Offset) != at || answer.Digest != digest.FromBytes(half.data[:at]) {
			t.Errorf("%s: %q is at %d with %s, Status said %d", w.name, ref, answer.Offset, answer.Digest, at)
		}
		must(t, stream.close())
		half.at, half.sent, half.survived = at, at, true
		w.resumed++
	}
}
