// SPDX-License-Identifier: Apache-2.0

//go:build machine

package daemon

import (
	"bufio"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/layer"
)

// A power cut of a whole machine, which somebody outside makes (scripts/check-apfs): TestMachineWork runs until then,
// and what it tells has left the machine before it goes on. In the machine's next life TestMachineCheck is given what
// was told in all lives before. The store is CLONEFS_MACHINE_ROOT; what is done depends on CLONEFS_TEST_SEED and
// CLONEFS_MACHINE_WORK: "blobs", "bases" (snapshots without parents), "all" (blobs, and chains of snapshots). Each clone
// takes all that is in memory to disk on APFS under Linux; hence work without any.
const (
	machineTells = "CLONEFS_MACHINE_TELLS" // a terminal line
	machineTold  = "CLONEFS_MACHINE_TOLD"  // a file
	machineWork  = "CLONEFS_MACHINE_WORK"
)

func machineDaemon(t *testing.T) *harness.Daemon {
	file := filepath.Join(t.TempDir(), "clonefsd.toml")
	must(t, os.WriteFile(file, []byte("[snapshots]\nflush_delay_seconds = 1\n"), 0o600))
	return harness.Start(t, os.Getenv("CLONEFS_MACHINE_ROOT"), "--config", file)
}

// seededFiles are the same for the same seed.
func seededFiles(seed int64) harness.Files {
	random, files := rand.New(rand.NewSource(seed)), harness.Files{}
	for i := 0; i < 3+random.Intn(8); i++ {
		size := random.Intn(20000)
		if i == 2 {
			size = random.Intn(2 << 20)
		}
		files[fmt.Sprintf("of-%d/file-%d", seed, i)] = string(randomBytes(random.Int63(), size))
	}
	return files
}

// seededLayer is an archive that makes seededFiles.
func seededLayer(seed int64) []byte {
	entries := []*layer.Entry{{Name: fmt.Sprintf("of-%d", seed), Type: layer.Dir, Mode: 0o755}}
	for name, data := range seededFiles(seed) {
		entries = append(entries, &layer.Entry{Name: name, Type: layer.File, Mode: 0o644, Data: []byte(data)})
	}
	return (&layer.Layer{Entries: entries}).Archive(false)
}

// chain is a committed snapshot and the seeds of all that is in it.
type chain struct {
	name  string
	seeds []int64
	kind  string // "layers" were applied, and so are on disk; "files" may be marked as damaged
}

func (c chain) files() harness.Files {
	files := harness.Files{}
	for _, seed := range c.seeds {
		files = files.With(seededFiles(seed))
	}
	return files
}

func (c chain) String() string {
	words := []string{c.kind, c.name}
	for _, seed := range c.seeds {
		words = append(words, strconv.FormatInt(seed, 10))
	}
	return strings.Join(words, " ")
}

// extend makes the next snapshot of a chain.
func extend(u *unpacker, parent chain, seed int64) (chain, error) {
	next := chain{fmt.Sprintf("%s-%d", parent.kind, seed), append(append([]int64{}, parent.seeds...), seed), parent.kind}
	if parent.kind == "files" {
		return next, u.s.Layer(next.name, parent.name, seededFiles(seed))
	}
	// As unpackers name it: what they commit is known to be on disk since the Apply.
	key := fmt.Sprintf("default/%d/extract-%d-x sha256:%d", seed, seed, seed)
	_, err := u.s.Prepare(key, parent.name)
	if err == nil {
		_, err = u.apply(ociLayer, seededLayer(seed), key)
	}
	if err == nil {
		err = u.s.Commit(next.name, key)
	}
	return next, err
}

// makeChains makes chains of that many snapshots, one after the other, and removes each when the next one is done.
func makeChains(u *unpacker, kind string, length int, seed int64, tell func(string, ...interface{})) error {
	var old []chain
	for {
		now := []chain{{kind: kind}}
		for len(now) <= length {
			next, err := extend(u, now[len(now)-1], seed)
			if err != nil {
				return err
			}
			tell("%v", next)
			now = append(now, next)
			seed++
		}
		for i := len(old) - 1; i > 0; i-- {
			tell("leaving %s", old[i].name)
			if err := u.s.Remove(old[i].name); err != nil {
				return err
			}
			tell("left %s", old[i].name)
		}
		old = now
	}
}

func TestMachineWork(t *testing.T) {
	line, err := os.OpenFile(os.Getenv(machineTells), os.O_WRONLY|unix.O_NOCTTY, 0)
	must(t, err)
	var lock sync.Mutex
	tell := func(format string, args ...interface{}) {
		lock.Lock()
		defer lock.Unlock()
		_, err := fmt.Fprintf(line, format+"\n", args...)
		if err == nil {
			err = unix.EINTR // which Go's own signals cause, too
		}
		for err == unix.EINTR {
			err = unix.IoctlSetInt(int(line.Fd()), unix.TCSBRK, 1) // tcdrain
		}
		if err != nil {
			panic(err)
		}
	}
	seed := int64(harness.EnvInt("CLONEFS_TEST_SEED", 1)) * 1000000
	u := unpackerOf(machineDaemon(t))
	promised := newPromises()
	promised.tell = tell
	failed := make(chan error, 1)
	work, length := os.Getenv(machineWork), 4
	for i := int64(0); i < 3 && work != "bases"; i++ {
		go func(i int64) { failed <- promised.work(u.blobs, seed+i, nil) }(i)
	}
	if work == "bases" {
		length = 1
	}
	if work != "blobs" {
		go func() { failed <- makeChains(u, "layers", length, seed, tell) }()
		go func() { failed <- makeChains(u, "files", length, seed+500000, tell) }()
	}
	select {
	case err := <-failed:
		t.Errorf("before the power went: %v", err)
	case <-time.After(10 * time.Minute):
		t.Error("the power does not go")
	}
}

// told reads what was told: the blobs, snapshots that must be there, and names that must not.
func told(t *testing.T) (*promises, map[string]chain, map[string]bool) {
	promised, chains, left := newPromises(), map[string]chain{}, map[string]bool{}
	file, err := os.Open(os.Getenv(machineTold))
	must(t, err)
	defer file.Close()
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		words := append(strings.Fields(scanner.Text()), "", "", "")
		dgst, name := digest.Digest(words[1]), words[1]
		switch words[0] {
		case "made":
			size, err := strconv.Atoi(words[2])
			must(t, err)
			promised.promise(dgst, size)
		case "withdrawn":
			promised.withdraw(dgst)
		case "deleted":
			promised.promiseNone(dgst)
		case "label":
			promised.promiseLabel(dgst, words[2])
		case "layers", "files":
			c := chain{name: name, kind: words[0]}
			for _, word := range strings.Fields(scanner.Text())[2:] {
				seed, err := strconv.ParseInt(word, 10, 64)
				must(t, err)
				c.seeds = append(c.seeds, seed)
			}
			chains[name] = c
		case "leaving":
			delete(chains, name)
		case "left":
			left[name] = true
		default:
			t.Errorf("told %q", scanner.Text())
		}
	}
	return promised, chains, left
}

func TestMachineCheck(t *testing.T) {
	promised, chains, left := told(t)
	u := unpackerOf(machineDaemon(t))
	promised.check(t, u.blobs)
	intact, damaged := map[string]int{}, map[string]int{}
	listed := list(t, u.s)
	for name, c := range chains {
		if _, there := listed[name]; !there {
			t.Errorf("snapshot %s is not listed", name)
			continue
		}
		dir, err := u.s.Prepare("checking "+name, name)
		switch {
		case err != nil && c.kind == "files" && strings.Contains(err.Error(), "may be damaged"):
			damaged[c.kind]++
			continue
		case err != nil:
			t.Errorf("Prepare on %s: %v", name, err)
			continue
		}
		if err := harness.SameFiles(dir, c.files()); err != nil {
			t.Error(err)
		}
		intact[c.kind]++
		must(t, u.s.Remove("checking "+name))
	}
	for name := range left {
		if _, there := listed[name]; there {
			t.Errorf("the removed snapshot %s is back", name)
		}
	}
	t.Logf("%d blobs, %d of layers and %d of files intact, %d of files marked as damaged; nothing is back of %d blobs and %d snapshots",
		len(promised.made), intact["layers"], intact["files"], damaged["files"], len(promised.deleted), len(left))
	for name, info := range listed { // whatever nobody was told of can be removed
		if _, known := chains[name]; !known && info.Kind.String() != "COMMITTED" {
			must(t, u.s.Remove(name))
		}
	}
	must(t, u.d.AwaitDeletion(harness.Bound(30*time.Second)))
}
