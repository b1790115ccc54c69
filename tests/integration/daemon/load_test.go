// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"sync"
	"testing"

	"google.golang.org/grpc"

	"clonefs/tests/gotool/harness"
)

// together calls f with 0 to n-1, all at once, and reports the errors.
func together(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	var group sync.WaitGroup
	for i := 0; i < n; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			if err := f(i); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		}(i)
	}
	group.Wait()
}

// connections dials more connections to a daemon.
func connections(t *testing.T, d *harness.Daemon, n int) []*grpc.ClientConn {
	t.Helper()
	var conns []*grpc.ClientConn
	for i := 0; i < n; i++ {
		conn, err := harness.Dial(d.Socket)
		must(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		conns = append(conns, conn)
	}
	return conns
}

func TestAThousandListsAtOnceAreAllComplete(t *testing.T) {
	d, s := start(t)
	many(t, s, 250)
	conns := append(connections(t, d, 4), d.Conn, d.Conn, d.Conn, d.Conn)
	together(t, 1000, func(i int) error {
		infos, err := harness.SnapshotsOn(conns[i%len(conns)], "clonefs").List()
		if err == nil && len(infos) != 250 {
			t.Errorf("a List of %d snapshots", len(infos))
		}
		return err
	})
	answers(t, d)
}

// One client that never reads must not keep the others waiting.
func TestListsThatNobodyReadsHoldNothingUp(t *testing.T) {
	d, s := start(t)
	var labels []string
	for i := 0; i < 100; i++ {
		labels = append(labels, numbered("a-label-with-a-long-name", i), "with a long value, so that a List fills every buffer")
	}
	for i := 0; i < 250; i++ {
		_, err := s.Prepare(numbered("many", i), "", labels...)
		must(t, err)
	}
	for i := 0; i < 100; i++ {
		ctx, cancel := harness.CallContext()
		defer cancel()
		_, err := s.API.List(ctx, listRequest)
		must(t, err)
	}
	other := harness.SnapshotsOn(connections(t, d, 1)[0], "clonefs")
	must(t, other.Remove("many-7"))
	equal(t, "number of snapshots", len(list(t, other)), 249)
	answers(t, d)
}

func TestAThousandPreparesAtOnceAllSucceed(t *testing.T) {
	d, s := start(t)
	eight := harness.Files{}
	for i := 0; i < 8; i++ {
		eight[numbered("dir/file", i)] = "content"
	}
	must(t, s.Layer("base", "", eight))
	conns := append(connections(t, d, 4), d.Conn)
	together(t, 1000, func(i int) error {
		source, err := harness.SnapshotsOn(conns[i%len(conns)], "clonefs").Prepare(numbered("child", i), "base")
		if err == nil && i%50 == 0 {
			err = harness.SameFiles(source, eight)
		}
		return err
	})
	equal(t, "number of snapshots", len(list(t, s)), 1001)
	together(t, 1000, func(i int) error {
		return harness.SnapshotsOn(conns[i%len(conns)], "clonefs").Remove(numbered("child", i))
	})
	checkStore(t, d, map[string]state{"clonefs": read(t, s)})
	equal(t, "number of snapshots", len(list(t, s)), 1)
}

// Of many that want the same key one gets it; the others are told so.
func TestOneOfManyPreparesGetsTheKey(t *testing.T) {
	d, s := start(t)
	must(t, s.Layer("base", "", harness.Files{"a": "b"}))
	for round := 0; round < 20; round++ {
		var mu sync.Mutex
		won := 0
		together(t, 16, func(int) error {
			_, err := s.Prepare("contested", "base")
			if err == nil {
				mu.Lock()
				won++
				mu.Unlock()
				return nil
			}
			failsTaken(t, err)
			return nil
		})
		equal(t, "number of winners", won, 1)
		must(t, s.Remove("contested"))
	}
	checkStore(t, d, map[string]state{"clonefs": read(t, s)})
}
