// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

const block = 512

// Archive is the uncompressed stream. As reference it is what containerd is given in its place: LIBARCHIVE.xattr, which
// bsdtar writes beside SCHILY.xattr and others alone, is SCHILY.xattr where that one does not say otherwise; we know both.
func (l *Layer) Archive(reference bool) []byte {
	if l.Nothing {
		return nil
	}
	var out bytes.Buffer
	for _, e := range l.Entries {
		if reference {
			e = e.forContainerd()
		}
		e.write(&out)
	}
	switch l.Ending {
	case Cut:
		return out.Bytes()[:out.Len()*l.CutAt/1000]
	case NoBlocks:
		return out.Bytes()
	case OneBlock:
		out.Write(make([]byte, block))
		return out.Bytes()
	case OneBlockAndMore:
		out.Write(make([]byte, block))
		(&Entry{Name: "behind", Type: File, Mode: 0o644, Data: []byte("x")}).write(&out)
	}
	out.Write(make([]byte, 2*block))
	switch l.Ending {
	case Record:
		if rest := out.Len() % 10240; rest > 0 {
			out.Write(make([]byte, 10240-rest))
		}
	case TrailingData:
		out.Write(bytes.Repeat([]byte("behind the end\n"), 100+l.CutAt))
	case AnotherArchive:
		(&Entry{Name: "behind", Type: File, Mode: 0o644, Data: []byte("x")}).write(&out)
		out.Write(make([]byte, 2*block))
	}
	return out.Bytes()
}

func (e *Entry) forContainerd() *Entry {
	twin := *e
	if len(e.Libarchive) > 0 {
		twin.Xattrs = append([]Xattr(nil), e.Xattrs...)
		twin.Libarchive = nil
	next:
		for _, x := range e.Libarchive {
			for _, other := range e.Xattrs {
				if x.Name == other.Name {
					continue next
				}
			}
			twin.Xattrs = append(twin.Xattrs, x)
		}
	}
	return &twin
}

// segment is a piece of data between holes.
type segment struct{ offset, size int }

// segments finds the holes of at least a block in data.
func segments(data []byte) (found []segment) {
	for at := 0; at < len(data); {
		end := at + block
		if end > len(data) {
			end = len(data)
		}
		if strings.Trim(string(data[at:end]), "\x00") != "" {
			if n := len(found); n > 0 && found[n-1].offset+found[n-1].size == at {
				found[n-1].size += end - at
			} else {
				found = append(found, segment{at, end - at})
			}
		}
		at = end
	}
	return found
}

type records struct{ bytes.Buffer }

// add writes one PAX record, whose length counts itself.
func (r *records) add(key, value string) {
	size := len(key) + len(value) + 3
	total := size + len(strconv.Itoa(size))
	if len(strconv.Itoa(total)) > len(strconv.Itoa(size)) {
		total++
	}
	fmt.Fprintf(r, "%d %s=%s\n", total, key, value)
}

func (e *Entry) write(out *bytes.Buffer) {
	data, size := e.Data, int64(len(e.Data))+e.Lie
	typeflag := e.Type
	pax := &records{}
	name := e.Name
	if e.Sparse != Whole {
		pieces := segments(e.Data)
		if n := len(pieces); n == 0 || pieces[n-1].offset+pieces[n-1].size < len(e.Data) { // as GNU tar has it
			pieces = append(pieces, segment{len(e.Data), 0})
		}
		data = nil
		for _, s := range pieces {
			data = append(data, e.Data[s.offset:s.offset+s.size]...)
		}
		size = int64(len(data))
		if e.Sparse == SparseGNU {
			e.writeSparseGNU(out, pieces, data)
			return
		}
		data = e.sparseRecords(pax, pieces, data)
		size = int64(len(data))
		if e.Sparse != Sparse00 {
			name = "GNUSparseFile.1/" + baseOf(e.Name)
		}
	}
	for _, x := range e.Xattrs {
		pax.add("SCHILY.xattr."+x.Name, x.Value)
	}
	for _, x := range e.Libarchive {
		pax.add("LIBARCHIVE.xattr."+url.PathEscape(x.Name), base64.RawStdEncoding.EncodeToString([]byte(x.Value)))
	}
	for _, r := range e.Records {
		key, value, _ := strings.Cut(r, "=")
		pax.add(key, value)
	}
	if e.Type == Global && e.Lie == 0 {
		writeMember(out, "pax_global_header", 'g', pax.Bytes())
		return
	}
	h := &header{form: e.Form, numbers: e.Numbers}
	h.setName(name, out, pax)
	h.setLink(e.Link, out, pax)
	h.number(100, 8, e.Mode, "", pax)
	h.number(108, 8, e.UID, "uid", pax)
	h.number(116, 8, e.GID, "gid", pax)
	h.number(124, 12, size, "size", pax)
	h.setTimes(e, pax)
	h.b[156] = typeflag
	h.number(329, 8, e.Major, "", pax)
	h.number(337, 8, e.Minor, "", pax)
	if pax.Len() > 0 {
		writeMember(out, "PaxHeaders.1/"+baseOf(e.Name), 'x', pax.Bytes())
	}
	h.finish(e.Spoiled)
	out.Write(h.b[:])
	writePadded(out, data)
}

func (e *Entry) sparseRecords(pax *records, pieces []segment, data []byte) []byte {
	size := strconv.Itoa(len(e.Data))
	switch e.Sparse {
	case Sparse00:
		pax.add("GNU.sparse.size", size)
		pax.add("GNU.sparse.numblocks", strconv.Itoa(len(pieces)))
		for _, s := range pieces {
			pax.add("GNU.sparse.offset", strconv.Itoa(s.offset))
			pax.add("GNU.sparse.numbytes", strconv.Itoa(s.size))
		}
	case Sparse01:
		var list []string
		for _, s := range pieces {
			list = append(list, strconv.Itoa(s.offset), strconv.Itoa(s.size))
		}
		pax.add("GNU.sparse.size", size)
		pax.add("GNU.sparse.numblocks", strconv.Itoa(len(pieces)))
		pax.add("GNU.sparse.map", strings.Join(list, ","))
		pax.add("GNU.sparse.name", e.Name)
	case Sparse10:
		pax.add("GNU.sparse.major", "1")
		pax.add("GNU.sparse.minor", "0")
		pax.add("GNU.sparse.name", e.Name)
		pax.add("GNU.sparse.realsize", size)
		list := fmt.Sprintf("%d\n", len(pieces))
		for _, s := range pieces {
			list += fmt.Sprintf("%d\n%d\n", s.offset, s.size)
		}
		padded := make([]byte, (len(list)+block-1)/block*block)
		copy(padded, list)
		return append(padded, data...)
	}
	return data
}

// writeSparseGNU writes type S: four pieces in the header, the others in blocks behind it.
func (e *Entry) writeSparseGNU(out *bytes.Buffer, pieces []segment, data []byte) {
	h := &header{form: GNU, numbers: e.Numbers}
	h.setName(e.Name, out, nil)
	h.number(100, 8, e.Mode, "", nil)
	h.number(108, 8, e.UID, "", nil)
	h.number(116, 8, e.GID, "", nil)
	h.number(124, 12, int64(len(data)), "", nil)
	h.setTimes(e, nil)
	h.b[156] = 'S'
	put := func(b []byte, s segment) {
		copy(b, fmt.Sprintf("%011o\x00%011o\x00", s.offset, s.size))
	}
	at := 386
	for len(pieces) > 0 && at < 386+4*24 {
		put(h.b[at:], pieces[0])
		pieces, at = pieces[1:], at+24
	}
	if len(pieces) > 0 {
		h.b[482] = 1
	}
	copy(h.b[483:], fmt.Sprintf("%011o\x00", len(e.Data)))
	h.finish(e.Spoiled)
	out.Write(h.b[:])
	for len(pieces) > 0 {
		var more [block]byte
		for i := 0; i < 21 && len(pieces) > 0; i++ {
			put(more[i*24:], pieces[0])
			pieces = pieces[1:]
		}
		if len(pieces) > 0 {
			more[504] = 1
		}
		out.Write(more[:])
	}
	writePadded(out, data)
}

func writePadded(out *bytes.Buffer, data []byte) {
	out.Write(data)
	if rest := len(data) % block; rest > 0 {
		out.Write(make([]byte, block-rest))
	}
}

// writeMember writes an entry that describes the next one.
func writeMember(out *bytes.Buffer, name string, typeflag byte, data []byte) {
	h := &header{form: USTAR}
	if typeflag == 'L' || typeflag == 'K' {
		h.form = GNU
	}
	if len(name) > 100 {
		name = name[:100]
	}
	copy(h.b[:100], name)
	h.number(100, 8, 0o644, "", nil)
	h.number(108, 8, 0, "", nil)
	h.number(116, 8, 0, "", nil)
	h.number(124, 12, int64(len(data)), "", nil)
	h.number(136, 12, 0, "", nil)
	h.b[156] = typeflag
	h.finish(false)
	out.Write(h.b[:])
	writePadded(out, data)
}

func baseOf(name string) string {
	name = strings.TrimRight(name, "/")
	name = name[strings.LastIndexByte(name, '/')+1:]
	if len(name) > 60 {
		name = name[:60]
	}
	return name
}
