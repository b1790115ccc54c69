// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
)

// The crash ladder of Content: at each of these steps of these operations the daemon is killed, at the first
// pass of the step, the second, and so on until the operation gets through.
var contentLadder = []struct {
	step       string
	operations []contentOperation
}{
	{"ingest.create", []contentOperation{contentBegin, contentResume, contentWhole}},
	{"ingest.write", []contentOperation{contentBegin, contentResume, contentMuch, contentWhole}},
	{"ingest.push", []contentOperation{contentMuch}},
	{"commit.flush", []contentOperation{contentCommit, contentCommitNew, contentWhole, contentEmpty}},
	{"commit.rename", []contentOperation{contentCommit, contentCommitNew, contentWhole, contentEmpty}},
	{"commit.dirsync", []contentOperation{contentCommit, contentCommitNew, contentWhole, contentEmpty}},
	{"commit.record", []contentOperation{contentCommit, contentCommitNew, contentWhole, contentEmpty}},
	{"commit.recorded", []contentOperation{contentCommit, contentCommitNew, contentWhole, contentEmpty}},
	{"delete.recorded", []contentOperation{contentDelete}},
	{"delete.trashed", []contentOperation{contentDelete}},
	{"abort.recorded", []contentOperation{contentAbort, contentExists}},
	{"store.before_commit", everyContentOperation},
	{"store.after_commit", everyContentOperation},
}

// contentState is what a store has: data of blobs and of ingests. A value: never changed, only replaced.
type contentState struct {
	blobs   map[string]bool   // by data
	ingests map[string]string // data by ref
}

func (st contentState) clone() contentState {
	next := contentState{map[string]bool{}, map[string]string{}}
	for data := range st.blobs {
		next.blobs[data] = true
	}
	for ref, data := range st.ingests {
		next.ingests[ref] = data
	}
	return next
}

func (st contentState) withBlob(data string) contentState {
	next := st.clone()
	next.blobs[data] = true
	return next
}

func (st contentState) withoutBlob(data string) contentState {
	next := st.clone()
	delete(next.blobs, data)
	return next
}

func (st contentState) withIngest(ref, data string) contentState {
	next := st.clone()
	next.ingests[ref] = data
	return next
}

func (st contentState) withoutIngest(ref string) contentState {
	next := st.clone()
	delete(next.ingests, ref)
	return next
}

// contentOperation is a call, or a few, on the ladder's store. Its stages are what the store has before and
// after each call that matters; the last is what it has at the end.
type contentOperation struct {
	name   string
	call   func(contents, *int) error // counts the stages that were acknowledged
	stages func(contentState) []contentState
	again  func(contents) error // from whatever stage to the last one
}

var (
	thereData = "this blob is there"
	wholeData = string(randomBytes(1, 700000))
	halfData  = wholeData[:300000]
	muchData  = string(randomBytes(2, 24<<20))
	newData   = string(randomBytes(3, 100000))
)

// fillContent makes the ladder's store: a blob, and half an ingest that has been recorded.
func fillContent(t *testing.T) (root string, filled contentState) {
	t.Helper()
	d, c := startContent(t)
	defer harness.StopClean(t, d)
	c.blob(t, []byte(thereData), "a", "1")
	c.partial(t, "half", []byte(halfData))
	return d.Root, contentState{map[string]bool{thereData: true}, map[string]string{"half": halfData}}
}

// recorded is long enough for an ingest to be past the time in which a kill may lose it.
const recorded = 200 * time.Millisecond

// writes makes an operation that writes data to a ref, in messages of at most 1 MiB, and may commit it.
func writes(c contents, done *int, ref, data string, total bool, commit bool) error {
	w, err := c.write()
	if err != nil {
		return err
	}
	defer w.vanish()
	first := statOf(ref)
	if total {
		first.Total = int64(len(data))
	}
	answer, err := w.say(first)
	if err != nil {
		return err
	}
	for at := int(answer.Offset); at < len(data); {
		end := at + 1<<20
		if end > len(data) {
			end = len(data)
		}
		if _, err = w.say(writeAt(at, []byte(data[at:end]))); err != nil {
			return err
		}
		at = end
	}
	time.Sleep(recorded)
	if _, err = w.say(message{}); err != nil {
		return err
	}
	*done++
	if !commit {
		return w.close()
	}
	if _, err = w.say(commitAt(len(data), digest.FromString(data))); err == nil {
		*done++
	}
	return err
}

// writesAgain writes data to a ref, whatever there is of it, and commits it if wanted.
func writesAgain(ref, data string, commit bool) func(contents) error {
	return func(c contents) error {
		if _, err := c.info(digest.FromString(data)); commit && err == nil {
			_ = c.abort(ref)
			return nil
		}
		done := 0
		return writes(c, &done, ref, data, false, commit)
	}
}

var (
	contentBegin = contentOperation{"the begin of an ingest",
		func(c contents, done *int) error { return writes(c, done, "new", newData, true, false) },
		func(st contentState) []contentState {
			return []contentState{st, st.withIngest("new", ""), st.withIngest("new", newData)}
		},
		writesAgain("new", newData, false)}
	contentResume = contentOperation{"the rest of an ingest",
		func(c contents, done *int) error { return writes(c, done, "half", wholeData, false, false) },
		func(st contentState) []contentState {
			return []contentState{st, st.withIngest("half", wholeData)}
		},
		writesAgain("half", wholeData, false)}
	contentMuch = contentOperation{"much data",
		func(c contents, done *int) error { return writes(c, done, "new", muchData, true, false) },
		func(st contentState) []contentState { // and all between
			return []contentState{st, st.withIngest("new", muchData)}
		},
		writesAgain("new", muchData, false)}
	contentCommit = contentOperation{"a COMMIT of a resumed ingest",
		func(c contents, done *int) error { return writes(c, done, "half", wholeData, false, true) },
		func(st contentState) []contentState {
			return []contentState{st, st.withIngest("half", wholeData), st.withoutIngest("half").withBlob(wholeData)}
		},
		writesAgain("half", wholeData, true)}
	contentCommitNew = contentOperation{"a COMMIT of a new ingest",
		func(c contents, done *int) error { return writes(c, done, "new", newData, true, true) },
		func(st contentState) []contentState {
			return []contentState{st, st.withIngest("new", newData), st.withBlob(newData)}
		},
		writesAgain("new", newData, true)}
	contentWhole = contentOperation{"an ingest in one message",
		func(c contents, done *int) error {
			m := on("new", commitAt(0, digest.FromString(newData)))
			m.Data = []byte(newData)
			return single(c, m, done)
		},
		func(st contentState) []contentState {
			return []contentState{st, st.withIngest("new", ""), st.withIngest("new", newData), st.withBlob(newData)}
		},
		writesAgain("new", newData, true)}
	contentEmpty = contentOperation{"an empty blob",
		func(c contents, done *int) error { return single(c, on("new", commitAt(0, emptyDigest)), done) },
		func(st contentState) []contentState {
			return []contentState{st, st.withIngest("new", ""), st.withBlob("")}
		},
		writesAgain("new", "", true)}
	contentExists = contentOperation{"AlreadyExists",
		func(c contents, done *int) error {
			w, err := c.write()
			if err != nil {
				return err
			}
			defer w.vanish()
			if _, err = w.say(statOf("half")); err != nil {
				return err
			}
			_, err = w.say(message{Expected: digest.FromString(thereData)})
			if status.Code(err) == codes.AlreadyExists {
				*done++
				return nil
			}
			if err == nil {
				err = fmt.Errorf("the blob was said not to exist")
			}
			return err
		},
		func(st contentState) []contentState { return []contentState{st, st.withoutIngest("half")} },
		func(c contents) error { return c.abort("half") }}
	contentDelete = contentOperation{"Delete",
		func(c contents, done *int) error { return counted(c.delete(digest.FromString(thereData)), done) },
		func(st contentState) []contentState { return []contentState{st, st.withoutBlob(thereData)} },
		func(c contents) error { return c.delete(digest.FromString(thereData)) }}
	contentAbort = contentOperation{"Abort",
		func(c contents, done *int) error { return counted(c.abort("half"), done) },
		func(st contentState) []contentState { return []contentState{st, st.withoutIngest("half")} },
		func(c contents) error { return c.abort("half") }}
	contentLabel = contentOperation{"Update",
		func(c contents, done *int) error {
			_, err := c.update(contentapi.Info{Digest: digest.FromString(thereData), Labels: harness.Labels("b", "2")})
			return err
		},
		func(st contentState) []contentState { return []contentState{st} },
		func(c contents) error { return nil }}
	everyContentOperation = []contentOperation{contentBegin, contentResume, contentCommit, contentCommitNew, contentWhole,
		contentEmpty, contentExists, contentDelete, contentAbort, contentLabel}
)

// single says the one message of a stream, whose answer is the last stage.
func single(c contents, m message, done *int) error {
	w, err := c.write()
	if err != nil {
		return err
	}
	defer w.vanish()
	if _, err = w.say(m); err == nil {
		*done = allStages
	}
	return err
}

const allStages = 100

func counted(err error, done *int) error {
	if err == nil {
		*done++
	}
	return err
}

func TestContentCrashAtAnyStepLosesNothingAndLeavesNothing(t *testing.T) {
	harness.NeedFaults(t)
	for _, rung := range contentLadder {
		for _, op := range rung.operations {
			rung, op := rung, op
			t.Run(fmt.Sprintf("%s in %s", rung.step, op.name), func(t *testing.T) {
				t.Parallel()
				climbContent(t, rung.step, op)
			})
		}
	}
}

func climbContent(t *testing.T, step string, op contentOperation) {
	deaths := 0
	for pass := 1; pass <= maxPasses; pass++ {
		died := crashContent(t, fmt.Sprintf("%s@%d=kill", step, pass), op)
		if died == diedInCall {
			deaths++
		}
		if died == survived {
			break
		}
	}
	if deaths == 0 {
		t.Errorf("no pass of %s killed the daemon during the call: the step has no fault point, or is not passed", step)
	}
}

func crashContent(t *testing.T, fault string, op contentOperation) death {
	root, before := fillContent(t)
	died, acknowledged := dieInContent(t, root, fault, op)
	d := harness.Start(t, root)
	c := contentsOn(d.Conn)
	stages := op.stages(before)
	checkStage(t, fault, c, stages, acknowledged, op.name == contentMuch.name)
	awaitContentFiles(t, d, c)
	if err := op.again(c); err != nil {
		t.Fatalf("%s: again: %v", fault, err)
	}
	checkContent(t, d, c, stages[len(stages)-1])
	harness.StopClean(t, d)
	return died
}

// checkStage checks that the store is at one of the stages, not before one that was acknowledged. Of much data
// any beginning is a stage.
func checkStage(t *testing.T, fault string, c contents, stages []contentState, acknowledged int, beginnings bool) {
	t.Helper()
	if acknowledged >= len(stages) {
		acknowledged = len(stages) - 1
	}
	if beginnings && acknowledged == 0 {
		if st, err := c.status("new"); err == nil && st.Offset <= int64(len(muchData)) {
			stages = append(append([]contentState{}, stages...), stages[0].withIngest("new", muchData[:st.Offset]))
		}
	}
	var differences []string
	for _, stage := range stages[acknowledged:] {
		difference := contentDiffers(t, c, stage)
		if difference == "" {
			return
		}
		differences = append(differences, difference)
	}
	t.Fatalf("%s: after %d of %d stages: %q", fault, acknowledged, len(stages)-1, differences)
}

// contentDiffers tells the first difference between the store and a state, "" if there is none.
func contentDiffers(t *testing.T, c contents, want contentState) string {
	t.Helper()
	listed, statuses := c.list(t), c.statuses(t)
	for data := range want.blobs {
		dgst := digest.FromString(data)
		if _, ok := listed[dgst]; !ok {
			return fmt.Sprintf("the blob of %d bytes is missing", len(data))
		}
		if got, err := c.read(dgst, 0, 0); err != nil || !bytes.Equal(got, []byte(data)) {
			return fmt.Sprintf("the blob of %d bytes has %d others: %v", len(data), len(got), err)
		}
	}
	for ref, data := range want.ingests {
		st, ok := statuses[ref]
		if !ok || st.Offset != int64(len(data)) {
			return fmt.Sprintf("ingest %q has %d bytes, not %d, there: %v", ref, st.Offset, len(data), ok)
		}
		w, answer := c.opened(t, statOf(ref))
		w.closed(t)
		if answer.Offset != int64(len(data)) || answer.Digest != digest.FromString(data) {
			return fmt.Sprintf("ingest %q is at %d with other data", ref, answer.Offset)
		}
	}
	if len(listed) != len(want.blobs) || len(statuses) != len(want.ingests) {
		return fmt.Sprintf("there are %d blobs and %d ingests, not %d and %d", len(listed), len(statuses), len(want.blobs),
			len(want.ingests))
	}
	return ""
}

// checkContent checks the whole store of a daemon that is not in use.
func checkContent(t *testing.T, d *harness.Daemon, c contents, want contentState) {
	t.Helper()
	if difference := contentDiffers(t, c, want); difference != "" {
		t.Fatal(difference)
	}
	awaitContentFiles(t, d, c)
}

// dieInContent starts the daemon with the fault and makes the calls.
func dieInContent(t *testing.T, root, fault string, op contentOperation) (died death, acknowledged int) {
	d, err := harness.Launch(harness.Options{Root: root, Fault: fault})
	if err != nil {
		if d == nil || !d.Exited(0) || !d.KilledBySignal() {
			t.Fatal(err)
		}
		return diedAtStart, 0
	}
	defer d.Kill()
	err = op.call(contentsOn(d.Conn), &acknowledged)
	if err != nil && !d.Exited(5*time.Second) {
		t.Fatalf("%s: the call failed in a living daemon: %v\n%s", fault, err, d.Log())
	}
	// What comes after the answer, in the background or at the end, may die as well.
	if !d.Exited(200 * time.Millisecond) {
		if stopError := d.Stop(); stopError == nil {
			return survived, acknowledged
		}
	}
	if !d.KilledBySignal() {
		t.Fatalf("%s: the daemon ended, but not by the fault\n%s", fault, d.Log())
	}
	return diedInCall, acknowledged
}
