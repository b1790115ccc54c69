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

const (
	eio    = 5
	enospc = 28
)

// failsAs checks the class of a call that an errno failed (contract 2.1).
func failsAs(t *testing.T, errno int, err error) {
	t.Helper()
	if errno == enospc {
		fails(t, err, codes.ResourceExhausted)
	} else if code := status.Code(err); code != codes.Internal && code != codes.Unknown {
		t.Errorf("errno %d fails the call with %v", errno, err)
	}
}

// Steps that may fail, with EIO or with a full disk: the call fails, the store stays as it was before the
// message, the ref is free, and the same again succeeds.
var contentFailures = []struct {
	step       string
	operations []contentOperation
}{
	{"ingest.create", []contentOperation{contentBegin, contentResume, contentWhole}},
	{"ingest.write", []contentOperation{contentBegin, contentResume, contentMuch, contentWhole}},
	{"commit.flush", []contentOperation{contentCommit, contentCommitNew, contentWhole, contentEmpty}},
	{"commit.rename", []contentOperation{contentCommit, contentCommitNew, contentWhole, contentEmpty}},
	{"commit.dirsync", []contentOperation{contentCommit, contentCommitNew, contentWhole, contentEmpty}},
	{"commit.record", []contentOperation{contentCommit, contentCommitNew, contentWhole, contentEmpty}},
}

func TestContentStepsThatFailLoseNothingAndLeaveTheRefUsable(t *testing.T) {
	harness.NeedFaults(t)
	for _, failure := range contentFailures {
		for _, op := range failure.operations {
			for _, errno := range []int{eio, enospc} {
				step, op, errno := failure.step, op, errno
				t.Run(fmt.Sprintf("%s=%d in %s", step, errno, op.name), func(t *testing.T) {
					t.Parallel()
					failContent(t, fmt.Sprintf("%s=%d", step, errno), errno, op)
				})
			}
		}
	}
}

func failContent(t *testing.T, fault string, errno int, op contentOperation) {
	root, before := fillContent(t)
	d, err := harness.Launch(harness.Options{Root: root, Fault: fault})
	must(t, err)
	t.Cleanup(d.Kill)
	c, stages, acknowledged := contentsOn(d.Conn), op.stages(before), 0
	failsAs(t, errno, op.call(c, &acknowledged))
	checkStage(t, fault, c, stages[:len(stages)-1], acknowledged, op.name == contentMuch.name)
	awaitContentFiles(t, d, c)
	answers(t, d)
	must(t, op.again(c)) // the fault is over
	checkContent(t, d, c, stages[len(stages)-1])
	must(t, d.Stop())
	d = harness.Start(t, root)
	checkContent(t, d, contentsOn(d.Conn), stages[len(stages)-1])
}

// What starts to write data back may fail unnoticed; the flush of the commit is what counts.
func TestContentAFailingWriteBackLosesNothing(t *testing.T) {
	harness.NeedFaults(t)
	for _, errno := range []int{eio, enospc} {
		root, before := fillContent(t)
		d, err := harness.Launch(harness.Options{Root: root, Fault: fmt.Sprintf("ingest.push=%d", errno)})
		must(t, err)
		t.Cleanup(d.Kill)
		c, acknowledged := contentsOn(d.Conn), 0
		if err := contentMuch.call(c, &acknowledged); err != nil {
			failsAs(t, errno, err)
		}
		must(t, writesAgain("new", muchData, true)(c))
		checkContent(t, d, c, before.withBlob(muchData))
	}
}

// A transaction that fails fails the call, and the store stays as it was.
func TestContentACommitOfTheStoreThatFailsChangesNothing(t *testing.T) {
	harness.NeedFaults(t)
	for _, op := range []contentOperation{contentCommit, contentCommitNew, contentWhole, contentEmpty, contentDelete,
		contentAbort, contentLabel} {
		for _, errno := range []int{eio, enospc} {
			op, errno := op, errno
			t.Run(fmt.Sprintf("%s=%d", op.name, errno), func(t *testing.T) {
				t.Parallel()
				failOneContentCommit(t, op, errno)
			})
		}
	}
}

// failOneContentCommit lets the first, the second... transaction of a daemon fail, until that is the call's own.
func failOneContentCommit(t *testing.T, op contentOperation, errno int) {
	for pass := 1; pass <= maxPasses; pass++ {
		root, before := fillContent(t)
		fault := fmt.Sprintf("store.before_commit@%d=%d", pass, errno)
		d, err := harness.Launch(harness.Options{Root: root, Fault: fault})
		if err != nil {
			continue // it was one of the start
		}
		t.Cleanup(d.Kill)
		c, stages, acknowledged := contentsOn(d.Conn), op.stages(before), 0
		err = op.call(c, &acknowledged)
		if err == nil {
			continue // it was one of the background
		}
		failsAs(t, errno, err)
		if len(stages) > 1 {
			stages = stages[:len(stages)-1]
		}
		checkStage(t, fault, c, stages, acknowledged, false)
		awaitContentFiles(t, d, c)
		answers(t, d)
		must(t, op.again(c)) // the fault is over
		all := op.stages(before)
		checkContent(t, d, c, all[len(all)-1])
		must(t, d.Stop())
		d = harness.Start(t, root)
		checkContent(t, d, contentsOn(d.Conn), all[len(all)-1])
		return
	}
	t.Errorf("no failing transaction failed %s", op.name)
}

// An ingest that could not be recorded is recorded later: it survives a restart.
func TestContentIngestsAreRecordedInTheEnd(t *testing.T) {
	harness.NeedFaults(t)
	for pass := 1; pass <= 6; pass++ {
		root, before := fillContent(t)
		d, err := harness.Launch(harness.Options{Root: root, Fault: fmt.Sprintf("store.before_commit@%d=28", pass)})
		if err != nil {
			continue
		}
		t.Cleanup(d.Kill)
		c, acknowledged := contentsOn(d.Conn), 0
		if err = contentBegin.call(c, &acknowledged); err != nil {
			failsAs(t, enospc, err) // it was that of the id
			must(t, contentBegin.again(c))
		}
		time.Sleep(harness.Bound(2 * time.Second))
		d.Kill()
		d = harness.Start(t, root)
		checkContent(t, d, contentsOn(d.Conn), before.withIngest("new", newData))
	}
}

// While a COMMIT hangs in the disk, everything else goes on, and a kill then loses nothing.
func TestContentAHangingCommitHoldsNothingElseUp(t *testing.T) {
	harness.NeedFaults(t)
	for _, step := range []string{"commit.flush", "commit.rename", "commit.record"} {
		t.Run(step, func(t *testing.T) {
			root, before := fillContent(t)
			d, err := harness.Launch(harness.Options{Root: root, Fault: step + "=stop"})
			must(t, err)
			t.Cleanup(d.Kill)
			c := contentsOn(d.Conn)
			w, _ := c.opened(t, on("half", writeAt(len(halfData), []byte(wholeData[len(halfData):]))))
			m := commitAt(len(wholeData), "")
			must(t, w.stream.Send(&m))
			defer w.vanish()
			time.Sleep(harness.Bound(300 * time.Millisecond)) // nothing tells from outside that it hangs
			c.missing(t, digest.FromString(wholeData))
			c.refuses(t, statOf("half"), codes.Unavailable)
			began := time.Now()
			for i := 0; i < 20; i++ {
				c.blob(t, []byte(numbered("another", i)))
				c.reads(t, digest.FromString(thereData), []byte(thereData))
				must(t, c.delete(digest.FromString(numbered("another", i))))
				_, err = c.status("half")
				must(t, err)
			}
			if took := time.Since(began); took > harness.Bound(5*time.Second) {
				t.Errorf("60 small calls took %v", took)
			}
			d.Kill()
			d = harness.Start(t, root)
			checkContent(t, d, contentsOn(d.Conn), before.withIngest("half", wholeData))
		})
	}
}
