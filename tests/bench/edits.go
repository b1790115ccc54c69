// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand"
	"os"
	slashed "path"
	"path/filepath"
	"time"
)

// What a layer above the base has.
const (
	layerFiles   = 500
	layerOfBase  = 270 // of them: files of the base, edited
	layerOfLast  = 30  // of them: files of the layer below, edited
	layerRemoved = 50  // files of the base that it removes, beside a folder
)

// edits makes layers that change what is below them. Everything depends on the seed and the names alone.
type edits struct {
	dir, name string
	random    *rand.Rand
	base      []string // files of the base that are still there and as they were
	made      []string // by the last layer, and editable
}

// newEdits takes the files of the base, in any fixed order.
func newEdits(dir, name string, base []string, seed int64) *edits {
	e := &edits{dir: dir, name: name, random: rand.New(rand.NewSource(seed)), base: append([]string(nil), base...)}
	e.random.Shuffle(len(e.base), func(i, j int) { e.base[i], e.base[j] = e.base[j], e.base[i] })
	return e
}

func (e *edits) layers(count int) (all []*imageLayer, err error) {
	for n := 1; n <= count; n++ {
		l, err := e.layer(n)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

// take takes files of the base; all of them are taken once, at most.
func (e *edits) take(count int) []string {
	if most := len(e.base) / 4; count > most {
		count = most // a small base has to do for all layers
	}
	taken := e.base[:count:count]
	e.base = e.base[count:]
	return taken
}

func (e *edits) layer(n int) (*imageLayer, error) {
	l := &imageLayer{file: filepath.Join(e.dir, fmt.Sprintf("%s-%d.tar.gz", e.name, n))}
	file, err := os.Create(l.file)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	packed, err := gzip.NewWriterLevel(file, 6)
	if err != nil {
		return nil, err
	}
	counted := &counter{to: packed}
	w := &layerWriter{Writer: tar.NewWriter(counted), layer: l, random: e.random, folders: map[string]bool{}, at: time.Unix(1700000000+int64(n), 500)}
	e.write(w, n)
	if w.err == nil {
		w.err = w.Close()
	}
	if w.err == nil {
		w.err = packed.Close()
	}
	if w.err != nil {
		return nil, w.err
	}
	l.plain = counted.count
	return l, l.describe()
}

// write lets the layer edit, add and remove files, and remove or empty a folder of the layer below.
func (e *edits) write(w *layerWriter, n int) {
	edited := e.take(layerOfBase)
	for i := 0; i < layerOfLast && i < len(e.made); i++ {
		edited = append(edited, e.made[i])
	}
	for _, name := range edited {
		w.file(name)
	}
	own := fmt.Sprintf("opt/%s-%d", e.name, n)
	e.made = nil
	for i := len(edited); i < layerFiles; i++ {
		folder := [...]string{"bin", "data", "data/deep", "sub"}[i%4]
		name := fmt.Sprintf("%s/%s/f%03d", own, folder, i)
		w.file(name)
		if folder == "bin" {
			e.made = append(e.made, name)
		}
	}
	w.link(own+"/current", "bin")
	for _, name := range e.take(layerRemoved) {
		w.file(slashed.Join(slashed.Dir(name), ".wh."+slashed.Base(name)))
	}
	if n > 1 {
		last := fmt.Sprintf("opt/%s-%d", e.name, n-1)
		w.file(last + "/.wh.sub")
		w.file(last + "/data/.wh..wh..opq")
	}
}

// layerWriter writes entries, each folder before what is in it, as differs do. After an error it does nothing.
type layerWriter struct {
	*tar.Writer
	layer   *imageLayer
	random  *rand.Rand
	folders map[string]bool
	at      time.Time
	err     error
}

func (w *layerWriter) put(h *tar.Header, data []byte) {
	if w.err != nil {
		return
	}
	h.Format, h.ModTime = tar.FormatPAX, w.at
	w.layer.entries++
	w.layer.bytes += (h.Size + 4095) &^ 4095
	if w.err = w.WriteHeader(h); w.err == nil {
		_, w.err = w.Write(data)
	}
}

func (w *layerWriter) folder(name string) {
	if name == "." || w.folders[name] {
		return
	}
	w.folder(slashed.Dir(name))
	w.folders[name] = true
	w.put(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}, nil)
}

// file has nothing in it if it stands for a removal.
func (w *layerWriter) file(name string) {
	w.folder(slashed.Dir(name))
	var data []byte
	if ok, _ := slashed.Match(".wh.*", slashed.Base(name)); !ok {
		data = typicalData(w.random)
	}
	w.put(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data))}, data)
}

func (w *layerWriter) link(name, target string) {
	w.folder(slashed.Dir(name))
	w.put(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, nil)
}

// typicalData has some KiB, seldom more than 100, and packs to a half.
func typicalData(random *rand.Rand) []byte {
	size := int(4000 * math.Exp(1.5*random.NormFloat64()))
	if size > 256<<10 {
		size = 256 << 10
	}
	data := make([]byte, size)
	for i := range data {
		data[i] = "0123456789abcdef"[random.Intn(16)]
	}
	return data
}

type counter struct {
	to    io.Writer
	count int64
}

func (c *counter) Write(data []byte) (int, error) {
	n, err := c.to.Write(data)
	c.count += int64(n)
	return n, err
}

// regularFiles are the paths of all files below dir, sorted.
func regularFiles(dir string) (names []string, err error) {
	err = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			names = append(names, name[len(dir)+1:])
		}
		return err
	})
	return names, err
}
