// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
)

// damages are what may happen to the file of a blob behind the daemon's back.
var damages = []struct {
	what    string
	do      func(path string) error
	classes []codes.Code // of a Read afterwards; nil: it is still right
}{
	{"truncated by a byte", func(path string) error { return os.Truncate(path, damageSize-1) }, dataLoss},
	{"truncated to nothing", func(path string) error { return os.Truncate(path, 0) }, dataLoss},
	{"longer by a byte", func(path string) error { return os.Truncate(path, damageSize+1) }, dataLoss},
	{"altered at its begin", alter(0), dataLoss},
	{"altered in the middle", alter(damageSize / 2), dataLoss},
	{"altered at its end", alter(damageSize - 1), dataLoss},
	{"replaced by another file of its size", func(path string) error {
		if err := os.Remove(path); err != nil {
			return err
		}
		return os.WriteFile(path, make([]byte, damageSize), 0o444)
	}, dataLoss},
	{"a hole", func(path string) error {
		return keepingTimes(path, func(file *os.File) error {
			return unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 4096, 65536)
		})
	}, dataLoss},
	{"removed", os.Remove, []codes.Code{codes.DataLoss, codes.NotFound}},
	{"a directory", func(path string) error {
		if err := os.Remove(path); err != nil {
			return err
		}
		return os.MkdirAll(path+"/inside", 0o755)
	}, dataLoss},
	{"a link", func(path string) error {
		if err := os.Rename(path, path+".aside"); err != nil {
			return err
		}
		defer os.Remove(path + ".aside")
		return os.Symlink("/etc/hostname", path)
	}, dataLoss},
	{"a FIFO", func(path string) error {
		if err := os.Remove(path); err != nil {
			return err
		}
		return unix.Mkfifo(path, 0o444)
	}, dataLoss},

	{"touched", func(path string) error { return os.Chtimes(path, time.Now(), time.Now()) }, nil},
	{"with another mode", func(path string) error { return os.Chmod(path, 0o400) }, nil},
	{"replaced by its copy", func(path string) error {
		data, err := os.ReadFile(path)
		if err == nil {
			err = os.Remove(path)
		}
		if err == nil {
			err = os.WriteFile(path, data, 0o644)
		}
		return err
	}, nil},
	{"altered and back again", func(path string) error {
		if err := alter(5)(path); err != nil {
			return err
		}
		return alter(5)(path)
	}, nil},
}

const damageSize = 1<<20 + 12345

var dataLoss = []codes.Code{codes.DataLoss}

// alter changes one byte in place and sets the times of the file back.
func alter(offset int64) func(path string) error {
	return func(path string) error {
		return keepingTimes(path, func(file *os.File) error {
			b := []byte{0}
			if _, err := file.ReadAt(b, offset); err != nil {
				return err
			}
			b[0] ^= 1
			_, err := file.WriteAt(b, offset)
			return err
		})
	}
}

func keepingTimes(path string, change func(*os.File) error) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := change(file); err != nil {
		return err
	}
	return os.Chtimes(path, info.ModTime(), info.ModTime())
}

func TestContentADamagedBlobIsNeverServed(t *testing.T) {
	harness.NeedRoot(t) // to write to files that are read-only
	for _, damage := range damages {
		for _, running := range []bool{true, false} {
			name := damage.what + ", daemon stopped"
			if running {
				name = damage.what
			}
			damage, running := damage, running
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				d, c := startContent(t)
				data := randomBytes(7, damageSize)
				dgst, other := c.blob(t, data, "a", "1"), c.blob(t, []byte("other"))
				c.reads(t, dgst, data)
				if running {
					must(t, damage.do(blobFile(d, dgst)))
				} else {
					harness.StopClean(t, d)
					must(t, damage.do(blobFile(d, dgst)))
					d = harness.Start(t, d.Root)
					c = contentsOn(d.Conn)
				}
				checkDamaged(t, c, dgst, data, damage.classes)
				c.reads(t, other, []byte("other"))
				d, c = restartContent(t, d)
				checkDamaged(t, c, dgst, data, damage.classes) // not forgotten
				healByDelete(t, d, c, dgst, data)
			})
		}
	}
}

// checkDamaged reads in the ways that containerd does.
func checkDamaged(t *testing.T, c contents, dgst digest.Digest, data []byte, classes []codes.Code) {
	t.Helper()
	for _, r := range []struct{ offset, size int64 }{{0, 0}, {0, 32768}, {damageSize / 2, 32768}, {damageSize - 1, 1}, {0, 0}} {
		got, err := c.read(dgst, r.offset, r.size)
		end := r.offset + r.size
		if r.size == 0 {
			end = damageSize
		}
		if !bytes.HasPrefix(data[r.offset:end], got) {
			t.Errorf("Read(%d, %d) gave wrong bytes", r.offset, r.size)
		}
		if classes == nil {
			if err != nil || len(got) != int(end-r.offset) {
				t.Errorf("Read(%d, %d) of an intact blob gave %d bytes, %v", r.offset, r.size, len(got), err)
			}
			continue
		}
		if len(got) != 0 {
			t.Errorf("Read(%d, %d) of a damaged blob gave %d bytes", r.offset, r.size, len(got))
		}
		if !hasClass(classes, status.Code(err)) {
			t.Errorf("Read(%d, %d) of a damaged blob: %v", r.offset, r.size, err)
		}
		if err != nil && status.Convert(err).Message() == "" {
			t.Error("the error has no text")
		}
	}
	info, err := c.info(dgst)
	if classes == nil {
		must(t, err)
		equal(t, "size in Info", info.Size_, int64(damageSize))
	} else if !hasClass(classes, status.Code(err)) {
		t.Errorf("Info of a damaged blob: %v", err) // containerd would share it with the next namespace
	}
	if _, listed := c.list(t)[dgst]; !listed {
		t.Error("List does not know the blob") // the garbage collector must find it
	}
}

func hasClass(classes []codes.Code, code codes.Code) bool {
	for _, class := range classes {
		if class == code {
			return true
		}
	}
	return false
}

// healByDelete deletes a blob and writes it again.
func healByDelete(t *testing.T, d *harness.Daemon, c contents, dgst digest.Digest, data []byte) {
	t.Helper()
	must(t, c.delete(dgst))
	c.missing(t, dgst)
	awaitContentFiles(t, d, c)
	w, _ := c.opened(t, message{Ref: "again", Total: int64(len(data)), Expected: dgst})
	w.said(t, writeAt(0, data))
	stands(t, w.said(t, commitAt(len(data), dgst)), actionCommit, data)
	c.reads(t, dgst, data)
	d, c = restartContent(t, d)
	c.reads(t, dgst, data)
	awaitContentFiles(t, d, c)
}

// Without Delete, too, writing must not claim that all is well while it is not.
func TestContentADamagedBlobThatIsWrittenAgain(t *testing.T) {
	harness.NeedRoot(t)
	for _, named := range []bool{true, false} {
		d, c := startContent(t)
		data := randomBytes(7, damageSize)
		dgst := c.blob(t, data)
		must(t, alter(9)(blobFile(d, dgst)))
		_, err := c.read(dgst, 0, 0)
		fails(t, err, codes.DataLoss)
		m := on("again", commitAt(0, ""))
		m.Data = data
		if named {
			m.Expected = dgst
		}
		w, err := c.write()
		must(t, err)
		_, err = w.say(m)
		w.vanish()
		if err == nil {
			c.reads(t, dgst, data) // it heals
		} else {
			fails(t, err, codes.AlreadyExists)
			_, err = c.read(dgst, 0, 0)
			fails(t, err, codes.DataLoss)
		}
		awaitContentFiles(t, d, c)
		healByDelete(t, d, c, dgst, data)
	}
}

// The data of an ingest that was altered or cut while nobody held it: what is there counts, and is digested.
func TestContentADamagedIngestIsNotCommittedAsSomethingElse(t *testing.T) {
	harness.NeedRoot(t)
	data := randomBytes(8, 300000)
	for what, damage := range map[string]func(path string) error{
		"altered":   alter(1000),
		"truncated": func(path string) error { return os.Truncate(path, 200000) },
		"removed":   os.Remove,
	} {
		for _, running := range []bool{true, false} {
			d, c := startContent(t)
			c.partial(t, "r", data)
			harness.StopClean(t, d) // recorded
			if running {
				d = harness.Start(t, d.Root)
				c = contentsOn(d.Conn)
			}
			files, err := filesBelow(d.Root + "/content/ingest")
			must(t, err)
			equal(t, "number of files", len(files), 1)
			must(t, damage(files[0]))
			if !running {
				d = harness.Start(t, d.Root)
				c = contentsOn(d.Conn)
			}
			w, err := c.write()
			must(t, err)
			answer, err := w.say(statOf("r"))
			if err == nil {
				_, err = w.say(commitAt(int(answer.Offset), digest.FromBytes(data)))
			}
			if code := status.Code(err); code != codes.FailedPrecondition && code != codes.DataLoss && code != codes.Internal {
				t.Errorf("%s, daemon running: %v: the commit says %v", what, running, err)
			}
			c.missing(t, digest.FromBytes(data))
			must(t, c.abort("r"))
			c.partial(t, "r", data) // and it works again
			w, _ = c.opened(t, statOf("r"))
			w.said(t, commitAt(len(data), digest.FromBytes(data)))
			c.reads(t, digest.FromBytes(data), data)
			awaitContentFiles(t, d, c)
		}
	}
}
