// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"fmt"
	"math/rand"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
)

const (
	fuzzDaemons   = 4
	fuzzSequences = 600 // of each
	fuzzRestart   = 100 // about so many sequences from one restart to the next
)

// Random message sequences against the model. CLONEFS_TEST_SEED repeats a run, CLONEFS_FUZZ_SEQUENCES makes it
// longer.
func TestContentRandomSequencesFollowTheModel(t *testing.T) {
	seed := int64(harness.EnvInt("CLONEFS_TEST_SEED", int(time.Now().UnixNano())))
	sequences := harness.EnvInt("CLONEFS_FUZZ_SEQUENCES", fuzzSequences)
	t.Logf("CLONEFS_TEST_SEED=%d, %d daemons, %d sequences of each", seed, fuzzDaemons, sequences)
	for i := 0; i < fuzzDaemons; i++ {
		i := i
		t.Run(fmt.Sprintf("daemon %d", i), func(t *testing.T) {
			t.Parallel()
			f := &fuzzer{t: t, random: rand.New(rand.NewSource(seed + int64(i))), model: newContentModel()}
			f.d, f.c = startContent(t)
			f.run(sequences)
		})
	}
}

type fuzzer struct {
	t      *testing.T
	random *rand.Rand
	model  *contentModel
	d      *harness.Daemon
	c      contents
	trace  []string // of the sequence at hand, and the one before
	before []string
	counts map[codes.Code]int
}

func (f *fuzzer) run(sequences int) {
	f.counts = map[codes.Code]int{}
	restarts, kills := 0, 0
	for i := 0; i < sequences; i++ {
		f.before, f.trace = f.trace, nil
		var err error
		switch n := f.random.Intn(20); {
		case n < 14:
			err = f.stream()
		case n == 14:
			err = f.delete()
		case n == 15:
			err = f.abort()
		case n == 16:
			err = f.look()
		case n == 17:
			err = f.read()
		case f.random.Intn(fuzzRestart/10) > 0:
			err = f.stream()
		case f.random.Intn(2) == 0:
			restarts++
			f.restart(false)
			err = f.look()
		default:
			kills++
			f.restart(true)
			err = f.look()
		}
		if err != nil {
			f.t.Fatalf("sequence %d: %v\nbefore: %v\nnow: %v", i, err, f.before, f.trace)
		}
	}
	if err := f.look(); err != nil {
		f.t.Fatal(err)
	}
	awaitContentFiles(f.t, f.d, f.c)
	f.t.Logf("%d restarts, %d kills; answers: %v", restarts, kills, f.counts)
}

func (f *fuzzer) note(format string, arguments ...interface{}) {
	f.trace = append(f.trace, fmt.Sprintf(format, arguments...))
}

func (f *fuzzer) ref() string { return []string{"a", "b/../b", "c\nc"}[f.random.Intn(3)] }

// data is one of few short pieces, rarely a long one, so that blobs come again.
func (f *fuzzer) data() []byte {
	switch n := f.random.Intn(10); {
	case n < 2:
		return nil
	case n < 9:
		return []byte([]string{"x", "yy", "zzz"}[f.random.Intn(3)])
	default:
		return randomBytes(int64(f.random.Intn(2)), 1+f.random.Intn(2)*300000)
	}
}

// anyDigest is that of data by some algorithm, of some blob, or of nothing.
func (f *fuzzer) anyDigest(data []byte) digest.Digest {
	algorithm := algorithms[0]
	if f.random.Intn(4) == 0 {
		algorithm = algorithms[f.random.Intn(3)]
	}
	switch n := f.random.Intn(10); {
	case n < 7:
		return algorithm.FromBytes(data)
	case n < 9:
		return f.someBlob()
	default:
		return algorithm.FromString("of nothing that is here")
	}
}

func (f *fuzzer) someBlob() digest.Digest {
	n := f.random.Intn(len(f.model.blobs) + 1)
	sorted := sortedDigests(f.model.blobs)
	if n == len(sorted) {
		return digest.FromString("x")
	}
	return sorted[n]
}

// next is a random message on an ingest that has data.
func (f *fuzzer) next(data []byte) message {
	r := message{Action: []contentapi.WriteAction{actionStat, actionWrite, actionWrite, actionWrite, actionCommit}[f.random.Intn(5)]}
	if r.Action != actionStat || f.random.Intn(10) == 0 {
		switch n := f.random.Intn(20); {
		case n < 16:
			r.Offset = int64(len(data))
		case n < 18:
			r.Offset = 0
		default:
			r.Offset = int64(f.random.Intn(len(data) + 3))
		}
		r.Data = f.data()
	}
	if r.Offset == 0 {
		data = nil
	}
	after := append(append([]byte{}, data...), r.Data...)
	if n := f.random.Intn(10); n == 0 || r.Action == actionCommit && n < 7 {
		r.Expected = f.anyDigest(after)
	}
	if n := f.random.Intn(10); n == 0 || r.Action == actionCommit && n < 6 {
		r.Total = int64(len(after))
		if f.random.Intn(4) == 0 {
			r.Total = int64(f.random.Intn(12))
		}
	}
	return r
}

// stream is one Write stream of some messages, ended in some way.
func (f *fuzzer) stream() error {
	w, err := f.c.write()
	if err != nil {
		return err
	}
	defer w.vanish()
	ref := f.ref()
	var data []byte
	if in := f.model.ingests[ref]; in != nil {
		data = in.data
	}
	r := on(ref, f.next(data))
	if !f.model.mayOpen(ref, r.Total) {
		r.Total = 0
	}
	s, fates := f.model.first(r)
	for {
		if s != nil {
			fates = s.message(r)
		}
		answer, err := w.say(r)
		f.note("%v", describe(r, err))
		f.counts[status.Code(err)]++
		if wrong := choose(fates, err); wrong != nil {
			return wrong
		}
		if err != nil {
			return f.after(ref)
		}
		if r.Action == actionCommit {
			if err := s.fits(r, answer, f.committed(answer.Digest)); err != nil {
				return err
			}
			return w.ended()
		}
		if err := s.fits(r, answer, s.in().data); err != nil {
			return err
		}
		if f.random.Intn(6) == 0 {
			return f.leave(w)
		}
		r = f.next(s.in().data)
	}
}

func (f *fuzzer) committed(dgst digest.Digest) []byte { return f.model.blobs[dgst] }

func describe(r message, err error) string {
	return fmt.Sprintf("%v@%d %dB total=%d expected=%.12s -> %v;", r.Action, r.Offset, len(r.Data), r.Total, r.Expected,
		status.Code(err))
}

// after checks the ref after a refusal: at once and without a wait.
func (f *fuzzer) after(ref string) error {
	return f.checkRef(ref)
}

// checkRef compares Status with the model.
func (f *fuzzer) checkRef(ref string) error {
	st, err := f.c.status(ref)
	in := f.model.ingests[ref]
	if in == nil {
		if status.Code(err) != codes.NotFound {
			return fmt.Errorf("Status of %q: %v, %v, and it should not be there", ref, st, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("Status of %q with %d bytes: %w", ref, len(in.data), err)
	}
	if st.Offset != int64(len(in.data)) || st.Ref != ref || (!in.hazy && st.Total != in.total) {
		return fmt.Errorf("Status is %v, wanted offset %d, total %d", st, len(in.data), in.total)
	}
	return nil
}

// leave ends a stream by half-close or by a reset.
func (f *fuzzer) leave(w *writing) error {
	if f.random.Intn(3) > 0 {
		f.note("half-close")
		return w.close()
	}
	f.note("reset")
	w.vanish()
	return nil
}

func (f *fuzzer) delete() error {
	dgst := f.someBlob()
	f.note("Delete %.12s", dgst)
	delete(f.model.blobs, dgst)
	return f.c.delete(dgst)
}

func (f *fuzzer) abort() error {
	ref := f.ref()
	f.note("Abort %q", ref)
	delete(f.model.ingests, ref)
	return f.c.abort(ref)
}

// look compares the whole store with the model.
func (f *fuzzer) look() error {
	listed := f.c.list(f.t)
	for dgst, data := range f.model.blobs {
		if info, ok := listed[dgst]; !ok || info.Size_ != int64(len(data)) {
			return fmt.Errorf("List has %v for %s of %d bytes", info, dgst, len(data))
		}
	}
	statuses := f.c.statuses(f.t)
	if len(listed) != len(f.model.blobs) || len(statuses) != len(f.model.ingests) {
		return fmt.Errorf("there are %d blobs and the ingests %v, not %d and %d", len(listed), statuses,
			len(f.model.blobs), len(f.model.ingests))
	}
	for ref := range f.model.ingests {
		if err := f.checkRef(ref); err != nil {
			return err
		}
	}
	return nil
}

func (f *fuzzer) read() error {
	dgst := f.someBlob()
	want, there := f.model.blobs[dgst]
	f.note("Read %.12s", dgst)
	got, err := f.c.read(dgst, 0, 0)
	if !there && status.Code(err) == codes.NotFound {
		return nil
	}
	if err != nil || !there || !bytes.Equal(got, want) {
		return fmt.Errorf("Read of %s, there: %v, of %d bytes: %d bytes, %v", dgst, there, len(want), len(got), err)
	}
	return nil
}

// restart ends the daemon, by SIGTERM or kill -9, and starts another. Only what is very young may be lost by a
// kill, and what was announced of the rest.
func (f *fuzzer) restart(kill bool) {
	f.note("restart, kill: %v", kill)
	killed := time.Now()
	if kill {
		f.d.Kill()
		f.d = harness.Start(f.t, f.d.Root)
	} else {
		f.d = harness.Restart(f.t, f.d)
	}
	f.c = contentsOn(f.d.Conn)
	if !kill {
		return
	}
	for ref, in := range f.model.ingests {
		in.hazy = true
		if _, err := f.c.status(ref); status.Code(err) == codes.NotFound && killed.Sub(in.born) < youngIngest {
			delete(f.model.ingests, ref)
		}
	}
}

// youngIngest is how long an ingest may be lost by a kill; said to be 50 ms, and then comes a flush.
const youngIngest = time.Second

func sortedDigests(blobs map[digest.Digest][]byte) []digest.Digest {
	var sorted []digest.Digest
	for dgst := range blobs {
		sorted = append(sorted, dgst)
	}
	sortDigests(sorted)
	return sorted
}
