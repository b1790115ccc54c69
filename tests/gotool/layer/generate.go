// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"bytes"
	"math/rand"
	"strings"
)

// Generate makes up to four layers, one on top of the other, from a seed. Three in ten are wild: they have entries
// that an applier may refuse; the others are rarely refused.
func Generate(seed int64) []*Layer {
	g := &generator{Rand: rand.New(rand.NewSource(seed)), known: map[string]byte{}}
	g.wild = g.one(10) < 3
	g.unusual = g.one(2) == 0
	var layers []*Layer
	for n := 1 + g.pick(5, 3, 2, 1); n > 0; n-- {
		layers = append(layers, g.layer())
	}
	return layers
}

type generator struct {
	*rand.Rand
	wild    bool
	unusual bool            // odd names and forms
	known   map[string]byte // path to type of what should be there
	names   []string        // all paths ever made
	here    []string        // those of this layer
}

// one is a number below n.
func (g *generator) one(n int) int { return g.Intn(n) }

// pick is an index, each as likely as its weight.
func (g *generator) pick(weights ...int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	at := g.Intn(sum)
	for i, w := range weights {
		if at -= w; at < 0 {
			return i
		}
	}
	panic("weights")
}

func (g *generator) of(list ...string) string { return list[g.Intn(len(list))] }

const (
	oci    = "application/vnd.oci.image.layer.v1.tar"
	docker = "application/vnd.docker.image.rootfs.diff.tar"
)

func (g *generator) layer() *Layer {
	l := &Layer{CutAt: g.one(1000), Packing: Packing{Seed: g.Int63()}}
	g.here = nil
	for n := 1 + g.pick(0, 3, 3, 3, 2, 1)*g.one(8); n > 0; n-- {
		l.Entries = append(l.Entries, g.entry())
	}
	l.Ending = Ending(g.pick(40, 40, 4, 2, 6, 2))
	l.Packing.Kind = PackingKind(g.pick(30, 15, 10, 5, 10, 10, 3))
	if g.wild {
		switch g.one(12) {
		case 0:
			l.Ending = Cut
			for _, e := range l.Entries {
				e.Libarchive = nil // containerd is given others in their place, and would be cut elsewhere
			}
		case 1:
			l.Ending = OneBlockAndMore
		case 2:
			l.Packing.Kind = PackingKind(int(GzipCut) + g.one(int(packings-GzipCut)))
		}
	}
	l.Nothing = g.one(60) == 0
	if l.Nothing {
		l.Packing.Kind = Plain
	}
	l.Media = g.of(oci+"+gzip", oci+"+gzip", oci+"+zstd", docker+".gzip", docker)
	if l.Packing.Kind == Plain && g.one(2) == 0 {
		l.Media = oci
	}
	return l
}

func (g *generator) entry() *Entry {
	e := &Entry{Type: File, Mode: 0o644, Modified: g.time()}
	e.Form = Form(g.pick(50, 20, 20, 10))
	e.Numbers = g.pick(70, 10, 10, 10)
	e.Name = g.path()
	switch g.pick(30, 25, 14, 12, 4, 4, 8, 4) {
	case 0:
		e.Data = g.data()
		if g.one(20) == 0 {
			e.Type = OldFile
		}
		e.Mode = g.mode(0o644)
		g.sparse(e)
	case 1:
		e.Type, e.Mode = Dir, g.mode(0o755)
		if g.one(10) > 0 {
			e.Name += "/"
		}
	case 2:
		e.Type, e.Link, e.Mode = Symlink, g.target(), 0o777
	case 3:
		e.Link, e.Mode = g.linked(e.Name), g.mode(0o644)
		if e.Link != "" {
			e.Type = HardLink
		}
	case 4:
		e.Type, e.Mode = FIFO, g.mode(0o600)
	case 5:
		e.Type, e.Mode = byte('3'+g.one(2)), g.mode(0o600)
		e.Major, e.Minor = int64(g.one(300)), int64(g.one(70000))
	case 6:
		g.whiteout(e)
	case 7:
		g.opaque(e)
	}
	for try := 0; try < 20 && !g.wild && !g.plausible(e); try++ {
		at := strings.LastIndexByte(strings.TrimRight(e.Name, "/"), '/') + 1
		if e.Mode == 0 { // a whiteout keeps its base
			e.Name = g.path() + "/" + e.Name[at:]
		} else if e.Type == Dir {
			e.Name = g.path() + "/"
		} else {
			e.Name = g.path()
		}
	}
	e.UID, e.GID = g.owner(), g.owner()
	if e.Form == PAX {
		g.pax(e)
	}
	if g.wild && g.one(20) == 0 {
		g.spoil(e)
	}
	g.note(e)
	g.decorate(e)
	return e
}

// plausible tells that an applier will rather not refuse the entry: no parent is a file, few are links, and no
// directory of this archive goes away again, which is an error when its time is set at the end.
func (g *generator) plausible(e *Entry) bool {
	name := strings.Trim(e.Name, "/")
	for i, c := range name {
		if c == '/' {
			kind, there := g.known[name[:i]]
			if there && kind != Dir && (kind != Symlink || g.one(3) > 0) {
				return false
			}
		}
	}
	if e.Type == Dir || !g.isHere(name) {
		return true
	}
	for _, here := range g.here {
		if (here == name || strings.HasPrefix(here, name+"/")) && g.known[here] == Dir {
			return g.one(20) == 0
		}
	}
	return true
}

// note remembers what is at the path, seen by its letters alone.
func (g *generator) note(e *Entry) {
	name := strings.Trim(e.Name, "/")
	base := name[strings.LastIndexByte(name, '/')+1:]
	if strings.HasPrefix(base, ".wh.") {
		if base == ".wh..wh..opq" {
			for path := range g.known {
				if strings.HasPrefix(path, strings.TrimSuffix(name, base)) && !g.isHere(path) {
					delete(g.known, path)
				}
			}
			return
		}
		gone := strings.TrimSuffix(name, base) + strings.TrimPrefix(base, ".wh.")
		for path := range g.known {
			if path == gone || strings.HasPrefix(path, gone+"/") {
				delete(g.known, path)
			}
		}
		return
	}
	for i, c := range name {
		if _, there := g.known[name[:i]]; c == '/' && !there {
			g.known[name[:i]] = Dir
		}
	}
	if e.Type != Dir {
		for path := range g.known {
			if strings.HasPrefix(path, name+"/") {
				delete(g.known, path)
			}
		}
	}
	g.known[name] = e.Type
	g.names = append(g.names, name)
	g.here = append(g.here, name)
}

// path is a new name, or one that there was before.
func (g *generator) path() string {
	if len(g.names) > 0 && g.one(3) == 0 {
		return g.names[g.one(len(g.names))]
	}
	parts := []string{}
	at := ""
	for depth := 1 + g.pick(30, 40, 20, 10); depth > 0; depth-- {
		part := g.component()
		if depth > 1 && g.one(8) > 0 { // a parent that is none is an error: mostly another one
			for try := 0; try < 5; try++ {
				kind, there := g.known[strings.TrimPrefix(at+"/"+part, "/")]
				if !there || kind == Dir || kind == Symlink {
					break
				}
				part = g.component()
			}
		}
		at += "/" + part
		parts = append(parts, part)
	}
	return strings.Join(parts, "/")
}

// OddName is no UTF-8, which macOS does not take.
var OddName = "\xff\xfe"

func (g *generator) component() string {
	if g.unusual && g.one(12) == 0 {
		return g.of("...", "..a", ".wh", "a b", "-", "a\nb", "a\\b", "a:b", "*", " ", "u\u0308", "\u00fc", OddName,
			strings.Repeat("n", 101), strings.Repeat("l", 255), strings.Repeat("\u00fc", 100), "._a", ".DS_Store", "\u65e5\u672c")
	}
	return string(rune('a' + g.one(6)))
}

// decorate writes a name in another way.
func (g *generator) decorate(e *Entry) {
	if !g.unusual || g.one(3) > 0 {
		return
	}
	switch g.pick(20, 10, 10, 8, 8, 8, 8, 4) {
	case 0:
		e.Name = "./" + e.Name
	case 1:
		e.Name = "/" + e.Name
	case 2:
		e.Name = strings.ReplaceAll(e.Name, "/", "//")
	case 3:
		e.Name = "../" + e.Name
	case 4:
		e.Name = strings.Replace(e.Name, "/", "/./", 1)
	case 5:
		e.Name = g.component() + "/../" + e.Name
	case 6:
		if len(e.Data) == 0 || g.one(20) == 0 {
			e.Name += "/"
		}
	case 7:
		e.Name = g.of(".", "./", "/", "..", "../..", "//", e.Name+"/.", e.Name+"/..", "")
		if len(e.Data) > 0 {
			e.Name = "." + e.Name
		}
	}
}

// target is what a symlink says.
func (g *generator) target() string {
	switch g.pick(30, 20, 15, 10, 10, 5, 5) {
	case 0:
		return g.component()
	case 1:
		return "/" + g.path()
	case 2:
		return "../" + g.component()
	case 3:
		return g.path()
	case 4:
		return g.of(".", "..", "/", "../../..", "/..", "a/../b", "./a", "a/", "//a", "../../../../../a")
	case 5:
		return "nowhere/" + g.component()
	}
	return strings.Repeat(g.component()+"/", 30+g.one(40)) + "x"
}

// linked is what a hard link says: mostly something that is there.
func (g *generator) linked(own string) string {
	var files []string
	for _, name := range g.names {
		if kind, there := g.known[name]; there && kind != Dir && name != own {
			files = append(files, name)
		}
	}
	if len(files) == 0 {
		return ""
	}
	if g.one(40) == 0 {
		return g.path()
	}
	name := files[g.one(len(files))]
	if g.unusual {
		switch g.one(12) {
		case 0:
			return "./" + name
		case 1:
			return "/" + name
		case 2:
			return "../" + name
		}
	}
	return name
}

func (g *generator) whiteout(e *Entry) {
	e.Mode = 0
	name := e.Name
	if len(g.names) > 0 && g.one(4) > 0 {
		name = g.names[g.one(len(g.names))]
	}
	// Ending a directory that this archive made is an error, at its end, when the time of the directory is set.
	for try := 0; try < 10 && !g.wild && g.isHere(name); try++ {
		name = g.path()
	}
	at := strings.LastIndexByte(name, '/') + 1
	e.Name = name[:at] + ".wh." + name[at:]
	if g.one(10) == 0 {
		e.Name = name[:at] + ".wh..wh." + g.of("plnk", "aufs", "a")
	}
	if g.wild && g.one(8) == 0 {
		e.Name = name[:at] + g.of(".wh.", ".wh..", ".wh...", ".wh..wh..", ".wh..wh..opq/", ".wh..wh..opq/a")
	}
	if len(e.Name)-at > 255 {
		e.Name = ".wh.a"
	}
}

func (g *generator) isHere(name string) bool {
	for _, here := range g.here {
		if here == name || strings.HasPrefix(here, name+"/") {
			return true
		}
	}
	return false
}

func (g *generator) opaque(e *Entry) {
	e.Mode = 0
	dir := ""
	if len(g.names) > 0 && g.one(5) > 0 {
		dir = g.names[g.one(len(g.names))]
		if g.known[dir] != Dir {
			dir = dir[:strings.LastIndexByte(dir, '/')+1]
		}
	}
	if dir = strings.Trim(dir, "/"); dir != "" {
		dir += "/"
	}
	e.Name = dir + ".wh..wh..opq"
}

func (g *generator) data() []byte {
	data := make([]byte, g.one([]int{1, 30, 3000, 100000}[g.pick(10, 60, 25, 5)]))
	g.Read(data)
	return data
}

func (g *generator) sparse(e *Entry) {
	if g.one(12) > 0 || e.Type != File {
		return
	}
	e.Data = make([]byte, g.one(200000))
	for n := g.one(8); n > 0 && len(e.Data) > 0; n-- {
		from := g.one(len(e.Data))
		copy(e.Data[from:], bytes.Repeat([]byte{byte(1 + g.one(255))}, g.one(2000)))
	}
	switch e.Form {
	case PAX:
		e.Sparse = Sparse(g.pick(2, 0, 2, 2, 2))
	case GNU:
		e.Sparse = Sparse(g.pick(1, 1))
	}
}

func (g *generator) mode(usual int64) int64 {
	switch g.pick(50, 30, 10, 5) {
	case 0:
		return usual
	case 1:
		return int64(g.one(0o1000))
	case 2:
		return int64(g.one(0o10000))
	}
	return usual | 0o100000 // with the type, as some write it
}

func (g *generator) owner() int64 {
	switch g.pick(50, 30, 10, 5, 3) {
	case 0:
		return 0
	case 1:
		return int64(g.one(2000))
	case 2:
		return int64(g.one(1 << 21))
	case 3:
		return int64(g.one(1<<31 - 1))
	}
	return 1<<31 + int64(g.one(1<<31-2))
}

func (g *generator) time() Time {
	switch g.pick(60, 10, 5, 5, 3, 2) {
	case 0:
		return Time{1500000000 + int64(g.one(100000000)), 0}
	case 1:
		return Time{int64(g.one(1 << 31)), 0}
	case 2:
		return Time{0, 0}
	case 3:
		return Time{-int64(g.one(1 << 31)), 0}
	case 4:
		return Time{1<<32 + int64(g.one(1<<31)), 0}
	}
	return Time{1 << 34, 0}
}

// pax adds what only PAX can say.
func (g *generator) pax(e *Entry) {
	if g.one(3) == 0 {
		e.Modified.Nanoseconds = int64(g.one(1000000000))
	}
	if g.one(6) == 0 {
		at := g.time()
		at.Nanoseconds = int64(g.one(1000000000))
		e.Accessed = &at
	}
	if g.one(5) == 0 {
		for n := 1 + g.one(3); n > 0; n-- {
			e.Xattrs = append(e.Xattrs, g.xattr(len(e.Xattrs)))
		}
	}
	if g.one(20) == 0 {
		e.Libarchive = append(e.Libarchive, g.xattr(g.one(4)))
	}
	if g.one(10) == 0 {
		e.Records = append(e.Records, g.of("comment=hello", "uname=root", "gname=w\u00f6rld", "ctime=1500000000.5", "VENDOR.keyword=1",
			"SCHILY.dev=1", "SCHILY.ino=7", "SCHILY.nlink=2", "LIBARCHIVE.creationtime=1500000000", "hdrcharset=BINARY"))
	}
}

// Capabilities is a value that the kernel accepts for security.capability: cap_net_raw, effective.
const Capabilities = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// ACL is a value that the kernel accepts for system.posix_acl_access: rw for owner and user 7, r for the others.
const ACL = "\x02\x00\x00\x00\x01\x00\x06\x00\xff\xff\xff\xff\x02\x00\x06\x00\x07\x00\x00\x00" +
	"\x04\x00\x04\x00\xff\xff\xff\xff\x10\x00\x06\x00\xff\xff\xff\xff\x20\x00\x04\x00\xff\xff\xff\xff"

func (g *generator) xattr(n int) Xattr {
	name := "user." + string(rune('a'+n))
	switch g.pick(40, 20, 5, 5, 3, 3) {
	case 0:
		value := make([]byte, g.one(60))
		g.Read(value)
		return Xattr{name, string(value)}
	case 1:
		return Xattr{"security.capability", Capabilities}
	case 2:
		return Xattr{"trusted.overlay.opaque", "y"}
	case 3:
		return Xattr{"system.posix_acl_access", ACL}
	case 4:
		return Xattr{"nonsense", "x"}
	}
	return Xattr{name, strings.Repeat("v", 1+g.one(4000))}
}

// spoil makes an entry that should be refused, or is at least doubtful.
func (g *generator) spoil(e *Entry) {
	switch g.one(8) {
	case 0:
		e.Spoiled = true
	case 1:
		e.Type = byte(g.of("7", "S", "V", "M", "D", "9", "A", "s")[0])
		e.Data, e.Sparse = nil, Whole
	case 2:
		e.Xattrs, e.Form = append(e.Xattrs, Xattr{"security.capability", "nonsense"}), PAX
	case 3:
		if e.Type != File && e.Type != OldFile {
			e.Lie = int64(1 + g.one(2000))
		}
	case 4:
		e.Name = strings.Repeat("x", 256+g.one(10))
	case 5:
		e.Records, e.Form = append(e.Records, g.of("size=x", "mtime=x", "path=", "linkpath=", "size=-1", "mtime=1.5.5",
			"GNU.sparse.map=1,2,3", "SCHILY.xattr.=x", "SCHILY.xattr.user.=x", "path=a\x00b", "mtime=1e3")), PAX
	case 6:
		e.Link = ""
	case 7:
		e.Type = Global
		e.Data, e.Sparse = nil, Whole
		e.Records = []string{"comment=global", g.of("path=elsewhere", "mtime=1", "comment=2")}
	}
}
