// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"math/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"clonefs/tests/gotool/harness"
)

const (
	killRounds  = 200
	killWorkers = 6
	loadTime    = 120 * time.Millisecond // the longest that a round works before the kill
)

// kill -9 at random moments under load. CLONEFS_KILL_ROUNDS rounds, from CLONEFS_TEST_SEED.
func TestKillAtRandomMomentsLosesNothingAndLeavesNothing(t *testing.T) {
	seed := int64(harness.EnvInt("CLONEFS_TEST_SEED", int(time.Now().UnixNano())))
	rounds := harness.EnvInt("CLONEFS_KILL_ROUNDS", killRounds)
	t.Logf("CLONEFS_TEST_SEED=%d, %d rounds", seed, rounds)
	random := rand.New(rand.NewSource(seed))
	root := harness.NewRoot(t)
	workers := newWorkers(random)
	began, calls, startKills := time.Now(), 0, 0
	for round := 0; round < rounds; round++ {
		if random.Intn(8) == 0 {
			killDuringStart(t, root, time.Duration(random.Intn(30))*time.Millisecond)
			startKills++
		}
		d, err := harness.Launch(harness.Options{Root: root})
		must(t, err)
		checkWorkers(t, d, workers)
		if t.Failed() {
			t.Fatalf("in round %d of seed %d\n%s", round, seed, d.Log())
		}
		calls += loadAndKill(t, d, workers, time.Duration(random.Int63n(int64(loadTime))))
	}
	d := harness.Start(t, root)
	checkWorkers(t, d, workers)
	t.Logf("%d acknowledged calls, %d kills during start, %v a round", calls, startKills,
		time.Since(began)/time.Duration(rounds))
	if calls < rounds {
		t.Errorf("only %d calls in %d rounds", calls, rounds)
	}
}

// killDuringStart kills a daemon while it opens the store, sweeps, or has just begun to listen.
func killDuringStart(t *testing.T, root string, after time.Duration) {
	t.Helper()
	d, err := harness.LaunchThen(harness.Options{Root: root}, func(d *harness.Daemon) {
		time.AfterFunc(after, d.KillSoon)
	})
	if d == nil {
		t.Fatal(err)
	}
	d.Exited(after + time.Second)
	d.Kill()
	if !d.KilledBySignal() {
		t.Fatalf("the daemon ended by itself at start:\n%s", d.Log())
	}
}

// loadAndKill lets all workers work for a while and kills the daemon under them.
func loadAndKill(t *testing.T, d *harness.Daemon, workers []*worker, load time.Duration) int {
	t.Helper()
	work := []func(killed <-chan bool){}
	for _, w := range workers {
		w := w
		work = append(work, func(killed <-chan bool) { w.work(t, func() error { return w.step(d.Snapshots("clonefs")) }, killed) })
	}
	killAmid(d, load, work)
	calls := 0
	for _, w := range workers {
		calls += w.acknowledged
		w.acknowledged = 0
	}
	return calls
}

// killAmid lets all work for a while and kills the daemon under them.
func killAmid(d *harness.Daemon, load time.Duration, work []func(killed <-chan bool)) {
	killed := make(chan bool)
	var group sync.WaitGroup
	for _, one := range work {
		group.Add(1)
		go func(one func(killed <-chan bool)) {
			defer group.Done()
			one(killed)
		}(one)
	}
	time.Sleep(load)
	close(killed) // errors are expected from now on
	d.Kill()
	group.Wait()
}

// checkWorkers settles, and checks the whole store.
func checkWorkers(t *testing.T, d *harness.Daemon, workers []*worker) {
	t.Helper()
	settled := settleWorkers(t, d, workers)
	if !t.Failed() {
		checkStore(t, d, map[string]state{"clonefs": settled})
	}
}

// settleWorkers compares a daemon that has just started with what the workers know, lets each settle what was in
// flight, and returns what all of them know.
func settleWorkers(t *testing.T, d *harness.Daemon, workers []*worker) state {
	t.Helper()
	whole, settled := read(t, d.Snapshots("clonefs")), state{}
	for _, w := range workers {
		mine := state{}
		for key, entry := range whole {
			if strings.HasPrefix(key, w.name+" ") {
				mine[key] = entry
			}
		}
		w.settle(t, mine)
		for key, entry := range w.known {
			settled[key] = entry
		}
	}
	return settled
}
