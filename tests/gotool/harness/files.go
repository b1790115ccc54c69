// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
)

// Files are the regular files of a small tree: path to content.
type Files map[string]string

// With returns a copy with other files added or replaced.
func (f Files) With(more Files) Files {
	all := Files{}
	for _, part := range []Files{f, more} {
		for path, content := range part {
			all[path] = content
		}
	}
	return all
}

// Write writes the files below dir.
func (f Files) Write(dir string) error {
	for path, content := range f {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// ReadFiles reads all regular files below dir.
func ReadFiles(dir string) (Files, error) {
	files := Files{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err == nil {
			path, err = filepath.Rel(dir, path)
			files[path] = string(content)
		}
		return err
	})
	return files, err
}

// SameFiles is an error unless dir has exactly the files of want.
func SameFiles(dir string, want Files) error {
	got, err := ReadFiles(dir)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("%s has the files %.300v, not %.300v", dir, got, want)
	}
	return nil
}

// Fill makes count small files below dir, 100 in a folder.
func Fill(dir string, count int) error {
	for i := 0; i < count; i++ {
		folder := filepath.Join(dir, fmt.Sprintf("d%d", i/100))
		if i%100 == 0 {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("f%d", i)), []byte("a small file\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Layer makes the committed snapshot name with files on parent.
func (s *Snapshots) Layer(name, parent string, files Files) error {
	return s.LayerBy(name, parent, files.Write)
}

// LayerBy is Layer with any way to make the files.
func (s *Snapshots) LayerBy(name, parent string, write func(dir string) error) error {
	key := "making " + name
	dir, err := s.Prepare(key, parent)
	if err == nil {
		err = write(dir)
	}
	if err == nil {
		err = s.Commit(name, key)
	}
	return err
}
