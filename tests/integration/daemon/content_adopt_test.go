// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"clonefs/tests/gotool/harness"
)

// --adopt-content DIR: the content store of a containerd becomes ours.

// adoptBound is how long the command may take for what is here.
const adoptBound = 60 * time.Second

// builtin is a content store as containerd's own leaves it: blobs by digest.
func builtin(t *testing.T, dir string, blobs ...[]byte) []digest.Digest {
	t.Helper()
	var made []digest.Digest
	for i, data := range blobs {
		dgst := algorithms[i%len(algorithms)].FromBytes(data)
		if i < 2 {
			dgst = digest.FromBytes(data)
		}
		path := builtinFile(dir, dgst)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, data, 0o444))
		made = append(made, dgst)
	}
	return made
}

func builtinFile(dir string, dgst digest.Digest) string {
	return filepath.Join(dir, "blobs", dgst.Algorithm().String(), dgst.Encoded())
}

func adopt(dir, root string) (output string, code int) {
	return harness.Run(harness.Bound(adoptBound), "--adopt-content", dir, "--root", root)
}

// adopts is an adopt that must end with the status and say all the words.
func adopts(t *testing.T, dir, root string, status int, words ...string) string {
	t.Helper()
	output, code := adopt(dir, root)
	if (code == 0) != (status == 0) || code < 0 || code > 125 {
		t.Errorf("the command ended with %d: %s", code, output)
	}
	for _, word := range words {
		if !strings.Contains(output, word) {
			t.Errorf("the command says %q, without %q", output, word)
		}
	}
	return output
}

// snapshotOf is what a folder has: names, modes, and content.
func snapshotOf(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	must(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		line := fmt.Sprint(path, info.Mode(), info.ModTime())
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += digest.FromBytes(data).String()
		}
		all = append(all, line)
		return nil
	}))
	return strings.Join(all, "\n")
}

func adoptable() [][]byte {
	return [][]byte{[]byte("small"), randomBytes(1, 5<<20+7), []byte("by sha512"), {}, randomBytes(2, 4096), []byte("sha512 again")}
}

func TestContentAdoptTakesOverWhatContainerdHas(t *testing.T) {
	elsewhere := t.TempDir()
	if dir, err := os.MkdirTemp("/dev/shm", "adopt"); err == nil {
		elsewhere = dir
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
	}
	for what, dir := range map[string]string{"on the same volume": filepath.Join(t.TempDir(), "content"), "on another volume": elsewhere} {
		t.Run(what, func(t *testing.T) {
			root, blobs := harness.NewRoot(t), adoptable()
			made := builtin(t, dir, blobs...)
			must(t, os.MkdirAll(filepath.Join(dir, "ingest", "0123"), 0o755))
			must(t, os.WriteFile(filepath.Join(dir, "ingest", "0123", "data"), []byte("half"), 0o644))
			before := snapshotOf(t, dir)

			output := adopts(t, dir, root, 0, fmt.Sprint(len(blobs)))
			t.Logf("the command says:\n%s", output)
			d := harness.Start(t, root)
			c := contentsOn(d.Conn)
			for i, dgst := range made {
				c.reads(t, dgst, blobs[i])
				info, err := c.info(dgst)
				must(t, err)
				equal(t, "size", info.Size_, int64(len(blobs[i])))
				if info.CreatedAt.IsZero() || time.Since(info.CreatedAt) > time.Hour {
					t.Errorf("created_at is %v", info.CreatedAt)
				}
			}
			equal(t, "number of blobs", len(c.list(t)), len(blobs))
			equal(t, "refs", c.refs(t), "[]")
			awaitContentFiles(t, d, c)

			// Ours are independent of theirs: neither Delete reaches the other.
			must(t, c.delete(made[0]))
			must(t, os.Remove(builtinFile(dir, made[1])))
			c.missing(t, made[0])
			c.reads(t, made[1], blobs[1])
			builtin(t, dir, blobs[:2]...)
			harness.StopClean(t, d)

			// Again: what was deleted comes back, the rest is there already.
			adopts(t, dir, root, 0)
			adopts(t, dir, root, 0)
			d = harness.Start(t, root)
			c = contentsOn(d.Conn)
			for i, dgst := range made {
				c.reads(t, dgst, blobs[i])
			}
			equal(t, "number of blobs", len(c.list(t)), len(blobs))
			awaitContentFiles(t, d, c)
			for _, dgst := range made {
				must(t, c.delete(dgst))
			}
			awaitContentFiles(t, d, c)
			harness.StopClean(t, d)
			for i, dgst := range made {
				data, err := os.ReadFile(builtinFile(dir, dgst))
				must(t, err)
				equal(t, "the digest of theirs", dgst.Algorithm().FromBytes(data), dgst)
				_ = blobs[i]
			}
			must(t, os.RemoveAll(filepath.Join(dir, "ingest", "none")))
			if strings.Count(snapshotOf(t, dir), "\n") != strings.Count(before, "\n") {
				t.Error("the folder that was adopted has other files now")
			}
		})
	}
}

func TestContentAdoptLeavesItsSourceAlone(t *testing.T) {
	dir, root := filepath.Join(t.TempDir(), "content"), harness.NewRoot(t)
	builtin(t, dir, adoptable()...)
	before := snapshotOf(t, dir)
	adopts(t, dir, root, 0)
	equal(t, "the folder after it was adopted", snapshotOf(t, dir), before)
}

func TestContentAdoptIntoAStoreThatHasBlobs(t *testing.T) {
	dir, blobs := filepath.Join(t.TempDir(), "content"), adoptable()
	made := builtin(t, dir, blobs...)
	d, c := startContent(t)
	c.blob(t, blobs[0], "label", "kept")
	mine := c.blob(t, []byte("mine"))
	c.partial(t, "half", []byte("half"))
	before, err := c.info(made[0])
	must(t, err)
	harness.StopClean(t, d)
	adopts(t, dir, d.Root, 0)
	d = harness.Start(t, d.Root)
	c = contentsOn(d.Conn)
	after, err := c.info(made[0])
	must(t, err)
	equal(t, "Info of what was there before", fmt.Sprint(after), fmt.Sprint(before))
	c.reads(t, mine, []byte("mine"))
	c.keeps(t, "half", []byte("half"))
	for i, dgst := range made {
		c.reads(t, dgst, blobs[i])
	}
	equal(t, "number of blobs", len(c.list(t)), len(blobs)+1)
	awaitContentFiles(t, d, c)
}

// A file that is not what its name says is named, left, and makes the exit status; all others are adopted.
func TestContentAdoptNamesFilesThatDoNotMatch(t *testing.T) {
	dir, root, blobs := filepath.Join(t.TempDir(), "content"), harness.NewRoot(t), adoptable()
	made := builtin(t, dir, blobs...)
	var wrong []digest.Digest
	for i, alg := range algorithms {
		dgst := alg.FromString(numbered("not this", i))
		path := builtinFile(dir, dgst)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte("something else"), 0o444))
		wrong = append(wrong, dgst)
	}
	var words []string
	for _, dgst := range wrong {
		words = append(words, dgst.Encoded())
	}
	for round := 0; round < 2; round++ {
		output := adopts(t, dir, root, 1, words...)
		for _, dgst := range made {
			if round == 1 && strings.Contains(output, dgst.Encoded()) {
				t.Logf("%s is named, too", dgst) // allowed, if it is told apart
			}
		}
	}
	d := harness.Start(t, root)
	c := contentsOn(d.Conn)
	for i, dgst := range made {
		c.reads(t, dgst, blobs[i])
	}
	for _, dgst := range wrong {
		c.missing(t, dgst)
		if _, err := os.Stat(builtinFile(dir, dgst)); err != nil {
			t.Errorf("a file that does not match is not left: %v", err)
		}
	}
	awaitContentFiles(t, d, c)
}

// Whatever else is among them is skipped with a note and never followed.
func TestContentAdoptSkipsWhatIsNoBlob(t *testing.T) {
	harness.NeedRoot(t)
	dir, root, blobs := filepath.Join(t.TempDir(), "content"), harness.NewRoot(t), adoptable()
	made := builtin(t, dir, blobs...)
	sha256 := filepath.Join(dir, "blobs", "sha256")
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("secret"), 0o600))
	linked, folder, fifo, device := digest.FromString("secret"), digest.FromString("folder"), digest.FromString("fifo"), digest.FromString("device")
	must(t, os.Symlink(secret, builtinFile(dir, linked)))
	must(t, os.MkdirAll(filepath.Join(builtinFile(dir, folder), "inside"), 0o755))
	must(t, unix.Mkfifo(builtinFile(dir, fifo), 0o600))                                      // to open it would wait for ever
	must(t, unix.Mknod(builtinFile(dir, device), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5)))) // /dev/zero has no end
	for _, name := range []string{"README", ".hidden", strings.Repeat("0", 63), strings.Repeat("0", 65), strings.Repeat("G", 64),
		strings.ToUpper(made[0].Encoded()), made[0].Encoded() + ".tmp", "new\nline"} {
		must(t, os.WriteFile(filepath.Join(sha256, name), []byte("small"), 0o644))
	}
	must(t, os.MkdirAll(filepath.Join(dir, "blobs", "md5"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "blobs", "md5", "0123456789abcdef0123456789abcdef"), nil, 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "blobs", "a file"), nil, 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "metadata.db"), nil, 0o644))

	output, code := adopt(dir, root)
	if code < 0 || code > 125 {
		t.Fatalf("the command ended with %d: %s", code, output)
	}
	for _, word := range []string{linked.Encoded(), folder.Encoded(), fifo.Encoded(), device.Encoded(), "README", "md5"} {
		if !strings.Contains(output, word) {
			t.Errorf("%s is not noted in %s", word, output)
		}
	}
	equal(t, "the exit status; nothing that should be a blob is wrong", code, 0)
	d := harness.Start(t, root)
	c := contentsOn(d.Conn)
	for i, dgst := range made {
		c.reads(t, dgst, blobs[i])
	}
	equal(t, "number of blobs", len(c.list(t)), len(made))
	for _, dgst := range []digest.Digest{linked, folder, fifo, device} {
		c.missing(t, dgst)
	}
	awaitContentFiles(t, d, c)
}

// blobs/ or a folder in it may be a link; that is followed or refused, but nothing outside is changed.
func TestContentAdoptOfAFolderThatIsNoStore(t *testing.T) {
	root, empty := harness.NewRoot(t), t.TempDir()
	file := filepath.Join(empty, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	refusedAdoption := func(dir string, words ...string) {
		t.Helper()
		output, code := adopt(dir, root)
		if code <= 0 || code > 125 {
			t.Errorf("adoption of %q ended with %d, not with an error: %s", dir, code, output)
		}
		for _, word := range words {
			if !strings.Contains(output, word) {
				t.Errorf("adoption of %q says %q, without %q", dir, output, word)
			}
		}
	}
	refusedAdoption(filepath.Join(empty, "nothing"), "nothing")
	refusedAdoption(empty, "blobs")
	refusedAdoption(file, "file")
	refusedAdoption("")
	output, code := harness.Run(harness.Bound(adoptBound), "--adopt-content")
	if code <= 0 || !strings.Contains(output, "adopt-content") {
		t.Errorf("without a folder it ended with %d: %s", code, output)
	}
	if _, err := os.Stat(filepath.Join(root, "content", "blobs")); err == nil {
		if files, err := filesBelow(filepath.Join(root, "content")); err != nil || len(files) != 0 {
			t.Errorf("a refused adoption made %v, %v", files, err)
		}
	}
}

func TestContentAdoptRefusesWhileTheDaemonRuns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "content")
	made := builtin(t, dir, adoptable()...)
	d, c := startContent(t)
	adopts(t, dir, d.Root, 1, d.Root)
	c.missing(t, made[0])
	answers(t, d)
}

func TestContentAdoptOfAnEmptyStoreIsNoError(t *testing.T) {
	dir, root := t.TempDir(), harness.NewRoot(t)
	must(t, os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755))
	adopts(t, dir, root, 0, "0")
	d := harness.Start(t, root)
	equal(t, "number of blobs", len(contentsOn(d.Conn).list(t)), 0)
}

// Killed at any moment, what was adopted is whole, and the next run does the rest.
func TestContentAdoptKilledAndRepeated(t *testing.T) {
	dir, root := filepath.Join(t.TempDir(), "content"), harness.NewRoot(t)
	var blobs [][]byte
	for i := 0; i < 300; i++ {
		blobs = append(blobs, randomBytes(int64(i), 1000+i*1000))
	}
	made := builtin(t, dir, blobs...)
	for i := 1; i <= 8; i++ {
		_, code := harness.Run(time.Duration(i)*25*time.Millisecond, "--adopt-content", dir, "--root", root)
		if code >= 0 {
			t.Logf("run %d was faster than its kill", i)
		}
		d := harness.Start(t, root)
		c := contentsOn(d.Conn)
		listed := c.list(t)
		for dgst, info := range listed {
			must(t, c.intact(dgst, int(info.Size_)))
		}
		awaitContentFiles(t, d, c)
		t.Logf("after kill %d there are %d of %d", i, len(listed), len(made))
		harness.StopClean(t, d)
	}
	adopts(t, dir, root, 0)
	d := harness.Start(t, root)
	c := contentsOn(d.Conn)
	equal(t, "number of blobs", len(c.list(t)), len(made))
	for i, dgst := range made {
		must(t, c.intact(dgst, len(blobs[i])))
	}
	awaitContentFiles(t, d, c)
}

// A damaged blob of ours is healed by the right file.
func TestContentAdoptHealsADamagedBlob(t *testing.T) {
	harness.NeedRoot(t)
	dir, blobs := filepath.Join(t.TempDir(), "content"), adoptable()
	made := builtin(t, dir, blobs...)
	d, c := startContent(t)
	c.blob(t, blobs[1])
	must(t, alter(5)(blobFile(d, made[1])))
	if _, err := c.read(made[1], 0, 0); err == nil {
		t.Error("the damage was not noticed")
	}
	harness.StopClean(t, d)
	adopts(t, dir, d.Root, 0)
	d = harness.Start(t, d.Root)
	contentsOn(d.Conn).reads(t, made[1], blobs[1])
}
