// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"clonefs/tests/gotool/layer"
	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/containerd/api/types"
)

const layerType = "application/vnd.oci.image.layer.v1.tar"

// layerRows: big layers in, small ones out.
type layerRows struct {
	*bench
	full, off, peer *stock // clonefs that flushes what it unpacks, and that does not; overlayfs with walking
	tree            string // what the layer is made of
	bytes           int64
	files           int
	plain           int64 // size of the archive
}

func (b *bench) diffRows() error {
	r := &layerRows{bench: b}
	var err error
	if r.full, err = b.stockOurs("clonefs-full", "full"); err != nil {
		return err
	}
	defer r.full.stop()
	if r.off, err = b.stockOurs("clonefs-off", "off"); err != nil {
		return err
	}
	defer r.off.stop()
	if r.peer, err = b.stockPeer("overlay", "overlayfs"); err != nil {
		return err
	}
	defer r.peer.stop()
	r.tree = filepath.Join(b.dir, "tree")
	progress("a layer of %d files from /usr", b.files)
	if err := r.makeTree(); err != nil {
		return err
	}
	return b.runParts([]part{
		{"Apply of a gzip layer", func() error { return r.apply("gzip", 0.40) }},
		{"Apply of a zstd layer", func() error { return r.apply("zstd", 0.50) }},
		{"Diff of a container", r.compare},
	})
}

func (r *layerRows) makeTree() (err error) {
	r.files = r.bench.files
	r.bytes, err = copyTypical(r.tree, r.files)
	return err
}

// pack makes the layer as a file beside the stores.
func (r *layerRows) pack(compression string) (file string, err error) {
	file = filepath.Join(r.dir, "layer."+compression)
	r.plain, err = packTree(r.tree, file, compression)
	return file, err
}

// way is one of those that unpack.
type way struct {
	name   string
	s      *stock // nil: igzip and tar, in a pipe
	layer  *types.Descriptor
	sync   bool // the clock stops when all is on disk
	took   []time.Duration
	cpu    []time.Duration // of the worker
	memory memory
}

// apply lets all unpack the same layer, a new snapshot each time. "Equal durability": once all is on disk when the clock
// stops, by sync -f of the volume, on all sides; once nobody flushes anything.
func (r *layerRows) apply(compression string, limit float64) error {
	progress("Apply of a %s layer: packing", compression)
	file, err := r.pack(compression)
	if err != nil {
		return err
	}
	layers := map[*stock]*types.Descriptor{}
	for _, s := range []*stock{r.full, r.off, r.peer} {
		if layers[s], err = s.put(file, layerType+"+"+compression); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	ways := []*way{
		{name: "clonefs, flushed", s: r.full, layer: layers[r.full], sync: true},
		{name: "overlayfs, flushed", s: r.peer, layer: layers[r.peer], sync: true},
		{name: "clonefs", s: r.off, layer: layers[r.off]},
		{name: "overlayfs", s: r.peer, layer: layers[r.peer]},
	}
	if compression == "gzip" {
		ways = append(ways, &way{name: "igzip and tar, flushed", sync: true}, &way{name: "igzip and tar"})
	}
	for round := 0; round < r.rounds; round++ {
		for turn := range ways {
			w := ways[(round+turn)%len(ways)]
			if err := r.once(w, file, round); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			progress("Apply of a %s layer, round %d: %s %s", compression, round+1, w.name, duration(w.took[len(w.took)-1]))
		}
	}
	r.addApply(compression, ways, limit)
	return nil
}

func (r *layerRows) addApply(compression string, ways []*way, limit float64) {
	what := fmt.Sprintf("Apply of a %s layer of %d files, %.1f GB; overlayfs and walking", compression, r.files, float64(r.bytes)/1e9)
	for i, text := range []string{what + ", sync -f", "the same, nobody flushes"} {
		ours, peer := median(ways[2*i].took), median(ways[2*i+1].took)
		bar := atMost(limit, "x")
		r.table.add(text, duration(ours), duration(peer), float64(ours)/float64(peer), &bar)
	}
	for i := 4; i < len(ways); i++ {
		ours, peer := median(ways[2*(i-4)].took), median(ways[i].took)
		bar := atLeast(0.85, "x")
		size := int(r.plain)
		text := map[bool]string{true: "the same throughput, sync -f; igzip -dc | tar x", false: "the same, nobody flushes"}[ways[i].sync]
		r.table.add(text, mibPerSecond(throughput(size, ours)), mibPerSecond(throughput(size, peer)), float64(peer)/float64(ours), &bar)
	}
	r.table.compareCPU([][]time.Duration{ways[2].cpu, ways[3].cpu})
	peak := ways[0].memory
	r.table.addAbsolute("peak anonymous memory of clonefsd meanwhile", peak.anon, peak.String(), ways[1].memory.String(), atMost(64, " MiB"))
}

// once unpacks the layer to a new place and removes it.
func (r *layerRows) once(w *way, file string, round int) error {
	if w.s == nil {
		return r.pipe(w, file)
	}
	key := fmt.Sprintf("%s %d", w.name, round)
	mounts, err := w.s.prepare(key, "")
	if err != nil {
		return err
	}
	if err := w.s.settle(); err != nil {
		return err
	}
	worker := &side{daemon: w.s.worker}
	var answer *types.Descriptor
	var used usage
	peak, err := worker.watchMemory(func() (err error) {
		used, err = worker.measure(func() (err error) {
			if answer, err = w.s.apply(w.layer, mounts); err == nil && w.sync {
				err = r.flush()
			}
			return err
		})
		return err
	})
	if err != nil {
		return err
	}
	w.took, w.cpu = append(w.took, used.took), append(w.cpu, used.daemon)
	if answer.Size_ != r.plain {
		return fmt.Errorf("the answer tells of %d bytes, the archive has %d", answer.Size_, r.plain)
	}
	if peak.anon > w.memory.anon {
		w.memory = peak
	}
	if round == 0 {
		if err := r.verify(mounts); err != nil {
			return err
		}
	}
	if err := w.s.removeAll(key, mounts); err != nil {
		return err
	}
	return w.s.settle()
}

// verify compares what was unpacked with what was packed.
func (r *layerRows) verify(mounts []*types.Mount) error {
	dir, err := folder(mounts)
	if err != nil {
		return err
	}
	got, err := layer.Scan(dir)
	if err != nil {
		return err
	}
	want, err := layer.Scan(r.tree)
	if err != nil {
		return err
	}
	if problems := (layer.Comparison{IgnoreRoot: true}).Compare(got, want); len(problems) > 0 {
		return fmt.Errorf("what was unpacked differs: %s", strings.Join(problems, "; "))
	}
	return nil
}

func (r *layerRows) pipe(w *way, file string) error {
	target := filepath.Join(r.dir, "piped")
	if err := os.Mkdir(target, 0o755); err != nil {
		return err
	}
	if err := r.flush(); err != nil {
		return err
	}
	began := time.Now()
	output, err := exec.Command("bash", "-c", fmt.Sprintf("set -o pipefail; igzip -dc %q | tar -x --numeric-owner -p -C %q", file, target)).CombinedOutput()
	if err == nil && w.sync {
		err = r.flush()
	}
	w.took = append(w.took, time.Since(began))
	if err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	return r.flush()
}

const changedFiles = 10

var filesRead = regexp.MustCompile(`compared snapshot .* with .*: \d+ entries, (\d+) of \d+ files read`)

// compare lets both make the layer of a container that has changed ten files of the tree. The times of all files have
// nanoseconds that are not zero, else walking would have to read all of them. The Views are there before.
func (r *layerRows) compare() error {
	if r.containerd == "" {
		progress("skip: a Diff goes into a containerd of 1.7.4 or later, and there is none: make check-clients gets one")
		return nil
	}
	native, err := r.stockPeer("native", "native")
	if err != nil {
		return err
	}
	defer native.stop()
	sides := []*stock{r.full, native}
	took := make([][]time.Duration, 2)
	var left, right [2][]*types.Mount
	for i, s := range sides {
		progress("Diff of a container: the tree in %s", s.name)
		if left[i], right[i], err = r.container(s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	read := "?"
	for round := 0; round < r.rounds; round++ {
		for turn := range sides {
			i := (round + turn) % len(sides)
			// Another change each time, so that there is a new blob to be written.
			if err := r.change(right[i], round); err != nil {
				return err
			}
			if err := sides[i].settle(); err != nil {
				return err
			}
			began := time.Now()
			made, err := sides[i].compare(left[i], right[i])
			if err != nil {
				return fmt.Errorf("%s: %w", sides[i].name, err)
			}
			took[i] = append(took[i], time.Since(began))
			if err := r.contains(sides[i], made); err != nil {
				return fmt.Errorf("%s: %w", sides[i].name, err)
			}
			progress("Diff of a container, round %d: %s %s", round+1, sides[i].name, duration(took[i][round]))
		}
		if found := filesRead.FindAllStringSubmatch(r.full.worker.Log(), -1); len(found) > 0 {
			read = found[len(found)-1][1]
		}
	}
	ours, peer := median(took[0]), median(took[1])
	bar := atMost(0.15, "x")
	r.table.add(fmt.Sprintf("Diff of %d changed files of %d; native and walking", changedFiles, r.files), duration(ours), duration(peer),
		float64(ours)/float64(peer), &bar)
	count := 1e9
	_, _ = fmt.Sscan(read, &count) // "?" is a miss
	r.table.addAbsolute("files read for that", count, read, "", atMost(20, ""))
	return nil
}

// container commits the tree, and makes a View and an active snapshot on it.
func (r *layerRows) container(s *stock) (left, right []*types.Mount, err error) {
	mounts, err := s.prepare("making the base", "")
	if err != nil {
		return nil, nil, err
	}
	dir, err := folder(mounts)
	if err == nil {
		err = exec.Command("cp", "-a", r.tree+"/.", dir).Run()
	}
	if err == nil {
		err = s.commit("base", "making the base")
	}
	if err == nil {
		left, err = s.view("left", "base")
	}
	if err != nil {
		return nil, nil, err
	}
	time.Sleep(50 * time.Millisecond)
	right, err = s.prepare("right", "base")
	return left, right, err
}

// change rewrites ten files of the tree, the same ones each time.
func (r *layerRows) change(right []*types.Mount, round int) error {
	dir, err := folder(right)
	if err != nil {
		return err
	}
	n := 0
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		if n++; n%(r.files/changedFiles) != 1 {
			return nil
		}
		if err := os.WriteFile(path, []byte(fmt.Sprintf("changed in round %d\n", round)), 0o644); err != nil {
			return err
		}
		at := time.Now()
		if at.Nanosecond() == 0 {
			at = at.Add(1)
		}
		return os.Chtimes(path, at, at)
	})
	return err
}

// contains reads the layer and counts the files in it.
func (r *layerRows) contains(s *stock, made *types.Descriptor) error {
	ctx, cancel := layerContext()
	defer cancel()
	stream, err := contentapi.NewContentClient(s.conn).Read(ctx, &contentapi.ReadContentRequest{Digest: made.Digest})
	if err != nil {
		return err
	}
	var blob []byte
	for {
		piece, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		blob = append(blob, piece.Data...)
	}
	files, err := layer.CountFiles(blob)
	if err == nil && files != changedFiles {
		err = fmt.Errorf("the layer has %d files", files)
	}
	return err
}
