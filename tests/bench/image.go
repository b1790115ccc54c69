// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
)

// imageLayer is a gzip archive in a file, and what it holds.
type imageLayer struct {
	*types.Descriptor
	file    string
	plain   int64 // size of the archive
	entries int   // files, links and folders, and what it removes
	bytes   int64 // of its files, in blocks of 4 KiB
}

// image is a chain of layers, the base first.
type image struct {
	name   string
	layers []*imageLayer
}

// chain names the snapshots of an image as containerd would if its digests were those of the packed layers. Images
// that begin with the same layers share snapshots.
func (m *image) chain() []string {
	names := make([]string, len(m.layers))
	for i, l := range m.layers {
		text := l.Digest.String()
		if i > 0 {
			text = names[i-1] + " " + text
		}
		names[i] = digest.FromString(text).String()
	}
	return names
}

func (m *image) top() string { return m.chain()[len(m.layers)-1] }

// bytes of all files of all layers, those that a later layer hides or removes too.
func (m *image) bytes() (sum int64) {
	for _, l := range m.layers {
		sum += l.bytes
	}
	return sum
}

const (
	upperLayers  = 11
	secondLayers = 3
)

// images are what the rows unpack.
type images struct {
	whole   *image // a big base, and 11 layers of 500 files
	next    *image // the same and a layer more
	second  *image // another image on the same base
	base    *image // the big base alone
	small   *image // a twentieth of its files, smallFiles
	stacked *image // the big layer on the small one
}

// smallFiles are those of the small image: enough to be worth a spare.
func smallFiles(files int) int {
	if files < 20*500 {
		return 500
	}
	return files / 20
}

// makeImages makes the layers of all images in a folder.
func makeImages(dir string, files int) (*images, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	base, tree, err := baseLayer(dir, "base", "", files)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tree)
	small, smallTree, err := baseLayer(dir, "small", "small", smallFiles(files))
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(smallTree)
	names, err := regularFiles(tree)
	if err != nil {
		return nil, err
	}
	uppers, err := newEdits(dir, "layer", names, 1).layers(upperLayers + 1)
	if err != nil {
		return nil, err
	}
	others, err := newEdits(dir, "other", names, 2).layers(secondLayers)
	if err != nil {
		return nil, err
	}
	on := func(name string, below *imageLayer, above ...*imageLayer) *image {
		return &image{name, append([]*imageLayer{below}, above...)}
	}
	return &images{
		whole:  on("the image", base, uppers[:upperLayers]...),
		next:   on("the next image", base, uppers...),
		second: on("the second image", base, others...),
		base:   on("the base", base), small: on("the small image", small),
		stacked: on("a big layer on a small one", small, base),
	}, nil
}

// baseLayer packs files of /usr, below a folder of that name if it has one.
func baseLayer(dir, name, below string, files int) (l *imageLayer, tree string, err error) {
	l = &imageLayer{file: filepath.Join(dir, name+".tar.gz")}
	tree = filepath.Join(dir, name)
	if _, err = copyTypical(filepath.Join(tree, below), files); err != nil {
		return nil, "", err
	}
	if l.plain, err = packTree(tree, l.file, "gzip"); err != nil {
		return nil, "", err
	}
	seen, err := listTree(tree, 0)
	if err != nil {
		return nil, "", err
	}
	l.entries, l.bytes = len(seen.of), seen.bytes
	return l, tree, l.describe()
}

// describe fills in the descriptor, when the file is complete.
func (l *imageLayer) describe() error {
	file, err := os.Open(l.file)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	sum, err := digest.SHA256.FromReader(file)
	l.Descriptor = &types.Descriptor{MediaType: layerType + "+gzip", Digest: sum, Size_: info.Size()}
	return err
}

func (m *image) String() string {
	return fmt.Sprintf("%s (%d layers)", m.name, len(m.layers))
}
