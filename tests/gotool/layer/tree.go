// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Node is what is known of one path.
type Node struct {
	Mode       uint32 // with the type
	UID, GID   uint32
	Size       int64 // of regular files
	Links      uint64
	First      string // of all paths of a file with several, the first
	Modified   time.Time
	Accessed   time.Time
	Device     uint64
	Target     string
	Sum        [32]byte
	Attributes map[string]string
}

// Tree is all paths below a directory, and the directory as ".".
type Tree map[string]*Node

// Scan reads a tree. It follows no links.
func Scan(root string) (Tree, error) {
	tree, first := Tree{}, map[uint64]string{}
	err := scan(root, ".", tree, first)
	return tree, err
}

// BareDevices is set where devices have no extended attributes: macOS.
var BareDevices bool

func scan(root, path string, tree Tree, first map[uint64]string) error {
	full := root + "/" + path
	var st unix.Stat_t
	if err := unix.Lstat(full, &st); err != nil {
		return fmt.Errorf("lstat %q: %w", path, err)
	}
	node := &Node{Mode: st.Mode, UID: st.Uid, GID: st.Gid, Links: uint64(st.Nlink),
		Modified: time.Unix(st.Mtim.Unix()), Accessed: time.Unix(st.Atim.Unix())}
	tree[path] = node
	var err error
	if node.Attributes, err = attributes(full); err != nil {
		return fmt.Errorf("xattrs of %q: %w", path, err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		node.Links = 0
		return scanDir(root, path, tree, first)
	case unix.S_IFLNK:
		if node.Target, err = os.Readlink(full); err != nil {
			return err
		}
	case unix.S_IFREG:
		node.Size = st.Size
		if node.Sum, err = sum(full); err != nil {
			return err
		}
	case unix.S_IFBLK, unix.S_IFCHR:
		node.Device = uint64(st.Rdev)
		if BareDevices {
			node.Attributes = nil
		}
	}
	if node.Links > 1 {
		if first[st.Ino] == "" {
			first[st.Ino] = path
		}
		node.First = first[st.Ino]
	}
	return nil
}

func scanDir(root, path string, tree Tree, first map[uint64]string) error {
	entries, err := os.ReadDir(root + "/" + path) // sorted
	if err != nil {
		return err
	}
	for _, entry := range entries {
		below := entry.Name()
		if path != "." {
			below = path + "/" + below
		}
		if err := scan(root, below, tree, first); err != nil {
			return err
		}
	}
	return nil
}

func sum(path string) (digest [32]byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return digest, err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return digest, err
	}
	copy(digest[:], hash.Sum(nil))
	return digest, nil
}

func attributes(path string) (map[string]string, error) {
	list := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, list)
	if err != nil || n == 0 {
		return nil, err
	}
	all := map[string]string{}
	value := make([]byte, 64<<10)
	for _, name := range bytes.Split(bytes.TrimSuffix(list[:n], []byte{0}), []byte{0}) {
		if bytes.HasPrefix(name, []byte("trusted.darwin.")) {
			continue // what Linux has no place for, tests/darwin
		}
		size, err := unix.Lgetxattr(path, string(name), value)
		if err != nil {
			return nil, err
		}
		all[string(name)] = string(value[:size])
	}
	return all, nil
}

// Comparison says what counts.
type Comparison struct {
	Since       time.Time // a time since then is "now", and all nows are equal
	AccessTimes bool      // of what is no directory or symlink, whose change when they are looked at
	IgnoreRoot  bool
	WholeTimes  bool // seconds count alone
	Attribute   func(name string) bool
}

// Compare lists what differs, at most 20 things.
func (c Comparison) Compare(got, want Tree) (problems []string) {
	paths := []string{}
	for path := range want {
		paths = append(paths, path)
	}
	for path := range got {
		if want[path] == nil {
			paths = append(paths, path)
		}
	}
	sort.Strings(paths)
	for _, path := range paths {
		for _, problem := range c.nodes(path, got[path], want[path]) {
			if len(problems) == 20 {
				return append(problems, "...")
			}
			problems = append(problems, fmt.Sprintf("%q: %s", short(path), problem))
		}
	}
	return problems
}

func (c Comparison) nodes(path string, got, want *Node) (problems []string) {
	differ := func(what string, got, want interface{}) {
		if got != want {
			problems = append(problems, fmt.Sprintf("%s %v, should be %v", what, got, want))
		}
	}
	switch {
	case got == nil:
		return []string{"is missing"}
	case want == nil:
		return []string{fmt.Sprintf("should not be there (mode %o)", got.Mode)}
	case path == "." && c.IgnoreRoot:
		return nil
	}
	differ("mode", fmt.Sprintf("%o", got.Mode), fmt.Sprintf("%o", want.Mode))
	differ("owner", fmt.Sprintf("%d:%d", got.UID, got.GID), fmt.Sprintf("%d:%d", want.UID, want.GID))
	differ("size", got.Size, want.Size)
	differ("content", fmt.Sprintf("%x", got.Sum[:4]), fmt.Sprintf("%x", want.Sum[:4]))
	differ("links", got.Links, want.Links)
	differ("first link", got.First, want.First)
	differ("device", got.Device, want.Device)
	differ("target", short(got.Target), short(want.Target))
	differ("target", got.Target == want.Target, true)
	differ("xattrs", c.attributesOf(got), c.attributesOf(want))
	if path != "." { // which changes whenever something below it does
		differ("mtime", c.time(got.Modified), c.time(want.Modified))
	}
	if kind := want.Mode & unix.S_IFMT; c.AccessTimes && kind != unix.S_IFDIR && kind != unix.S_IFLNK {
		differ("atime", c.time(got.Accessed), c.time(want.Accessed))
	}
	return problems
}

func (c Comparison) time(t time.Time) string {
	if !c.Since.IsZero() && !t.Before(c.Since) && t.Before(c.Since.Add(time.Hour)) {
		return "now"
	}
	if c.WholeTimes {
		t = t.Truncate(time.Second)
	}
	return t.UTC().Format("2006-01-02T15:04:05.999999999Z")
}

func (c Comparison) attributesOf(n *Node) string {
	names := []string{}
	for name, value := range n.Attributes {
		if c.Attribute == nil || c.Attribute(name) {
			names = append(names, fmt.Sprintf("%s=%q", name, short(value)))
		}
	}
	sort.Strings(names)
	return strings.Join(names, " ")
}

// Count is how many files, directories and others a tree has.
func (t Tree) Count() int { return len(t) - 1 }

// Below tells whether path is dir or below it.
func Below(path, dir string) bool {
	relative, err := filepath.Rel(dir, path)
	return err == nil && relative != ".." && !strings.HasPrefix(relative, "../")
}
