// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/layer"
)

const (
	layerCases   = 2000 // of one to four layers each
	layerWorkers = 3
	shrinkTries  = 300
	enoughFaults = 5
)

// The same layers go through containerd's own applier, as its walking differ calls it, and through our daemon. From
// CLONEFS_TEST_SEED, CLONEFS_LAYER_CASES cases, each with a seed of its own, which is the first one's plus its number.
// A case that fails is made as small as possible and printed.
func TestDiffAppliedLayersAreWhatContainerdMakesOfThem(t *testing.T) {
	harness.NeedRoot(t)
	seed := int64(harness.EnvInt("CLONEFS_TEST_SEED", int(time.Now().UnixNano()>>10)))
	cases := int64(layerCases)
	if slowBuild() {
		cases /= 4
	}
	cases = int64(harness.EnvInt("CLONEFS_LAYER_CASES", int(cases)))
	t.Logf("CLONEFS_TEST_SEED=%d, %d cases", seed, cases)
	u := startDiff(t, "", withoutFlush)
	outside := newCanary(t)
	var next, refused, strict, layers, faults int64 = -1, 0, 0, 0, 0
	var group sync.WaitGroup
	for worker := 0; worker < layerWorkers; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			twin := &twins{u: unpackerOf(u.d), dir: t.TempDir(), name: numbered("w", worker)}
			for {
				n := atomic.AddInt64(&next, 1)
				if n >= cases || atomic.LoadInt64(&faults) >= enoughFaults || !u.d.Alive() {
					return
				}
				made := layer.Generate(seed + n)
				problems := twin.run(made)
				atomic.AddInt64(&layers, int64(twin.layers))
				atomic.AddInt64(&refused, int64(twin.refused))
				atomic.AddInt64(&strict, int64(twin.strict))
				if len(problems) > 0 {
					atomic.AddInt64(&faults, 1)
					twin.report(t, seed+n, made, problems)
				}
			}
		}(worker)
	}
	group.Wait()
	t.Logf("%d layers, %d of them refused by both, %d by one alone for a reason", layers, refused, strict)
	if strict > layers/50+5 {
		t.Errorf("we refuse %d of %d layers that containerd takes", strict, layers)
	}
	if cases >= layerCases/4 && faults == 0 && (refused < layers/100 || refused > layers*45/100) {
		t.Errorf("%d of %d layers were refused: that tests too little", refused, layers)
	}
	outside.check(t)
	answers(t, u.d)
	equal(t, "number of snapshots left", len(list(t, u.s)), 0)
	u.nothingLeft(t)
}

// twins applies layers twice.
type twins struct {
	u               *unpacker
	dir             string // where containerd works
	name            string
	serial          int
	layers, refused int // of the last run
	strict          int
}

func (w *twins) report(t *testing.T, seed int64, made []*layer.Layer, problems []string) {
	small := layer.Shrink(made, shrinkTries, func(l []*layer.Layer) bool { return len(w.run(l)) > 0 })
	if again := w.run(small); len(again) > 0 {
		problems = again
	}
	t.Errorf("CLONEFS_TEST_SEED=%d CLONEFS_LAYER_CASES=1 differs:\n%s\n%v", seed, strings.Join(problems, "\n"), layer.Describe(small))
}

// run applies the layers on both sides, one on top of the other, and lists what differs.
func (w *twins) run(layers []*layer.Layer) (problems []string) {
	w.serial++
	w.layers, w.refused, w.strict = 0, 0, 0
	theirs := filepath.Join(w.dir, fmt.Sprint(w.serial))
	if err := os.Mkdir(theirs, 0o755); err != nil {
		return []string{err.Error()}
	}
	defer os.RemoveAll(theirs)
	began := time.Now().Truncate(time.Second).Add(-time.Second)
	made := []string{}
	defer func() {
		for i := len(made) - 1; i >= 0; i-- {
			if err := w.u.s.Remove(made[i]); err != nil {
				problems = append(problems, fmt.Sprintf("Remove: %v", err))
			}
		}
	}()
	parent, key, dir := "", "", ""
	for i, l := range layers {
		if i == 0 || !standIn() { // containerd's native loses some links when it copies
			key = fmt.Sprintf("%s-%d-%d", w.name, w.serial, i)
			var err error
			if dir, err = w.u.s.Prepare(key, parent); err != nil {
				return append(problems, err.Error())
			}
			made = append(made, key)
		}
		w.layers++
		done, problems := w.one(key, dir, theirs, l, layer.Comparison{Since: began, AccessTimes: i == 0})
		if done || len(problems) > 0 {
			for n := range problems {
				problems[n] = fmt.Sprintf("layer %d: %.400s", i, problems[n])
			}
			return problems
		}
		if !standIn() {
			parent = key + " done"
			if err := w.u.s.Commit(parent, key); err != nil {
				return []string{err.Error()}
			}
			made[len(made)-1] = parent
		}
	}
	return nil
}

// one applies a layer on both sides; done if both refuse it.
func (w *twins) one(key, ours, theirs string, l *layer.Layer, c layer.Comparison) (done bool, problems []string) {
	stream := l.Archive(false)
	blob := l.Packing.Pack(stream)
	reference := layer.ApplyAsWeMeanIt
	if standIn() {
		reference = layer.Apply
	}
	_, _, refused := reference(theirs, bytes.NewReader(l.Packing.Pack(l.Archive(!standIn()))), l.Media == ociLayer)
	answer, err := w.u.apply(l.Media, blob, key)
	switch {
	case refused != nil && err != nil:
		w.refused++
		if os.Getenv("CLONEFS_SHOW_REFUSED") != "" {
			fmt.Printf("REFUSED %v\n     us %v\n", refused, err)
		}
		return true, nil
	case refused != nil && laxer(l, refused):
		w.strict++
		return true, nil
	case refused != nil:
		return true, []string{fmt.Sprintf("we take what containerd refuses: %v", refused)}
	case err != nil:
		if reason := stricter(l, err); reason != "" {
			w.strict++
			return true, nil
		}
		return true, []string{fmt.Sprintf("we refuse what containerd takes: %v", err)}
	}
	if l.Media == ociLayer {
		stream = blob
	}
	if problem := describes(answer, stream); problem != "" {
		problems = append(problems, problem)
	}
	got, err := layer.Scan(ours)
	if err != nil {
		return true, append(problems, err.Error())
	}
	want, err := layer.Scan(theirs)
	if err != nil {
		return true, append(problems, err.Error())
	}
	return false, append(problems, c.Compare(got, want)...)
}

// stricter is why we may refuse a layer that containerd takes; "" if there is no reason.
func stricter(l *layer.Layer, err error) string {
	says := func(text string) bool { return strings.Contains(err.Error(), text) }
	for _, e := range l.Entries {
		switch {
		case len(e.Records) > 0 && says("the pax record") && says("is malformed"):
			return "what a record says must make sense, even if a later one says otherwise or the entry has no use for it"
		case (e.Type > layer.FIFO || e.Sparse == layer.SparseGNU) && says("entries of type") && namesNoFile(e.Name):
			return "a type that is not known is refused, even where containerd looks at the name first and makes no file of it"
		case e.Type == layer.File && strings.HasSuffix(e.Name, "/") && len(e.Data) > 0 && says("no valid archive"):
			return "a file with data whose name ends in a slash: libarchive takes it for a directory"
		}
	}
	return ""
}

// namesNoFile is true for whiteouts, and for names of the root, which containerd overlooks.
func namesNoFile(name string) bool {
	return strings.Contains(name, ".wh.") || filepath.Clean("/"+name) == "/"
}

// laxer tells whether we may take a layer that containerd refuses. There are two reasons, on macOS two more:
//   - a hard link replaces a symlink through which its own target is reached; containerd removes first and then does not
//     find the target;
//   - containerd asks the kernel about a path of which it has resolved the end, not the middle; if that goes round in
//     circles it is an error, even where all links together lead somewhere.
//   - what Linux takes for a capability or an ACL, and finds malformed, is an attribute like others there;
//   - an attribute whose name cannot be one there, an empty or a long one, is left out with a warning.
func laxer(l *layer.Layer, refused error) bool {
	says := func(text string) bool { return strings.Contains(refused.Error(), text) }
	if harness.ForMacOS() && says("failed to setxattr") && (says("invalid argument") || says("numerical result out of range")) {
		return true
	}
	if says("failed to get root path: lstat") && says("too many levels of symbolic links") {
		return true
	}
	for _, e := range l.Entries {
		if e.Type == layer.HardLink && says("link ") && says(filepath.Clean("/"+e.Name)+": no such file or directory") {
			return true
		}
	}
	return false
}

// canary is what lies outside of all targets, and must stay as it is: the names that layers use, at the top of the
// machine's own tree and beside the stores.
type canary struct{ dirs map[string]string }

func newCanary(t testing.TB) *canary {
	t.Helper()
	c := &canary{map[string]string{}}
	for _, dir := range []string{"/", os.TempDir()} {
		c.dirs[dir] = names(t, dir)
	}
	return c
}

func names(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, entry := range entries {
		list = append(list, entry.Name())
	}
	return fmt.Sprint(list)
}

func (c *canary) check(t testing.TB) {
	t.Helper()
	for dir, before := range c.dirs {
		if after := names(t, dir); after != before {
			t.Errorf("%s had %s, now it has %s", dir, before, after)
		}
	}
}

// The comparison must find what is wrong. Each of these changes a tree that was the same.
func TestDiffComparisonFindsWhatIsPlanted(t *testing.T) {
	harness.NeedRoot(t)
	made := []*layer.Layer{{Entries: []*layer.Entry{
		{Name: "d/", Type: layer.Dir, Mode: 0o755, Modified: layer.Time{Seconds: 1}},
		{Name: "d/f", Type: layer.File, Mode: 0o4755, Data: []byte("data"), Modified: layer.Time{Seconds: 2, Nanoseconds: 3},
			Xattrs: []layer.Xattr{{Name: "user.a", Value: "1"}, {Name: "security.capability", Value: layer.Capabilities}}},
		{Name: "d/g", Type: layer.HardLink, Link: "d/f", Mode: 0o4755},
		{Name: "d/s", Type: layer.Symlink, Link: "f", Mode: 0o777},
		{Name: "d/c", Type: layer.CharDevice, Mode: 0o600, Major: 1, Minor: 3},
	}}}
	stream := made[0].Archive(false)
	for what, change := range map[string]func(dir string) error{
		"nothing": func(string) error { return nil },
		"mode":    func(dir string) error { return os.Chmod(dir+"/d", 0o700) },
		"owner":   func(dir string) error { return os.Lchown(dir+"/d/s", 1, 0) },
		"content": func(dir string) error { return rewritten(dir+"/d/f", "dato") },
		"mtime":   func(dir string) error { return os.Chtimes(dir+"/d/f", time.Unix(2, 3), time.Unix(2, 4)) },
		"links":   func(dir string) error { return separated(dir + "/d/g") },
		"target":  func(dir string) error { return relinked(dir+"/d/s", "g") },
		"device":  func(dir string) error { return otherDevice(dir + "/d/c") },
		"xattrs":  func(dir string) error { return setXattr(dir+"/d/f", "user.a", "2") },
		"missing": func(dir string) error { return os.Remove(dir + "/d/c") },
		"not be":  func(dir string) error { return os.Mkdir(dir+"/d/new", 0o755) },
	} {
		t.Run(what, func(t *testing.T) {
			var trees [2]layer.Tree
			for i := range trees {
				dir := t.TempDir()
				dgst, size, err := layer.Apply(dir, bytes.NewReader(stream), true)
				must(t, err)
				equal(t, "digest", dgst, digest.FromBytes(stream))
				equal(t, "size", size, int64(len(stream)))
				if i == 1 {
					must(t, change(dir))
				}
				trees[i], err = layer.Scan(dir)
				must(t, err)
			}
			since := time.Now().Add(-time.Minute)
			found := strings.Join(layer.Comparison{Since: since}.Compare(trees[1], trees[0]), "; ")
			if what == "nothing" {
				equal(t, "what is found", found, "")
			} else if !strings.Contains(found, what) {
				t.Errorf("found is %q", found)
			}
		})
	}
}
