// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"golang.org/x/sys/unix"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/history"
	"clonefs/tests/gotool/layer"
)

const (
	layerHistories = 16
	layerSteps     = 60
	slackBytes     = 1 << 17 // XFS gives files that grow blocks beyond their end; a clone does not have them
)

// Random histories of unpack steps, containers, views, comparisons, removals and restarts give the same with layers and
// without. From CLONEFS_TEST_SEED, CLONEFS_LAYER_HISTORIES of them, each of CLONEFS_LAYER_STEPS steps with a seed of its
// own. One that fails is tried again with fewer steps.
func TestRandomHistoriesAreTheSameWithLayersAndWithout(t *testing.T) {
	needClonefs(t)
	harness.NeedRoot(t)
	seed := int64(harness.EnvInt("CLONEFS_TEST_SEED", int(time.Now().UnixNano()%1000000000)))
	count := harness.EnvInt("CLONEFS_LAYER_HISTORIES", layerHistories)
	steps := harness.EnvInt("CLONEFS_LAYER_STEPS", layerSteps)
	t.Logf("CLONEFS_TEST_SEED=%d, %d histories", seed, count)
	taken := takenTrees{}
	for i := 0; i < count && !t.Failed(); i++ {
		seed := seed + int64(i)
		for steps := steps; steps > 0 && !runLayerHistory(t, seed, steps, &taken); steps /= 2 {
			t.Logf("fails: CLONEFS_TEST_SEED=%d CLONEFS_LAYER_HISTORIES=1 CLONEFS_LAYER_STEPS=%d", seed, steps)
		}
	}
	t.Logf("%d steps took over the tree of a layer of ours, %d that of what a client had written", taken.ofLayers, taken.ofClients)
	if count >= layerHistories && (taken.ofLayers < 2*count || taken.ofClients < count/2) {
		t.Errorf("that tests too little")
	}
}

func runLayerHistory(t *testing.T, seed int64, steps int, taken *takenTrees) bool {
	return t.Run(fmt.Sprintf("seed %d, %d steps", seed, steps), func(t *testing.T) {
		random := rand.New(rand.NewSource(seed))
		view, diff := `view = "readonly-bind"`, `durability = "full"`
		if random.Intn(3) == 0 {
			view = `view = "private-clone"`
		}
		if random.Intn(2) == 0 {
			diff = `durability = "off"`
		}
		h := &layerHistory{t: t, pair: startPair(t, view, diff), random: random, all: map[string]*kept{}}
		h.said = append(h.said, view+", "+diff)
		defer func() {
			taken.ofLayers += h.taken.ofLayers
			taken.ofClients += h.taken.ofClients
			if t.Failed() {
				h.show(t)
			}
		}()
		for i := 0; i < steps; i++ {
			h.step()
		}
		h.end()
	})
}

// kept is what a history knows of a snapshot.
type kept struct {
	key, parent string
	kind        snapshotsapi.Kind
	unpacks     bool // by its key or a label
	applied     int
	ours        bool          // an Apply was tried
	changed     bool          // by an Apply or through the mount
	used        bool          // by a view or a container, at any time
	dirs        [2]string     // where it is, or was as an active one
	trees       [2]layer.Tree // what is in there
	touched     [2]int64      // bytes and files that only seem to be changed
	chain       *layer.Chain
}

type layerHistory struct {
	t *testing.T
	*pair
	random *rand.Rand
	all    map[string]*kept
	serial int
	taken  takenTrees
}

// takenTrees counts the trees that were taken over.
type takenTrees struct{ ofLayers, ofClients int }

// some is one of the snapshots that are wanted, nil if there is none.
func (h *layerHistory) some(want func(*kept) bool) *kept {
	var found []*kept
	for _, k := range h.all {
		if want(k) {
			found = append(found, k)
		}
	}
	if len(found) == 0 {
		return nil
	}
	sort.Slice(found, func(i, j int) bool { return found[i].key < found[j].key })
	return found[h.random.Intn(len(found))]
}

func isCommitted(k *kept) bool { return k.kind == snapshotsapi.KindCommitted }

func isActive(k *kept) bool { return k.kind == snapshotsapi.KindActive }

func isView(k *kept) bool { return k.kind == snapshotsapi.KindView }

func (h *layerHistory) children(key string) (count int) {
	for _, k := range h.all {
		if k.parent == key {
			count++
		}
	}
	return count
}

func (h *layerHistory) isLeaf(k *kept) bool { return isCommitted(k) && h.children(k.key) == 0 }

func (h *layerHistory) fresh(what string) string {
	h.serial++
	return fmt.Sprintf("%s %02d", what, h.serial)
}

// step makes one call or a few, and sees that nobody else's files have changed.
func (h *layerHistory) step() {
	switch n := h.random.Intn(100); {
	case n < 7:
		h.image()
	case n < 10:
		h.clientImage()
	case n < 18:
		h.unpack(h.base())
	case n < 22:
		h.begin(h.fresh("container"), h.some(isCommitted), nil)
	case n < 75:
		if k := h.some(isActive); k != nil {
			h.goOn(k)
		}
	case n < 78:
		h.look()
	case n < 85:
		h.remove(h.some(func(*kept) bool { return true }))
	case n < 89:
		h.check(h.some(isCommitted))
	case n < 92:
		h.compare()
	case n < 95:
		h.nonsense()
	default:
		if h.random.Intn(3) == 0 {
			h.said = append(h.said, "restart")
			h.restart(h.t)
		}
	}
	for _, k := range h.all {
		if !isCommitted(k) {
			must(h.t, sameTree(k.dirs[0], k.trees[0]))
		}
	}
}

// base is what an unpacker goes on with, mostly the top of something.
func (h *layerHistory) base() *kept {
	switch h.random.Intn(8) {
	case 0:
		return nil
	case 1:
		return h.some(isCommitted)
	}
	return h.some(h.isLeaf)
}

// unpack begins a step of an unpacker.
func (h *layerHistory) unpack(parent *kept) *kept {
	if h.random.Intn(4) == 0 {
		return h.begin(h.fresh("labelled"), parent, []string{"containerd.io/snapshot.ref", "sha256:aa"})
	}
	return h.begin(h.fresh("default/1/extract-1-x sha256:aa"), parent, nil)
}

// image unpacks some layers without a pause, as clients do.
func (h *layerHistory) image() {
	top := h.base()
	for n := 2 + h.random.Intn(5); n > 0; n-- {
		top = h.unpack(top)
		h.apply(top)
		if top.applied != 1 {
			h.remove(top)
			return
		}
		h.commit(top)
	}
}

// clientImage is one whose layers a differ of the client's writes, big enough that clones are worth avoiding.
func (h *layerHistory) clientImage() {
	top := h.some(func(k *kept) bool { return h.isLeaf(k) && k.written() && len(k.trees[0]) > spareFiles })
	if top == nil {
		top = h.unpack(nil)
		h.fill(top)
		h.write(top)
		h.commit(top)
	}
	for n := 2 + h.random.Intn(5); n > 0; n-- {
		top = h.unpack(top)
		if h.random.Intn(8) > 0 {
			h.write(top)
		}
		h.commit(top)
	}
}

// written is true of an unpacker's, in which none of our layers was ever unpacked.
func (k *kept) written() bool { return k.unpacks && !k.ours }

// fill makes many small files, with times of their own: two of one time and size are equal to who compares.
func (h *layerHistory) fill(k *kept) {
	h.said = append(h.said, fmt.Sprintf("many files in %q", k.key))
	for _, dir := range k.dirs {
		must(h.t, harness.Fill(dir, spareFiles))
		seconds := int64(1500000000)
		must(h.t, filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
			seconds++
			if err != nil {
				return err
			}
			return os.Chtimes(path, time.Unix(seconds, 1), time.Unix(seconds, 1))
		}))
	}
}

// begin prepares a snapshot, which must have what its parent has.
func (h *layerHistory) begin(key string, parent *kept, labels []string) *kept {
	k := &kept{key: key, kind: snapshotsapi.KindActive, unpacks: labels != nil || strings.Contains(key, "/extract-")}
	if parent != nil {
		k.parent, k.chain = parent.key, parent.chain.Branch(h.random.Int63())
	} else {
		k.chain = layer.NewChain(h.random.Int63())
	}
	must(h.t, h.both(h.t, func(i int, c *comparer) (err error) {
		k.dirs[i], err = c.s.Prepare(key, k.parent, labels...)
		return err
	}, "Prepare %q on %q", key, k.parent))
	k.trees = h.scan(h.t, k.dirs)
	if parent != nil {
		must(h.t, sameTree(k.dirs[0], parent.trees[0]))
		if k.dirs[0] == parent.dirs[0] {
			h.tookOver(k, parent)
		}
		parent.used = parent.used || !k.unpacks
	}
	h.all[key] = k
	return k
}

func (h *layerHistory) tookOver(k, parent *kept) {
	if parent.written() {
		h.taken.ofClients++
	} else {
		h.taken.ofLayers++
	}
	h.said[len(h.said)-1] += ", took over its tree"
	if !k.unpacks || (parent.applied != 1 && !parent.written()) || parent.parent == "" || parent.used || h.children(k.parent) > 0 {
		h.t.Fatalf("%q may not take over the tree of %q", k.key, k.parent)
	}
}

// goOn does with an active snapshot what its client may do.
func (h *layerHistory) goOn(k *kept) {
	n := h.random.Intn(100)
	switch {
	case !k.changed && k.unpacks && n < 70:
		h.apply(k)
	case k.ours && k.unpacks && n < 12: // not where a client has written: see NOTE in docs/ARCHITECTURE.md
		h.apply(k)
	case !k.unpacks && n < 10:
		h.apply(k)
	case !k.changed && n < 85, !k.unpacks && n < 40: // nor after an Apply
		h.write(k)
	case n < 92:
		h.commit(k)
	default:
		h.remove(k)
	}
}

// apply unpacks a layer, sometimes one that ends in an entry that is refused.
func (h *layerHistory) apply(k *kept) {
	l := k.chain.Next(h.random.Intn(8) == 0)
	if l.Packing.Kind >= layer.GzipCut { // how much is unpacked of such depends on threads
		l.Packing.Kind = layer.Plain
	}
	var many []*layer.Entry
	if k.parent == "" && !k.changed && h.random.Intn(4) == 0 { // enough for spares, and for folders of more than a block
		many = hundreds(spareFiles)
	}
	if h.random.Intn(10) == 0 {
		l.Entries = append(l.Entries, &layer.Entry{Name: "a/link", Type: layer.HardLink, Link: "no such file"})
	}
	history.Past()
	began, before := time.Now().Add(-10*time.Millisecond), k.trees[1]
	k.changed, k.ours = true, true
	all := *l
	all.Entries = append(many, l.Entries...)
	if h.both(h.t, func(_ int, c *comparer) error {
		_, err := c.apply(l.Media, l.Packing.Pack(all.Archive(false)), k.key)
		return err
	}, "Apply to %q of %d files and\n%v", k.key, len(many), l) == nil {
		k.applied++
	} else {
		k.applied += 2 // which is no layer either
	}
	k.trees = h.scan(h.t, k.dirs)
	var err error
	k.touched, err = touched(k.dirs[1], before, k.trees[1], began)
	must(h.t, err)
}

// write changes a snapshot through its mount.
func (h *layerHistory) write(k *kept) {
	seed, steps := h.random.Int63(), 1+h.random.Intn(15)
	h.said = append(h.said, fmt.Sprintf("%d changes to %q", steps, k.key))
	history.Past()
	k.changed = true
	k.applied += 2
	for _, dir := range k.dirs {
		changes := history.New(h.t, seed, dir)
		changes.Xattrs, changes.OfFolders = seed%2 == 0, true
		changes.Run(steps)
	}
	k.trees = h.scan(h.t, k.dirs)
}

func (h *layerHistory) commit(k *kept) {
	name := h.fresh("committed")
	must(h.t, h.both(h.t, func(_ int, c *comparer) error { return c.s.Commit(name, k.key) }, "Commit %q as %q", k.key, name))
	delete(h.all, k.key)
	k.key, k.kind = name, snapshotsapi.KindCommitted
	h.all[name] = k
	h.usage(k)
}

// usage must be the same. That of a layer is exact; what clients write takes the space that the volume sees fit.
func (h *layerHistory) usage(k *kept) {
	var used [2][2]int64
	must(h.t, h.both(h.t, func(i int, c *comparer) (err error) {
		used[i][0], used[i][1], err = c.s.Usage(k.key)
		return err
	}, "Usage of %q", k.key))
	size, inodes := used[1][0]-used[0][0], used[1][1]-used[0][1]
	if k.written() && (size < -slackBytes || size > slackBytes || inodes != 0) {
		h.t.Fatalf("the usage of %q is %v; without layers it is %v", k.key, used[0], used[1])
	}
	if k.applied == 1 && (size < -slackBytes || size > k.touched[0]+slackBytes || inodes < 0 || inodes > k.touched[1]) {
		h.t.Fatalf("the usage of %q is %v; without layers it is %v, of which %v may be no change", k.key, used[0], used[1], k.touched)
	}
}

// touched are the bytes and files that are as they were, but for the number of names that they have or had meanwhile: without
// layers they count, because the time of their last change tells of that.
func touched(dir string, before, now layer.Tree, since time.Time) (files [2]int64, err error) {
	seen := map[uint64]bool{}
	for path, node := range now {
		old := before[path]
		if old == nil || node.Links == 0 || len((layer.Comparison{}).Compare(layer.Tree{path: lonely(node)}, layer.Tree{path: lonely(old)})) > 0 {
			continue
		}
		var st unix.Stat_t
		if err := unix.Lstat(dir+"/"+path, &st); err != nil {
			return files, err
		}
		if time.Unix(st.Ctim.Unix()).After(since) && !seen[st.Ino] {
			seen[st.Ino] = true
			files[0] += st.Blocks * 512
			files[1]++
		}
	}
	return files, nil
}

func lonely(node *layer.Node) *layer.Node {
	alone := *node
	alone.Links, alone.First = 1, ""
	return &alone
}

// look opens a view, which stays.
func (h *layerHistory) look() {
	parent := h.some(isCommitted)
	if parent == nil {
		return
	}
	k := &kept{key: h.fresh("view"), parent: parent.key, kind: snapshotsapi.KindView}
	must(h.t, h.both(h.t, func(i int, c *comparer) (err error) {
		k.dirs[i], err = c.s.View(k.key, k.parent)
		return err
	}, "View %q of %q", k.key, k.parent))
	k.trees = h.scan(h.t, k.dirs)
	must(h.t, sameTree(k.dirs[0], parent.trees[0]))
	parent.used = true
	h.all[k.key] = k
}

// remove removes what can be removed; a committed snapshot is looked at before, half of the time.
func (h *layerHistory) remove(k *kept) {
	if k == nil {
		return
	}
	if h.isLeaf(k) && h.random.Intn(2) == 0 {
		h.check(k)
	}
	err := h.both(h.t, func(_ int, c *comparer) error { return c.s.Remove(k.key) }, "Remove %q", k.key)
	if h.children(k.key) == 0 {
		must(h.t, err)
		delete(h.all, k.key)
	} else if err == nil {
		h.t.Fatalf("%q is removed, and has children", k.key)
	}
}

// check looks at a committed snapshot, which must be as it was at its Commit.
func (h *layerHistory) check(k *kept) {
	if k == nil {
		return
	}
	k.used = true
	must(h.t, h.both(h.t, func(i int, c *comparer) error { return unchanged(c.s, k.key, k.trees[i]) }, "check %q", k.key))
	h.usage(k)
}

// compare makes a layer of two snapshots.
func (h *layerHistory) compare() {
	left, right := h.some(isCommitted), h.some(isCommitted)
	if left == nil {
		return
	}
	if container := h.some(isActive); container != nil && h.random.Intn(2) == 0 {
		left, right = h.all[container.parent], container
	}
	keys := [2]string{}
	for i, k := range []*kept{left, right} {
		if k == nil || isActive(k) {
			if k != nil {
				keys[i] = k.key
			}
			continue
		}
		key := h.fresh("compared")
		k.used = true
		must(h.t, h.both(h.t, func(_ int, c *comparer) error {
			_, err := c.s.View(key, k.key)
			return err
		}, "View %q of %q", key, k.key))
		keys[i] = key
	}
	var entries [2]string
	_ = h.both(h.t, func(i int, c *comparer) error { // may be refused: a time of 1969
		ctx, cancel := harness.CallContext()
		defer cancel()
		d, err := c.compareIn(inNamespace(ctx, namespaceOfTests), c.between(h.t, keys[0], keys[1], ociLayer))
		if err == nil {
			entries[i] = timeless(h.t, c.made(h.t, namespaceOfTests, d, nil))
		}
		return err
	}, "Diff from %q to %q", keys[0], keys[1])
	if entries[0] != entries[1] {
		h.t.Fatalf("the difference between %q and %q is\n%s\nwithout layers it is\n%s", keys[0], keys[1], entries[0], entries[1])
	}
	for i, k := range []*kept{left, right} {
		if k != nil && isCommitted(k) {
			must(h.t, h.both(h.t, func(_ int, c *comparer) error { return c.s.Remove(keys[i]) }, "Remove %q", keys[i]))
		}
	}
}

// timeless lists the entries of an archive without their times.
func timeless(t *testing.T, stream []byte) string {
	t.Helper()
	var list strings.Builder
	for r := tar.NewReader(bytes.NewReader(stream)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return list.String()
		}
		must(t, err)
		fmt.Fprintf(&list, "%q %c mode %o owner %d:%d %q size %d device %d,%d\n", h.Name, h.Typeflag, h.Mode, h.Uid, h.Gid, h.Linkname,
			h.Size, h.Devmajor, h.Devminor)
	}
}

// nonsense is refused.
func (h *layerHistory) nonsense() {
	some := h.some(func(*kept) bool { return true })
	if some == nil {
		return
	}
	calls := map[string]func(s *harness.Snapshots) error{
		"Prepare of a taken key":    prepare(some.key, ""),
		"Prepare on nothing":        prepare("new", "nothing"),
		"View of nothing":           view("new", "nothing"),
		"Commit of nothing":         commit("new", "nothing"),
		"Remove of nothing":         remove("nothing"),
		"Commit under a taken name": commit(some.key, some.key),
	}
	if !isCommitted(some) {
		calls["Prepare on what is not committed"] = prepare("new", some.key)
	}
	for what, call := range calls {
		if h.both(h.t, func(_ int, c *comparer) error { return call(c.s) }, "%s, %q", what, some.key) == nil {
			h.t.Fatalf("%s works", what)
		}
	}
}

// end looks at all that there is, in any order, and removes it: nothing is left.
func (h *layerHistory) end() {
	if h.random.Intn(2) == 0 {
		h.said = append(h.said, "restart")
		h.restart(h.t)
	}
	var keys []string
	for key := range h.all {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	h.random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for _, key := range keys {
		if isCommitted(h.all[key]) {
			h.check(h.all[key])
		}
	}
	for len(h.all) > 0 {
		h.remove(h.some(func(k *kept) bool { return h.children(k.key) == 0 }))
	}
	for _, side := range h.sides {
		awaitNothing(h.t, side.d)
	}
}
