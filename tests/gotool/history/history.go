// SPDX-License-Identifier: Apache-2.0

// Package history changes a tree at random, in every way that a container can.
package history

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"sort"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A History is a seeded sequence of changes to a tree.
type History struct {
	Random       *rand.Rand
	Root         string
	Xattrs       bool // also makes attributes that containerd does not carry
	OfFolders    bool // such of folders, too
	WholeSeconds bool // the times given to files have no nanoseconds, as those from archives

	t     testing.TB
	names []string
}

// OddNames are no UTF-8, which macOS does not take.
var OddNames = [2]string{"caf\xe9", "\xff"}

// New begins a history of the tree at root.
func New(t testing.TB, seed int64, root string) *History {
	h := &History{t: t, Random: rand.New(rand.NewSource(seed)), Root: root}
	h.names = []string{"a", "a.b", "a-b", "b", "B", "café", OddNames[0], "new\nline", "sp ace", "z", "0", "~", "x=y",
		string(longName(h.Random, 255)), string(longName(h.Random, 101)), OddNames[1]}
	return h
}

func longName(random *rand.Rand, length int) []byte {
	name := make([]byte, length)
	for i := range name {
		name[i] = "abcdefghij"[random.Intn(10)]
	}
	return name
}

func (h *History) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// all lists the paths of one kind below the root, sorted.
func (h *History) all(want func(os.FileInfo) bool) []string {
	var found []string
	h.must(filepath.Walk(h.Root, func(path string, info os.FileInfo, err error) error {
		if err == nil && path != h.Root && want(info) {
			found = append(found, path)
		}
		return err
	}))
	sort.Strings(found)
	return found
}

func isAny(os.FileInfo) bool { return true }

func isDir(info os.FileInfo) bool { return info.IsDir() }

func isFile(info os.FileInfo) bool { return info.Mode().IsRegular() }

func notDir(info os.FileInfo) bool { return !info.IsDir() }

func (h *History) pick(want func(os.FileInfo) bool) string {
	found := h.all(want)
	if len(found) == 0 {
		return ""
	}
	return found[h.Random.Intn(len(found))]
}

// place is a path that may be free or taken, in some directory.
func (h *History) place() string {
	dir := h.pick(isDir)
	if dir == "" || h.Random.Intn(5) == 0 {
		dir = h.Root
	}
	return filepath.Join(dir, h.names[h.Random.Intn(len(h.names))])
}

// folder is one of them, or the root.
func (h *History) folder() string {
	if dir := h.pick(isDir); dir != "" && h.Random.Intn(8) > 0 {
		return dir
	}
	return h.Root
}

func (h *History) free() string {
	for i := 0; i < 20; i++ {
		path := h.place()
		if _, err := os.Lstat(path); os.IsNotExist(err) && len(path) < 1500 {
			return path
		}
	}
	return ""
}

func (h *History) content() []byte {
	sizes := []int{0, 1, 511, 512, 513, 4096, 5000, 70000, 300000}
	data := make([]byte, sizes[h.Random.Intn(len(sizes))])
	h.Random.Read(data)
	return data
}

func (h *History) stamp(path string) {
	seconds := int64(1500000000 + h.Random.Intn(100000000))
	nanos := int64(1 + h.Random.Intn(999999999))
	switch h.Random.Intn(8) {
	case 0:
		seconds = -int64(h.Random.Intn(1000000))
	case 1:
		seconds = 8589934592 + int64(h.Random.Intn(1000)) // beyond eleven octal digits
	}
	if h.WholeSeconds {
		nanos = 0
	}
	times := []unix.Timespec{{Sec: seconds, Nsec: nanos}, {Sec: seconds, Nsec: nanos}}
	h.must(unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW))
}

func (h *History) owner(path string) {
	owners := []int{0, 1, 1000, 65534, 2097151, 2097152, 4000000000}
	h.must(os.Lchown(path, owners[h.Random.Intn(len(owners))], owners[h.Random.Intn(len(owners))]))
}

func (h *History) mode(path string) {
	modes := []uint32{0, 0400, 0644, 0755, 0777, 01777, 02755, 04755, 06711}
	h.must(unix.Chmod(path, modes[h.Random.Intn(len(modes))]))
}

func (h *History) create(path string) {
	switch h.Random.Intn(12) {
	case 0, 1, 2, 3:
		h.must(os.WriteFile(path, h.content(), 0o644))
	case 4, 5, 6:
		h.must(os.Mkdir(path, 0o755))
	case 7:
		h.must(os.Symlink(string(longName(h.Random, 1+h.Random.Intn(200))), path))
	case 8:
		h.must(unix.Mkfifo(path, 0o620))
	case 9:
		h.must(unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(uint32(h.Random.Intn(512)), uint32(h.Random.Intn(1<<18))))))
	case 10:
		h.must(unix.Mknod(path, unix.S_IFBLK|0o660, int(unix.Mkdev(8, uint32(h.Random.Intn(100))))))
	case 11:
		h.sparse(path)
	}
	if h.Random.Intn(2) == 0 {
		h.stamp(path)
	}
}

func (h *History) sparse(path string) {
	file, err := os.Create(path)
	h.must(err)
	defer file.Close()
	h.must(file.Truncate(int64(h.Random.Intn(400000))))
	_, err = file.WriteAt(h.content(), int64(h.Random.Intn(300000)))
	h.must(err)
}

func (h *History) write(path string) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	h.must(err)
	defer file.Close()
	info, err := file.Stat()
	h.must(err)
	if h.Random.Intn(3) == 0 {
		h.must(file.Truncate(int64(h.Random.Intn(100000))))
		return
	}
	offset := int64(0)
	if info.Size() > 0 {
		offset = h.Random.Int63n(info.Size())
	}
	_, err = file.WriteAt([]byte{byte(h.Random.Intn(256))}, offset)
	h.must(err)
}

// capability is one of a few values of security.capability.
func (h *History) capability(path string) {
	value := make([]byte, 20)
	value[3], value[0] = 2, 1
	value[4+h.Random.Intn(2)] = byte(1 << h.Random.Intn(8))
	h.must(unix.Lsetxattr(path, "security.capability", value, 0))
}

// xattr sets or removes an attribute that only our layers carry.
func (h *History) xattr(path string) {
	if !h.Xattrs {
		return
	}
	name := fmt.Sprintf("user.n%d", h.Random.Intn(3))
	if h.Random.Intn(3) == 0 {
		_ = unix.Lremovexattr(path, name)
		return
	}
	value := make([]byte, h.Random.Intn(300))
	h.Random.Read(value)
	h.must(unix.Lsetxattr(path, name, value, 0))
}

// rename may be impossible: a directory into itself, or over a full one. Paths stay short enough for Go.
func (h *History) rename(from, to string) {
	longest := 0
	h.must(filepath.Walk(from, func(path string, _ os.FileInfo, err error) error {
		if length := len(path) - len(from); length > longest {
			longest = length
		}
		return err
	}))
	if longest+len(to) < 3800 {
		_ = os.Rename(from, to)
	}
}

// replace puts something of another kind where something is.
func (h *History) replace(path string) {
	h.must(os.RemoveAll(path))
	h.create(path)
}

// step makes one change.
func (h *History) step() {
	path := h.pick(isAny)
	file := h.pick(isFile)
	free := h.free()
	switch kind := h.Random.Intn(16); {
	case path == "" || kind < 3:
		if free != "" {
			h.create(free)
		}
	case kind < 5:
		if file != "" {
			h.write(file)
		}
	case kind < 6:
		if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSymlink == 0 {
			h.mode(path)
		}
	case kind < 7:
		h.owner(path)
	case kind < 8:
		h.rename(path, h.place())
	case kind < 9:
		// XFS leaves the change times of what is exchanged. A directory cannot get into itself.
		_ = unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, h.pick(isAny), unix.RENAME_EXCHANGE)
	case kind < 10:
		h.replace(path)
	case kind < 12:
		if old := h.pick(notDir); old != "" && free != "" {
			h.must(os.Link(old, free))
		}
	case kind < 13:
		h.must(os.RemoveAll(path))
	case kind < 14:
		h.stamp(path)
	case kind < 15:
		if file != "" {
			h.capability(file)
		}
	default:
		if h.OfFolders && h.Random.Intn(2) == 0 {
			h.xattr(h.folder())
		} else if file != "" {
			h.xattr(file)
		}
	}
}

// Run makes so many changes.
func (h *History) Run(steps int) {
	for i := 0; i < steps; i++ {
		h.step()
	}
}

// Past makes sure that what is done now has a later time than what was done, on any file system.
func Past() {
	time.Sleep(20 * time.Millisecond)
}
