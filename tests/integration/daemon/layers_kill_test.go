// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/layer"
)

const (
	layerKillRounds  = 40
	layerKillWorkers = 4
	layerLoadTime    = 300 * time.Millisecond
)

// As TestKillAtRandomMoments, over unpack steps, containers, views, commits and removals with layers and spares: what was
// acknowledged is there, to the last byte and time, and nothing else is on the disk. CLONEFS_KILL_ROUNDS rounds, from
// CLONEFS_TEST_SEED.
func TestKillAmidLayersLosesNothingAndLeavesNothing(t *testing.T) {
	needClonefs(t)
	seed := int64(harness.EnvInt("CLONEFS_TEST_SEED", int(time.Now().UnixNano())))
	rounds := harness.EnvInt("CLONEFS_KILL_ROUNDS", layerKillRounds)
	t.Logf("CLONEFS_TEST_SEED=%d, %d rounds", seed, rounds)
	random := rand.New(rand.NewSource(seed))
	root, without := harness.NewRoot(t), noPool(t)
	var workers []*layerWorker
	for i := 0; i < layerKillWorkers; i++ {
		var base []*layer.Entry
		for n := 0; i%2 == 0 && n < spareFiles; n++ { // enough for spares
			base = append(base, &layer.Entry{Name: "many/" + numbered("file", n), Type: layer.File, Mode: 0o644, Data: []byte{byte(i)}})
		}
		workers = append(workers, newLayerWorker(numbered("w", i), random, base))
	}
	began, calls, looked, spares, layers := time.Now(), 0, 0, 0, 0
	for round := 0; round < rounds; round++ {
		if random.Intn(8) == 0 {
			killDuringStart(t, root, time.Duration(random.Intn(30))*time.Millisecond)
		}
		args := []string{"--log-level", "debug"}
		whole := random.Intn(3) == 0
		if whole { // and no spares
			args = append(args, "--config", without)
		}
		d, err := harness.Launch(harness.Options{Root: root, Args: args})
		must(t, err)
		looked += checkLayerWorkers(t, d, workers, whole)
		if t.Failed() {
			t.Fatalf("in round %d of seed %d\n%s", round, seed, d.Log())
		}
		layers += len(layersOf(t, d))
		calls += loadLayersAndKill(t, d, workers, time.Duration(random.Int63n(int64(harness.Bound(layerLoadTime)))))
		spares += strings.Count(d.Log(), "is ready after")
		if t.Failed() {
			t.Fatalf("in round %d of seed %d\n%s", round, seed, d.Log())
		}
	}
	d := harness.Start(t, root, "--config", without)
	checkLayerWorkers(t, d, workers, true)
	t.Logf("%d acknowledged calls, %d trees looked at, %d spares made, %d layers amid a round, %v a round", calls, looked, spares,
		layers/rounds, time.Since(began)/time.Duration(rounds))
	if calls < rounds || layers == 0 && rounds >= layerKillRounds {
		t.Errorf("only %d calls and %d layers in %d rounds", calls, layers, rounds)
	}
	s := d.Snapshots("clonefs")
	for left := list(t, s); len(left) > 0; left = list(t, s) {
		parents := map[string]bool{}
		for _, info := range left {
			parents[info.Parent] = true
		}
		for key := range left {
			if !parents[key] {
				must(t, s.Remove(key))
			}
		}
	}
	awaitNothing(t, d)
}

func loadLayersAndKill(t *testing.T, d *harness.Daemon, workers []*layerWorker, load time.Duration) (calls int) {
	t.Helper()
	work := []func(killed <-chan bool){}
	for _, w := range workers {
		w, u := w, unpackerOf(d)
		work = append(work, func(killed <-chan bool) { w.work(t, func() error { return w.step(u) }, killed) })
	}
	killAmid(d, load, work)
	for _, w := range workers {
		calls += w.acknowledged
		w.acknowledged = 0
	}
	return calls
}

// checkLayerWorkers compares a daemon that has just started with what the workers know; the whole store, if it is one
// without spares.
func checkLayerWorkers(t *testing.T, d *harness.Daemon, workers []*layerWorker, whole bool) (looked int) {
	t.Helper()
	plain := []*worker{}
	for _, w := range workers {
		plain = append(plain, w.worker)
	}
	settled := settleWorkers(t, d, plain)
	if t.Failed() {
		return 0
	}
	least, most, odds := 0, 0, 0.15
	if whole {
		odds = 1
	}
	for _, w := range workers {
		w.forget()
		must, may := w.layered()
		least += must
		most += may
		looked += w.check(t, d.Snapshots("clonefs"), odds)
	}
	if count := len(layersOf(t, d)); count < least || count > most {
		t.Errorf("ROOT/layers has %d, of %d to %d snapshots", count, least, most)
	}
	if whole && !t.Failed() {
		checkStore(t, d, map[string]state{"clonefs": settled})
	}
	return looked
}

// What the test above relies on.
func TestWhatIsPlantedBetweenKillsIsFound(t *testing.T) {
	needClonefs(t)
	random := rand.New(rand.NewSource(1))
	w := newLayerWorker("w", random, nil)
	u := startDiff(t, "", "")
	for len(committedOf(w.known)) == 0 {
		must(t, w.step(u))
	}
	problems := func(plant func(dir string) error) (found string) {
		for _, key := range committedOf(w.known) {
			dir, err := u.s.View("planted", key)
			must(t, err)
			must(t, plant(dir))
			must(t, u.s.Remove("planted"))
			found += fmt.Sprint(unchanged(u.s, key, w.trees[key]))
		}
		return found
	}
	equal(t, "what is found", strings.ReplaceAll(problems(func(string) error { return nil }), "<nil>", ""), "")
	if found := problems(func(dir string) error { return rewritten(dir+"/shared", "LAYER") }); !strings.Contains(found, "content") {
		t.Errorf("found is %q", found)
	}
}

func committedOf(st state) (keys []string) {
	for key, entry := range st {
		if entry.kind == snapshotsapi.KindCommitted {
			keys = append(keys, key)
		}
	}
	return keys
}
