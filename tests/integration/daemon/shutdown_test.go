// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"testing"
	"time"

	"clonefs/tests/gotool/harness"
)

// inFlight starts a Prepare of the big snapshot and returns when it runs; its error comes later.
func inFlight(s *harness.Snapshots, key string) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := s.Prepare(key, "big")
		done <- err
	}()
	time.Sleep(30 * time.Millisecond)
	return done
}

func TestSigtermEndsTheDaemonWhileABigPrepareRuns(t *testing.T) {
	d, s := start(t, "--config", noPool(t))
	bigLayer(t, s, 30000)
	before := read(t, s)
	done := inFlight(s, "child")
	harness.StopClean(t, d) // exit status 0 in time
	acknowledged := <-done == nil

	d = harness.Start(t, d.Root)
	s = d.Snapshots("clonefs")
	after := read(t, s)
	if _, there := after["child"]; acknowledged && !there {
		t.Error("an acknowledged Prepare is lost")
	} else if there {
		t.Log("the Prepare was finished before the end")
	} else if difference := after.differsFrom(before); difference != "" {
		t.Error(difference)
	}
	checkStore(t, d, map[string]state{"clonefs": after})
}

func TestSigtermEndsTheDaemonUnderLoadAndLosesNothing(t *testing.T) {
	d, s := start(t)
	must(t, s.Layer("base", "", harness.Files{"a": "b"}))
	acknowledged := make(chan string, 100000)
	stopped := make(chan bool)
	for w := 0; w < 8; w++ {
		go func(w int) {
			defer func() { stopped <- true }()
			for i := 0; ; i++ {
				key := numbered(numbered("w", w), i)
				if _, err := s.Prepare(key, "base"); err != nil {
					return
				}
				acknowledged <- key
			}
		}(w)
	}
	time.Sleep(200 * time.Millisecond)
	harness.StopClean(t, d)
	for w := 0; w < 8; w++ {
		<-stopped
	}
	close(acknowledged)
	d = harness.Start(t, d.Root)
	s = d.Snapshots("clonefs")
	there := list(t, s)
	count := 0
	for key := range acknowledged {
		count++
		if _, ok := there[key]; !ok {
			t.Errorf("%q was acknowledged and is lost", key)
		}
	}
	t.Logf("%d acknowledged, %d there", count, len(there)-1)
	if count == 0 {
		t.Error("no load")
	}
	checkStore(t, d, map[string]state{"clonefs": read(t, s)})
}

func TestSigtermEndsTheDaemonWhileClientsSitOnStreams(t *testing.T) {
	d, s := start(t)
	many(t, s, 250)
	ctx, cancel := harness.CallContext()
	defer cancel()
	for i := 0; i < 20; i++ {
		_, err := s.API.List(ctx, listRequest)
		must(t, err)
	}
	dialRaw(t, d)
	harness.StopClean(t, d)
}
