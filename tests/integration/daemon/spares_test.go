// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"clonefs/tests/gotool/harness"
)

// spareFiles is more than the daemon finds small enough to do without spares.
const spareFiles = 300

// topSpares is how many the top of an image gets if it is so small.
const topSpares = 32

// spareBound is how long a spare may take; others work at a higher priority.
const spareBound = 30 * time.Second

// bigBase makes the committed snapshot "base" with a file "name" and many others.
func bigBase(t *testing.T, s *harness.Snapshots) {
	t.Helper()
	must(t, s.LayerBy("base", "", func(dir string) error {
		if err := harness.Fill(dir, spareFiles); err != nil {
			return err
		}
		return harness.Files{"name": "base"}.Write(dir)
	}))
}

// noPool is a configuration for tests that wait for real clones.
func noPool(t *testing.T) string {
	t.Helper()
	return configFile(t, `pool = "off"`)
}

func treesOf(t *testing.T, d *harness.Daemon) map[string]bool {
	t.Helper()
	trees, err := d.Trees()
	must(t, err)
	set := map[string]bool{}
	for _, tree := range trees {
		set[tree] = true
	}
	return set
}

// awaitSpares waits for so many trees that none of the sources shows, and returns them. The tree of a committed
// snapshot is told as known.
func awaitSpares(t *testing.T, d *harness.Daemon, count int, known ...string) map[string]bool {
	t.Helper()
	var spares map[string]bool
	harness.Eventually(t, spareBound, func() string {
		spares = treesOf(t, d)
		for _, tree := range known {
			delete(spares, tree)
		}
		if len(spares) != count {
			return fmt.Sprintf("%d spares are there, not %d", len(spares), count)
		}
		return ""
	})
	return spares
}

func treeOf(t *testing.T, d *harness.Daemon, source string) string {
	t.Helper()
	tree, err := d.TreeOf(source)
	must(t, err)
	return tree
}

// onlyTree is the one tree that is there: that of "base".
func onlyTree(t *testing.T, d *harness.Daemon) string {
	t.Helper()
	trees, err := d.Trees()
	must(t, err)
	equal(t, "trees", len(trees), 1)
	return trees[0]
}

// startWithSpare makes "base", starts "first" from it, and waits for the spare.
func startWithSpare(t *testing.T, args ...string) (d *harness.Daemon, s *harness.Snapshots, known []string, spare string) {
	t.Helper()
	d, s = start(t, append(args, "--log-level", "debug")...)
	bigBase(t, s)
	base := onlyTree(t, d)
	first, err := s.Prepare("first", "base")
	must(t, err)
	known = []string{base, treeOf(t, d, first)}
	for tree := range awaitSpares(t, d, 1, known...) {
		spare = tree
	}
	awaitReady(t, d, "base", 1)
	return d, s, known, spare
}

// awaitReady waits until so many spares of the parent have been made. The daemon's log level is debug.
func awaitReady(t *testing.T, d *harness.Daemon, parent string, count int) {
	t.Helper()
	harness.Eventually(t, spareBound+time.Duration(count)*time.Second, func() string {
		if made := strings.Count(d.Log(), "a spare of "+parent+" ("); made < count {
			return fmt.Sprintf("%d spares are ready, not %d", made, count)
		}
		return ""
	})
}

func hasName(t *testing.T, dir, want string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(dir, "name"))
	must(t, err)
	equal(t, "file name in "+dir, string(got), want)
	files, err := os.ReadDir(dir)
	must(t, err)
	if len(files) == 0 {
		t.Errorf("%s is empty", dir)
	}
}

// takes prepares a snapshot, which must get the spare.
func takes(t *testing.T, s *harness.Snapshots, d *harness.Daemon, key, spare string) string {
	t.Helper()
	dir, err := s.Prepare(key, "base")
	must(t, err)
	equal(t, "the tree", treeOf(t, d, dir), spare)
	return dir
}

func TestAPrepareTakesTheSpareAndAnotherIsMade(t *testing.T) {
	d, s, known, spare := startWithSpare(t)
	dir := takes(t, s, d, "second", spare)
	hasName(t, dir, "base")
	must(t, harness.Files{"name": "changed"}.Write(dir))
	harness.Eventually(t, spareBound, func() string {
		for tree := range treesOf(t, d) {
			if tree != known[0] && tree != known[1] && tree != spare {
				return ""
			}
		}
		return "no other spare is made"
	})
	third, err := s.Prepare("third", "base")
	must(t, err)
	hasName(t, third, "base")
}

func TestAnAnswerByASpareIsAsAnyOther(t *testing.T) {
	_, s, _, _ := startWithSpare(t)
	_, err := s.Prepare("first", "base")
	fails(t, err, codes.AlreadyExists, "first")
	info, err := s.Stat("first")
	must(t, err)
	dir, err := s.Prepare("labelled", "base", "a", "b")
	must(t, err)
	other, err := s.Stat("labelled")
	must(t, err)
	equal(t, "label", other.Labels["a"], "b")
	equal(t, "parent", other.Parent, "base")
	equal(t, "kind", other.Kind, info.Kind)
	size, inodes, err := s.Usage("labelled")
	must(t, err)
	equal(t, "inodes of an unchanged clone", inodes, 0)
	equal(t, "bytes of an unchanged clone", size, 0)
	must(t, harness.Files{"mine": "x"}.Write(dir))
	must(t, s.Commit("done", "labelled"))
	fails(t, s.Remove("base"), codes.FailedPrecondition, "children")
}

func TestSparesSurviveARestartAndNoBoot(t *testing.T) {
	d, _, known, spare := startWithSpare(t)
	harness.StopClean(t, d)
	d = harness.Start(t, d.Root)
	s := d.Snapshots("clonefs")
	equal(t, "the spare is still there", treesOf(t, d)[spare], true)
	dir := takes(t, s, d, "again", spare)
	hasName(t, dir, "base")
	known = append(known, spare)
	harness.Eventually(t, spareBound, func() string {
		if len(treesOf(t, d)) > len(known) {
			return ""
		}
		return "no other spare is made"
	})
	harness.StopClean(t, d)

	other := harness.OtherBoot(t, "00000000-0000-4000-8000-00000005fa3e")
	reborn, err := harness.Launch(harness.Options{Binary: other, Root: d.Root})
	must(t, err)
	defer reborn.Kill()
	awaitSpares(t, reborn, 0, known...)
}

func TestRemovingTheParentRemovesItsSpares(t *testing.T) {
	d, s, _, _ := startWithSpare(t)
	must(t, s.Remove("first"))
	must(t, s.Remove("base"))
	d.AwaitTrees(t, nil)
	bigBase(t, s) // the same names, another tree
	dir, err := s.Prepare("first", "base")
	must(t, err)
	hasName(t, dir, "base")
}

func TestAParentThatGoesWhileASpareIsMade(t *testing.T) {
	d, s := start(t)
	for i := 0; i < 30; i++ {
		bigBase(t, s)
		_, err := s.Prepare("first", "base")
		must(t, err)
		time.Sleep(time.Duration(i) * time.Millisecond)
		must(t, s.Remove("first"))
		must(t, s.Remove("base"))
	}
	d.AwaitTrees(t, nil)
}

func TestNoPoolNoSpares(t *testing.T) {
	d, s, known, spare := startWithSpare(t)
	harness.StopClean(t, d)
	d = harness.Start(t, d.Root, "--config", noPool(t))
	s = d.Snapshots("clonefs")
	equal(t, "the spare is gone", treesOf(t, d)[spare], false)
	dir, err := s.Prepare("second", "base")
	must(t, err)
	known = append(known, treeOf(t, d, dir))
	time.Sleep(500 * time.Millisecond)
	awaitSpares(t, d, 0, known...)
}

func TestAViewThatIsAPrivateCloneTakesASpare(t *testing.T) {
	d, s, _, spare := startWithSpare(t, "--config", configFile(t, `view = "private-clone"`))
	dir, err := s.View("look", "base")
	must(t, err)
	equal(t, "the tree", treeOf(t, d, dir), spare)
	hasName(t, dir, "base")
}

// What an unpacker puts on top of another layer wants no spare of that; the top wants some, after a while.
func TestTheTopOfAnImageGetsSpares(t *testing.T) {
	d, s := start(t, "--log-level", "debug")
	layer := func(name, parent string) string {
		dir, err := s.Prepare("default/1/extract-"+name, parent)
		must(t, err)
		must(t, harness.Fill(dir, spareFiles))
		must(t, s.Commit(name, "default/1/extract-"+name))
		return treeOf(t, d, dir)
	}
	known := []string{layer("one", ""), layer("two", "one"), layer("three", "two")}
	awaitReady(t, d, "three", topSpares)
	time.Sleep(500 * time.Millisecond)
	spares := awaitSpares(t, d, topSpares, known...)
	for n := 0; n < topSpares; n++ {
		dir, err := s.Prepare(numbered("container", n), "three")
		must(t, err)
		tree := treeOf(t, d, dir)
		equal(t, "the tree is a spare", spares[tree], true)
		delete(spares, tree)
	}
}

// A Prepare that finds the volume full has spares make room.
func TestSparesGiveWayWhenSpaceIsShort(t *testing.T) {
	harness.NeedFaults(t)
	d, s, known, spare := startWithSpare(t)
	dir, err := s.Prepare("work", "")
	must(t, err)
	must(t, harness.Files{"a": "a"}.Write(dir))
	must(t, s.Commit("small", "work"))
	known = append(known, treeOf(t, d, dir))
	harness.StopClean(t, d)
	d, err = harness.Launch(harness.Options{Root: d.Root, Fault: "tree.clone.file=28"})
	must(t, err)
	defer d.Kill()
	equal(t, "the spare is still there", treesOf(t, d)[spare], true)
	_, err = d.Snapshots("clonefs").Prepare("child", "small")
	fails(t, err, codes.ResourceExhausted)
	awaitSpares(t, d, 0, known...)
}

func TestForgettingASnapshotterForgetsItsSpares(t *testing.T) {
	d, _, _, _ := startWithSpare(t)
	harness.StopClean(t, d)
	output, status := harness.Run(20*time.Second, "--root", d.Root, "--forget-snapshotter", "clonefs")
	if status != 0 {
		t.Fatal(output)
	}
	d = harness.Start(t, d.Root)
	d.AwaitTrees(t, nil)
}

// The ladder's other steps are passed by trees that are too small for spares.
func TestCrashesAmidSparesLoseNothingAndLeaveNothing(t *testing.T) {
	harness.NeedFaults(t)
	for _, step := range []string{"spare.cloned", "spare.recorded", "spare.taken"} {
		step := step
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			root := harness.NewRoot(t)
			d := harness.Start(t, root)
			bigBase(t, d.Snapshots("clonefs"))
			base := onlyTree(t, d)
			harness.StopClean(t, d)

			d, err := harness.Launch(harness.Options{Root: root, Fault: step + "=kill"})
			must(t, err)
			s := d.Snapshots("clonefs")
			first, err := s.Prepare("first", "base")
			must(t, err)
			firstTree := treeOf(t, d, first)
			acknowledged := 1
			for n := 2; !d.Exited(20 * time.Millisecond); n++ {
				if _, err := s.Prepare(numbered("more", n), "base"); err == nil {
					acknowledged++
				}
				if n > 500 {
					t.Fatalf("%s is not passed", step)
				}
			}
			if !d.KilledBySignal() {
				t.Fatalf("the daemon ended, but not by the fault: %s", d.Log())
			}
			d.Kill()

			d = harness.Start(t, root, "--config", noPool(t))
			s = d.Snapshots("clonefs")
			snapshots := list(t, s)
			if len(snapshots) != acknowledged+1 && len(snapshots) != acknowledged+2 {
				t.Errorf("%d snapshots are there, %d were acknowledged", len(snapshots)-1, acknowledged)
			}
			known := []string{base, firstTree}
			for key := range snapshots {
				if key == "base" || key == "first" {
					continue
				}
				dir, err := s.Source(key)
				must(t, err)
				hasName(t, dir, "base")
				known = append(known, treeOf(t, d, dir))
			}
			d.AwaitTrees(t, known)
		})
	}
}

// As TestKillAtRandomMoments, of trees that get spares; a daemon without a pool then has none left.
func TestKillAmidSparesLosesNothingAndLeavesNothing(t *testing.T) {
	seed := int64(harness.EnvInt("CLONEFS_TEST_SEED", int(time.Now().UnixNano())))
	rounds := harness.EnvInt("CLONEFS_KILL_ROUNDS", killRounds) / 8
	t.Logf("CLONEFS_TEST_SEED=%d, %d rounds", seed, rounds)
	random := rand.New(rand.NewSource(seed))
	root, without := harness.NewRoot(t), noPool(t)
	workers := newWorkers(random)[:3]
	for _, w := range workers {
		w.many = harness.Files{}
		for i := 0; i < spareFiles; i++ {
			w.many["many/"+numbered("file", i)] = w.name
		}
	}
	spares := 0
	for round := 0; round < rounds; round++ {
		d, err := harness.Launch(harness.Options{Root: root, Args: []string{"--log-level", "debug"}})
		must(t, err)
		settleWorkers(t, d, workers)
		loadAndKill(t, d, workers, time.Duration(random.Int63n(int64(1500*time.Millisecond))))
		spares += strings.Count(d.Log(), "is ready after")
		if t.Failed() {
			t.Fatalf("in round %d of seed %d\n%s", round, seed, d.Log())
		}
		if random.Intn(2) == 0 {
			continue // what this one left has to serve the next
		}
		d, err = harness.Launch(harness.Options{Root: root, Args: []string{"--config", without}})
		must(t, err)
		checkWorkers(t, d, workers)
		if t.Failed() {
			t.Fatalf("in round %d of seed %d\n%s", round, seed, d.Log())
		}
		d.Kill()
	}
	d := harness.Start(t, root, "--config", without)
	checkWorkers(t, d, workers)
	t.Logf("%d spares were made", spares)
	if rounds >= killRounds/8 && spares == 0 { // others come first, so a busy machine makes few
		t.Errorf("no spare was made in %d rounds", rounds)
	}
}
