// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// listing is what a tree shows to those who use it.
type listing struct {
	of    map[string]seen
	bytes int64 // of its files, in blocks of 4 KiB
}

// seen is one path: texts of all that counts. The content is empty where it was not read.
type seen struct {
	looks, modified, content string
}

// listTree looks at all paths below dir, and reads one file of so many, always the same ones; 0: none.
func listTree(dir string, every uint32) (*listing, error) {
	l := &listing{of: map[string]seen{}}
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		below := name[len(dir)+1:]
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			return err
		}
		one := seen{looks: fmt.Sprintf("mode %o of %d:%d", st.Mode, st.Uid, st.Gid), modified: fmt.Sprintf("%d.%09d", st.Mtim.Sec, st.Mtim.Nsec)}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			one.looks += fmt.Sprintf(" with %d bytes", st.Size)
			l.bytes += (st.Size + 4095) &^ 4095
			if sampled(below, every) {
				one.content, err = sum(name)
			}
		case unix.S_IFLNK:
			one.content, err = os.Readlink(name)
		}
		l.of[below] = one
		return err
	})
	return l, err
}

// withoutFolderTimes is for what native has unpacked: it copies files into folders that have their times already.
func (l *listing) withoutFolderTimes() *listing {
	other := &listing{of: map[string]seen{}, bytes: l.bytes}
	for name, one := range l.of {
		if strings.HasPrefix(one.looks, "mode 4") {
			one.modified = ""
		}
		other.of[name] = one
	}
	return other
}

func sampled(name string, every uint32) bool {
	if every <= 1 {
		return every == 1
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(name)) // never fails
	return hash.Sum32()%every == 0
}

func sum(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, file)
	return fmt.Sprintf("%x", hash.Sum(nil)), err
}

// differs is an error that names some of the paths that are not the same in both.
func (l *listing) differs(from *listing) error {
	var problems []string
	for name, one := range l.of {
		other, there := from.of[name]
		switch {
		case !there:
			problems = append(problems, name+" should not be there")
		case one.looks != other.looks:
			problems = append(problems, fmt.Sprintf("%s has %s, not %s", name, one.looks, other.looks))
		case one.modified != other.modified:
			problems = append(problems, fmt.Sprintf("%s is of %s, not %s", name, one.modified, other.modified))
		case one.content != other.content && one.content != "" && other.content != "":
			problems = append(problems, name+" has another content")
		}
	}
	for name := range from.of {
		if _, there := l.of[name]; !there {
			problems = append(problems, name+" is missing")
		}
	}
	if len(problems) == 0 {
		return nil
	}
	sort.Strings(problems)
	if len(problems) > 10 {
		problems = append(problems[:10], fmt.Sprintf("and %d more", len(problems)-10))
	}
	return fmt.Errorf("two trees of one image differ: %s", strings.Join(problems, "; "))
}
