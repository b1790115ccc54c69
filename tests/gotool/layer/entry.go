// SPDX-License-Identifier: Apache-2.0

// Package layer makes archives of layers, odd ones too, from a seed, and compares trees that were made of them.
package layer

import (
	"fmt"
	"strings"
	"time"
)

// Form is the dialect of tar that an entry is written in.
type Form int

const (
	PAX Form = iota
	USTAR
	GNU
	V7
)

// Types of entries; those that archive/tar has names for, and some more.
const (
	File       = '0'
	OldFile    = 0
	HardLink   = '1'
	Symlink    = '2'
	CharDevice = '3'
	Device     = '4'
	Dir        = '5'
	FIFO       = '6'
	Contiguous = '7'
	Global     = 'g'
)

// Sparse is the way in which the holes of a file are left out.
type Sparse int

const (
	Whole Sparse = iota
	SparseGNU
	Sparse00
	Sparse01
	Sparse10
)

// Time may lie outside of what a file system takes.
type Time struct {
	Seconds, Nanoseconds int64
}

// At is a Time.
func At(t time.Time) Time { return Time{t.Unix(), int64(t.Nanosecond())} }

// Xattr is an extended attribute.
type Xattr struct{ Name, Value string }

// Entry is one member of an archive.
type Entry struct {
	Name         string
	Type         byte
	Mode         int64
	UID, GID     int64
	Modified     Time
	Accessed     *Time
	Link         string
	Major, Minor int64
	Data         []byte
	Lie          int64 // what the size field says of an entry that has no data
	Xattrs       []Xattr
	Libarchive   []Xattr  // as LIBARCHIVE.xattr
	Records      []string // more PAX records: key=value
	Form         Form
	Sparse       Sparse
	Numbers      int // how numbers are written
	Spoiled      bool
}

func (e *Entry) String() string {
	var s strings.Builder
	form := [...]string{"pax", "ustar", "gnu", "v7"}[e.Form]
	kind := "old file"
	if e.Type != OldFile {
		kind = string(rune(e.Type))
	}
	fmt.Fprintf(&s, "%-5s %s %q mode %o owner %d:%d mtime %d.%09d", form, kind, short(e.Name), e.Mode, e.UID, e.GID, e.Modified.Seconds, e.Modified.Nanoseconds)
	if e.Accessed != nil {
		fmt.Fprintf(&s, " atime %d.%09d", e.Accessed.Seconds, e.Accessed.Nanoseconds)
	}
	if e.Link != "" {
		fmt.Fprintf(&s, " link %q", short(e.Link))
	}
	if e.Major != 0 || e.Minor != 0 {
		fmt.Fprintf(&s, " device %d,%d", e.Major, e.Minor)
	}
	if len(e.Data) > 0 {
		fmt.Fprintf(&s, " %d bytes", len(e.Data))
	}
	if e.Lie != 0 {
		fmt.Fprintf(&s, " size field %d", e.Lie)
	}
	for _, x := range e.Xattrs {
		fmt.Fprintf(&s, " xattr %q=%q", x.Name, x.Value)
	}
	for _, x := range e.Libarchive {
		fmt.Fprintf(&s, " libarchive xattr %q=%q", x.Name, x.Value)
	}
	for _, r := range e.Records {
		fmt.Fprintf(&s, " record %q", r)
	}
	if e.Sparse != Whole {
		fmt.Fprintf(&s, " sparse %d", e.Sparse)
	}
	if e.Numbers != 0 {
		fmt.Fprintf(&s, " numbers %d", e.Numbers)
	}
	if e.Spoiled {
		s.WriteString(" with a wrong checksum")
	}
	return s.String()
}

func short(text string) string {
	if len(text) > 60 {
		return fmt.Sprintf("%s...%s (%d)", text[:30], text[len(text)-10:], len(text))
	}
	return text
}

// Ending is what follows the last entry.
type Ending int

const (
	TwoBlocks Ending = iota
	Record           // two blocks, padded to 10 KiB as tar does
	NoBlocks
	OneBlock
	TrailingData    // behind two blocks
	AnotherArchive  // behind two blocks
	OneBlockAndMore // one block, then an entry
	Cut             // somewhere
)

// Layer is an archive and what it is packed in.
type Layer struct {
	Entries []*Entry
	Ending  Ending
	CutAt   int // of 1000
	Packing Packing
	Media   string
	Nothing bool // not even an archive: no byte
}

func (l *Layer) String() string {
	if l.Nothing {
		return fmt.Sprintf("nothing, %v, %s\n", l.Packing, l.Media)
	}
	var s strings.Builder
	for _, e := range l.Entries {
		fmt.Fprintf(&s, "  %v\n", e)
	}
	fmt.Fprintf(&s, "  ending %d (cut at %d), %v, %s\n", l.Ending, l.CutAt, l.Packing, l.Media)
	return s.String()
}

// Describe lists layers, the lowest first.
func Describe(layers []*Layer) string {
	var s strings.Builder
	for i, l := range layers {
		fmt.Fprintf(&s, "layer %d:\n%v", i, l)
	}
	return s.String()
}
