// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"clonefs/tests/gotool/harness"
)

// What a power cut leaves: what is on the disk at one instant, without what the file system has in memory only.
// The disk is a file, of which a clone is taken while blobs are written. (What the file system has given to the
// disk and not flushed is in the clone, too; only a real disk loses that.)

const (
	powerCuts    = 4
	powerWriters = 8
	powerHeld    = 24 << 20 // bytes that a writer leaves in the store: they must fit, however fast it is
)

// promises are what a store has acknowledged.
type promises struct {
	lock    sync.Mutex
	made    map[digest.Digest]int // with their sizes
	deleted map[digest.Digest]bool
	labels  map[digest.Digest]string
	tell    func(format string, args ...interface{}) // of each that is made or withdrawn; may be nil
}

func newPromises() *promises {
	return &promises{made: map[digest.Digest]int{}, deleted: map[digest.Digest]bool{}, labels: map[digest.Digest]string{}}
}

func (p *promises) copy() *promises {
	p.lock.Lock()
	defer p.lock.Unlock()
	c := newPromises()
	for dgst, size := range p.made {
		c.made[dgst] = size
	}
	for dgst := range p.deleted {
		c.deleted[dgst] = true
	}
	for dgst, label := range p.labels {
		c.labels[dgst] = label
	}
	return c
}

// leaveOut drops what was withdrawn since.
func (p *promises) leaveOut(now *promises) {
	now.lock.Lock()
	defer now.lock.Unlock()
	for dgst := range p.made {
		if _, there := now.made[dgst]; !there {
			delete(p.made, dgst)
		}
	}
}

// keep notes what a call has promised.
func (p *promises) keep(f func(), format string, args ...interface{}) {
	p.lock.Lock()
	defer p.lock.Unlock()
	f()
	if p.tell != nil {
		p.tell(format, args...)
	}
}

func (p *promises) promise(dgst digest.Digest, size int) {
	p.keep(func() { p.made[dgst] = size }, "made %s %d", dgst, size)
}
func (p *promises) withdraw(dgst digest.Digest) {
	p.keep(func() { delete(p.made, dgst) }, "withdrawn %s", dgst)
}
func (p *promises) promiseNone(dgst digest.Digest) {
	p.keep(func() { p.deleted[dgst] = true }, "deleted %s", dgst)
}
func (p *promises) promiseLabel(dgst digest.Digest, label string) {
	p.keep(func() { p.labels[dgst] = label }, "label %s %s", dgst, label)
}

func (p *promises) size(dgst digest.Digest) int {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.made[dgst]
}

// work writes, labels and deletes blobs until it is told to stop. Before a call that takes something back, the
// promise is withdrawn.
func (p *promises) work(c contents, seed int64, stop <-chan bool) error {
	random := rand.New(rand.NewSource(seed))
	var held []digest.Digest
	bytes := 0
	remove := func(dgst digest.Digest) error {
		p.withdraw(dgst)
		err := c.delete(dgst)
		if err == nil {
			p.promiseNone(dgst)
		}
		return err
	}
	for n := 0; ; n++ {
		select {
		case <-stop:
			return nil
		default:
		}
		size := random.Intn(100000)
		if n%20 == 10 {
			size = 9<<20 + random.Intn(100000) // more than is pushed at a time
		}
		data := append([]byte(fmt.Sprintf("%d %d\n", seed, n)), randomBytes(random.Int63(), size)...)
		dgst, err := c.put(numbered("r", int(seed)), data)
		if err != nil {
			return err
		}
		p.promise(dgst, len(data))
		switch random.Intn(4) {
		case 0:
			if err := remove(dgst); err != nil {
				return err
			}
			continue
		case 1:
			label := numbered("l", n)
			if _, err := c.update(contentapi.Info{Digest: dgst, Labels: harness.Labels("of", label)}); err != nil {
				return err
			}
			p.promiseLabel(dgst, label)
		}
		held = append(held, dgst)
		for bytes += len(data); bytes > powerHeld; held = held[1:] {
			bytes -= p.size(held[0])
			if err := remove(held[0]); err != nil {
				return err
			}
		}
	}
}

// check compares a store with what it has promised.
func (p *promises) check(t *testing.T, c contents) {
	t.Helper()
	listed := c.list(t)
	for dgst, size := range p.made {
		if _, there := listed[dgst]; !there {
			t.Errorf("blob %s is not listed", dgst)
		} else if err := c.intact(dgst, size); err != nil {
			t.Error(err)
		}
	}
	for dgst := range p.deleted {
		if _, there := listed[dgst]; there {
			t.Errorf("the deleted blob %s is back", dgst)
		}
	}
	for dgst, label := range p.labels {
		if _, there := p.made[dgst]; there {
			equal(t, "label", listed[dgst].Labels["of"], label)
		}
	}
	for dgst, info := range listed { // whatever was not acknowledged is whole or not there
		if err := c.intact(dgst, int(info.Size_)); err != nil {
			t.Error(err)
		}
	}
}

// cloneFile copies a file as it is at one instant; skips the test where there are no clones.
func cloneFile(t *testing.T, from, to string) {
	t.Helper()
	source, err := os.Open(from)
	must(t, err)
	defer source.Close()
	target, err := os.Create(to)
	must(t, err)
	defer target.Close()
	if err := unix.IoctlFileClone(int(target.Fd()), int(source.Fd())); err != nil {
		t.Skipf("skip: no clones below TMPDIR: %v", err)
	}
}

func TestContentAPowerCutKeepsWhatWasAcknowledged(t *testing.T) {
	for _, fs := range []string{"xfs", "btrfs", "ext4"} {
		fs := fs
		t.Run(fs, func(t *testing.T) {
			image := harness.VolumeImage(t, fs, 1024)
			dir := t.TempDir()
			folder := filepath.Join(dir, "volume")
			unmount := harness.Mount(t, fs, image, folder)
			cuts := cutPower(t, folder, image, dir)
			unmount() // Btrfs would take a copy for the same volume
			for i, promised := range cuts {
				t.Logf("cut %d: %d blobs, %d deleted, %d labels", i, len(promised.made), len(promised.deleted), len(promised.labels))
				folder := filepath.Join(dir, numbered("cut", i))
				unmount := harness.Mount(t, fs, folder+".img", folder)
				d, err := harness.Launch(harness.Options{Root: filepath.Join(folder, "root")})
				if err == nil {
					c := contentsOn(d.Conn)
					promised.check(t, c)
					awaitContentFiles(t, d, c)
					d.Kill()
				}
				unmount()
				must(t, err)
				must(t, os.Remove(folder+".img"))
			}
		})
	}
}

// cutPower works on a store in folder and clones its image to dir/cut-N.img meanwhile; what was acknowledged
// before each clone.
func cutPower(t *testing.T, folder, image, dir string) []*promises {
	t.Helper()
	d, err := harness.Launch(harness.Options{Root: filepath.Join(folder, "root")})
	must(t, err)
	defer d.Kill()
	promised, stop := newPromises(), make(chan bool)
	var group sync.WaitGroup
	for i := 0; i < powerWriters; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			if err := promised.work(contentsOn(d.Conn), int64(i), stop); err != nil {
				t.Error(err)
			}
		}(i)
	}
	var cuts []*promises
	for i := 0; i < powerCuts; i++ {
		time.Sleep(harness.Bound(300*time.Millisecond) + time.Duration(rand.Intn(200))*time.Millisecond)
		cut := promised.copy()
		cloneFile(t, image, filepath.Join(dir, numbered("cut", i)+".img"))
		cut.leaveOut(promised)
		cuts = append(cuts, cut)
	}
	close(stop)
	group.Wait()
	return cuts
}
