// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/layer"
)

// victim is a folder beside the stores that hostile archives aim at.
type victim struct {
	dir    string
	before layer.Tree
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{dir: t.TempDir()}
	must(t, harness.Files{"file": "precious\n", "sub/file": "precious, too\n", "sub/other": "x"}.Write(v.dir))
	must(t, os.Chmod(v.dir+"/file", 0o4711))
	must(t, setXattr(v.dir+"/file", "user.a", "1"))
	must(t, os.Symlink("file", v.dir+"/link"))
	var err error
	v.before, err = layer.Scan(v.dir)
	must(t, err)
	return v
}

// check tells whether anything of the victim has changed, its own attributes included.
func (v *victim) check(t *testing.T) {
	t.Helper()
	after, err := layer.Scan(v.dir)
	must(t, err)
	for _, problem := range (layer.Comparison{AccessTimes: false}).Compare(after, v.before) {
		t.Errorf("outside of the target: %s", problem)
	}
	if !after["."].Modified.Equal(v.before["."].Modified) {
		t.Error("the folder outside of the target was written to")
	}
}

func member(name string, kind byte, link string) *layer.Entry {
	e := &layer.Entry{Name: name, Type: kind, Mode: 0o4777, UID: 12, GID: 34, Modified: layer.Time{Seconds: 1},
		Link: link, Xattrs: []layer.Xattr{{Name: "user.a", Value: "hostile"}}}
	if kind == layer.File {
		e.Data = []byte("hostile\n")
	}
	if kind == layer.Symlink || kind == layer.HardLink {
		e.Xattrs = nil
	}
	return e
}

// attacks are archives that try to reach %s, an absolute path that is outside. Some are refused, the others end
// inside of the target.
func attacks(outside string) map[string][]*layer.Entry {
	up := strings.Repeat("../", 20)
	f, d, s, h := byte(layer.File), byte(layer.Dir), byte(layer.Symlink), byte(layer.HardLink)
	m := member
	return map[string][]*layer.Entry{
		"absolute name":                     {m(outside+"/file", f, ""), m(outside+"/sub/", d, "")},
		"name with dots":                    {m(up+outside+"/file", f, ""), m("a/../../"+up+outside+"/new", f, "")},
		"whiteout by absolute name":         {m(outside+"/.wh.file", f, ""), m(outside+"/.wh..wh..opq", f, "")},
		"whiteout by dots":                  {m(up+outside+"/.wh.sub", f, "")},
		"symlink, then a file through it":   {m("l", s, outside), m("l/file", f, ""), m("l/new", f, "")},
		"symlink, then a folder through it": {m("l", s, outside), m("l/sub/", d, ""), m("l/sub/new/", d, "")},
		"symlink, then itself as a folder":  {m("l", s, outside), m("l/", d, "")},
		"symlink, then a whiteout":          {m("l", s, outside), m("l/.wh.file", f, "")},
		"symlink, then an opaque whiteout":  {m("l", s, outside), m("l/.wh..wh..opq", f, "")},
		"symlink, then a link from it":      {m("l", s, outside), m("h", h, "l/file"), m("h", f, "")},
		"symlink to a file, written to":     {m("l", s, outside+"/file"), m("l", f, "")},
		"symlink to a file, linked":         {m("l", s, outside+"/file"), m("h", h, "l"), m("h/x", f, "")},
		"symlink by dots":                   {m("a/l", s, up+outside), m("a/l/file", f, "")},
		"symlinks on symlinks":              {m("a", s, up), m("b", s, "a"+outside), m("b/file", f, ""), m("c", s, "b/sub"), m("c/.wh.file", f, "")},
		"symlink over the root":             {m(".", s, outside), m("./", s, outside), m("file", f, "")},
		"hard link to outside":              {m("h", h, outside+"/file"), m("h", f, "")},
		"hard link by dots":                 {m("h", h, up+outside+"/file"), m("h", f, "")},
		"hard link to the parent":           {m("h", h, ".."), m("h/x", f, "")},
		"hard link to a symlink to outside": {m("s", s, outside+"/file"), m("h", h, "s"), {Name: "h", Type: layer.HardLink, Link: "s", Mode: 0o7777, UID: 99, GID: 99}},
		"folder swapped for a symlink":      {m("d/", d, ""), m("d/sub/", d, ""), m("d", s, outside), m("d/file", f, ""), m("d/sub/file", f, "")},
		"folder swapped, times at the end":  {m("sub/", d, ""), m("sub", s, outside)},
		"parent swapped, times at the end":  {m("x/sub/", d, ""), m("x", s, outside)},
		"opaque folder full of symlinks":    {m("d/l", s, outside), m("d/.wh..wh..opq", f, "")},
		"device instead of the folder":      {m("d", layer.CharDevice, ""), m("d/file", f, "")},
		"proc":                              {m("p", s, "/proc/self/cwd"), m("p/new", f, ""), m("q", s, "/proc/self/root"), m("q"+outside+"/file", f, "")},
		"whiteout of dots":                  {m(".wh...", f, "")},
		"whiteout of a dot":                 {m("a/.wh..", f, "")},
		"whiteout of nothing":               {m("a/.wh.", f, "")},
		"whiteout that is a folder":         {m(".wh.../", d, ""), m(".wh.../"+outside+"/file", f, "")},
		"whiteout with slashes":             {m(".wh."+outside+"/file", f, ""), m("a/.wh.../../file", f, "")},
		"whiteout of the root":              {m(".wh..wh..opq", f, ""), m("/.wh..", f, "")},
	}
}

func TestDiffHostileArchivesChangeNothingOutside(t *testing.T) {
	harness.NeedRoot(t)
	u := startDiff(t, "", withoutFlush)
	v := newVictim(t)
	c := newCanary(t)
	must(t, u.s.Layer("base", "", harness.Files{"sub/file": "base\n"}))
	refused := 0
	for what, entries := range attacks(v.dir) {
		t.Run(what, func(t *testing.T) {
			for _, parent := range []string{"", "base"} {
				key, _ := u.prepared(t, parent)
				_, err := u.apply(ociLayer, (&layer.Layer{Entries: entries}).Archive(false), key)
				if err != nil {
					refused++
					plain(t, err)
				}
				v.check(t)
				u.removed(t, key)
			}
		})
		v.before, _ = layer.Scan(v.dir) // one report of each
	}
	t.Logf("%d of %d were refused", refused, 2*len(attacks("")))
	must(t, u.s.Remove("base"))
	c.check(t)
	answers(t, u.d)
	u.nothingLeft(t)
}

// plain checks that an error says what is wrong with the archive, and whose fault it is.
func plain(t *testing.T, err error) {
	t.Helper()
	switch status.Code(err) {
	case codes.InvalidArgument, codes.ResourceExhausted, codes.DataLoss, codes.FailedPrecondition:
	default:
		if !standIn() {
			t.Errorf("an archive that is refused gives %v", err)
		}
	}
	if text := status.Convert(err).Message(); len(text) < 10 || len(text) > 1000 {
		t.Errorf("the text %q says too little, or too much", text)
	}
}

// gzippedZeros is a gzip of so many MiB of zeros.
func gzippedZeros(mebibytes int) []byte {
	one := layer.Packing{Kind: layer.Gzip, Seed: 1}.Pack(make([]byte, 64<<20))
	return bytes.Repeat(one, mebibytes/64)
}

// bomb is a gzip of an archive with one file of zeros.
func bomb(name string, mebibytes int) []byte {
	head := (&layer.Layer{Entries: []*layer.Entry{{Name: name, Type: layer.File, Mode: 0o644, Lie: int64(mebibytes) << 20}}, Ending: layer.NoBlocks}).Archive(false)
	blob := layer.Packing{Kind: layer.Gzip}.Pack(head)
	return append(append(blob, gzippedZeros(mebibytes)...), layer.Packing{Kind: layer.Gzip}.Pack(make([]byte, 1024))...)
}

// What memory an Apply may take, whatever the archive says, beyond what the daemon has anyway.
const applyBound = 64

func (u *unpacker) bounded(t *testing.T, what string) {
	t.Helper()
	if !standIn() {
		checkMemory(t, u.d, what, applyBound)
	}
}

func TestDiffTenGiBOfZeros(t *testing.T) {
	needClonefs(t)
	t.Run("by default", func(t *testing.T) {
		size := mebibytes(2 << 10) // what is written costs time here
		blob := bomb("zeros", size)
		u := startDiff(t, "", withoutFlush)
		key, dir := u.prepared(t, "")
		free := freeBytes(t, u.d.Root)
		answer, err := u.apply(ociLayer+"+gzip", blob, key)
		if err != nil { // full, or against a limit
			fails(t, err, codes.ResourceExhausted)
		} else {
			info, err := os.Stat(dir + "/zeros")
			must(t, err)
			equal(t, "size", info.Size(), int64(size)<<20)
			equal(t, "size of the archive", answer.Size_, int64(size)<<20+1536) // a header, the end
		}
		t.Logf("%d MiB of disk, error %v", (free-freeBytes(t, u.d.Root))>>20, err)
		u.bounded(t, "zeros")
		u.removed(t, key)
		u.nothingLeft(t)
	})
	t.Run("against limits", func(t *testing.T) {
		blob := bomb("zeros", 10<<10)
		t.Logf("10 GiB in %d KiB", len(blob)>>10)
		for setting, word := range map[string]string{"max_ratio = 100": "ratio", "max_bytes = 1000000000": "bytes"} {
			u := startDiff(t, "", withoutFlush+setting+"\n")
			key, _ := u.prepared(t, "")
			_, err := u.apply(ociLayer+"+gzip", blob, key)
			if err == nil {
				t.Fatalf("%s: not refused", setting)
			}
			plain(t, err)
			if text := err.Error(); !strings.Contains(text, word) && !strings.Contains(text, "times") {
				t.Errorf("%s: the text does not say it: %v", setting, err)
			}
			u.bounded(t, "zeros")
			u.removed(t, key)
			u.nothingLeft(t)
		}
	})
}

// manyEntries is a gzip of an archive of count entries that each(i) gives; it is made without keeping it whole.
func manyEntries(t *testing.T, count int, each func(i int) *layer.Entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	must(t, err)
	for i := 0; i < count; i++ {
		_, err = w.Write((&layer.Layer{Entries: []*layer.Entry{each(i)}, Ending: layer.NoBlocks}).Archive(false))
		must(t, err)
	}
	_, err = w.Write(make([]byte, 1024))
	must(t, err)
	must(t, w.Close())
	return out.Bytes()
}

// Floods of entries that cost nothing in the archive. CLONEFS_ENTRIES=1000000 takes a minute or more.
func TestDiffFloodsOfEmptyEntries(t *testing.T) {
	needClonefs(t)
	count := harness.EnvInt("CLONEFS_ENTRIES", 200000)
	if slowBuild() {
		count /= 8
	}
	u := startDiff(t, "", withoutFlush)
	// Most of them are the same few folders again and again: what is remembered for the end must not grow.
	blob := manyEntries(t, count, func(i int) *layer.Entry {
		if i%20 > 0 {
			return &layer.Entry{Name: fmt.Sprintf("d%d/", i%7), Type: layer.Dir, Mode: 0o755, Form: layer.USTAR}
		}
		return &layer.Entry{Name: fmt.Sprintf("d%d/f%d", i%7, i), Type: layer.File, Mode: 0o644, Form: layer.USTAR}
	})
	key, dir := u.prepared(t, "")
	_, err := u.apply(ociLayer+"+gzip", blob, key)
	must(t, err)
	files := 0
	for i := 0; i < 7; i++ {
		entries, err := os.ReadDir(fmt.Sprintf("%s/d%d", dir, i))
		must(t, err)
		files += len(entries)
	}
	equal(t, "number of files", files, count/20)
	u.bounded(t, fmt.Sprintf("%d entries", count))
	u.removed(t, key)

	key, _ = u.prepared(t, "")
	blob = manyEntries(t, count/20, func(i int) *layer.Entry {
		return &layer.Entry{Name: fmt.Sprintf("%c/%d/", 'a'+i%20, i), Type: layer.Dir, Mode: 0o755, Form: layer.USTAR}
	})
	_, err = u.apply(ociLayer+"+gzip", blob, key)
	must(t, err)
	u.bounded(t, "and many folders")
	u.removed(t, key)
	must(t, u.d.AwaitDeletion(2*time.Minute))
	u.nothingLeft(t)
}

func TestDiffLimitsOfEntries(t *testing.T) {
	needClonefs(t)
	u := startDiff(t, "", withoutFlush+"max_entries = 1000\nmax_depth = 10\nmax_header_bytes = 20000\nmax_xattr_bytes = 1000\n")
	device := func(i int) *layer.Entry {
		return &layer.Entry{Name: fmt.Sprintf("device%d", i), Type: layer.CharDevice, Mode: 0o666, Major: 1, Minor: int64(i), Form: layer.USTAR}
	}
	one := func(e *layer.Entry) []byte { return (&layer.Layer{Entries: []*layer.Entry{e}}).Archive(false) }
	key, _ := u.prepared(t, "")
	_, err := u.apply(ociLayer+"+gzip", manyEntries(t, 1000, device), key)
	must(t, err)
	u.removed(t, key)
	for what, c := range map[string]struct {
		limit string
		media string
		blob  []byte
	}{
		"entries": {"1000", ociLayer + "+gzip", manyEntries(t, 1001, device)},
		"depth":   {"10", ociLayer, one(&layer.Entry{Name: strings.Repeat("d/", 10) + "x", Type: layer.File})},
		"header":  {"20000", ociLayer, one(&layer.Entry{Name: "x", Type: layer.File, Records: []string{"comment=" + strings.Repeat("x", 30000)}})},
		"xattr":   {"1000", ociLayer, one(&layer.Entry{Name: "x", Type: layer.File, Xattrs: []layer.Xattr{{Name: "user.a", Value: strings.Repeat("x", 1001)}}})},
	} {
		t.Run(what, func(t *testing.T) {
			key, _ := u.prepared(t, "")
			_, err := u.apply(c.media, c.blob, key)
			if err == nil {
				t.Fatal("not refused")
			}
			plain(t, err)
			if !strings.Contains(err.Error(), "more than "+c.limit) {
				t.Errorf("the text does not name the limit: %v", err)
			}
			t.Log(err)
			u.removed(t, key)
		})
	}
	u.nothingLeft(t)
}

func TestDiffHugeHeaders(t *testing.T) {
	needClonefs(t)
	u := startDiff(t, "", withoutFlush)
	big := strings.Repeat("x", 40<<20)
	claim := func(size int64, kind byte) []byte { // that so many bytes follow
		return (&layer.Layer{Entries: []*layer.Entry{{Name: "x", Type: kind, Lie: size, Form: layer.GNU}}, Ending: layer.NoBlocks}).Archive(false)
	}
	for what, stream := range map[string][]byte{
		"pax record":               (&layer.Layer{Entries: []*layer.Entry{{Name: "x", Type: layer.File, Records: []string{"comment=" + big}}}}).Archive(false),
		"many pax records":         (&layer.Layer{Entries: []*layer.Entry{{Name: "x", Type: layer.File, Records: manyRecords(600000)}}}).Archive(false),
		"xattr":                    (&layer.Layer{Entries: []*layer.Entry{{Name: "x", Type: layer.File, Xattrs: []layer.Xattr{{Name: "user.a", Value: big}}}}}).Archive(false),
		"long name of GNU":         (&layer.Layer{Entries: []*layer.Entry{{Name: big, Type: layer.File, Form: layer.GNU}}}).Archive(false),
		"long link of GNU":         (&layer.Layer{Entries: []*layer.Entry{{Name: "x", Link: big, Type: layer.Symlink, Form: layer.GNU}}}).Archive(false),
		"pax header of 8 EiB":      claim(1<<62, 'x'),
		"global header of 8 EiB":   claim(1<<62, 'g'),
		"name of 8 EiB":            claim(1<<62, 'L'),
		"file of 8 EiB, no data":   claim(1<<62, layer.File),
		"file of negative size":    claim(-1, layer.File),
		"pax header of no records": claim(4096, 'x'),
	} {
		t.Run(what, func(t *testing.T) {
			key, _ := u.prepared(t, "")
			packed := layer.Packing{Kind: layer.Gzip, Seed: 3}.Pack(stream)
			_, err := u.apply(ociLayer+"+gzip", packed, key)
			if err == nil {
				t.Error("not refused")
			} else {
				plain(t, err)
				t.Logf("%.200s", err)
			}
			u.removed(t, key)
		})
	}
	u.bounded(t, "huge headers")
	answers(t, u.d)
	u.nothingLeft(t)
}

func manyRecords(count int) []string {
	records := make([]string, count)
	for i := range records {
		records[i] = fmt.Sprintf("VENDOR.%d=some value of a record, so that there are many bytes", i)
	}
	return records
}

func TestDiffDeepAndLongNames(t *testing.T) {
	needClonefs(t)
	u := startDiff(t, "", withoutFlush)
	v := newVictim(t)
	apply := func(entries ...*layer.Entry) (string, error) {
		key, dir := u.prepared(t, "")
		_, err := u.apply(ociLayer, (&layer.Layer{Entries: entries}).Archive(false), key)
		u.removedLater(t, key)
		return dir, err
	}
	long := strings.Repeat("n", 255)
	dir, err := apply(member(long+"/"+long+"/"+layer.OddName+"\x01", layer.File, ""))
	must(t, err)
	if _, err := os.Lstat(filepath.Join(dir, long, long, layer.OddName+"\x01")); err != nil {
		t.Error(err)
	}
	_, err = apply(member(long+"n", layer.File, ""))
	fails(t, err, codes.InvalidArgument)
	_, err = apply(member(strings.Repeat("d/", 1000)+"file", layer.File, ""), member(strings.Repeat("d/", 1000)+"other/", layer.Dir, ""),
		member("l", layer.Symlink, strings.Repeat("d/", 500)), member("l/"+strings.Repeat("d/", 400)+"x", layer.File, ""))
	must(t, err)
	_, err = apply(member(strings.Repeat("d/", 1100)+"file", layer.File, ""))
	if err == nil {
		t.Error("1100 folders in each other are not refused")
	} else {
		plain(t, err)
	}
	// Each archive by itself is within the limit; what they make together is not.
	key, _ := u.prepared(t, "")
	steps := []*layer.Entry{}
	at := strings.Repeat("e/", 500)
	for i := 0; i < 8; i++ {
		steps = append(steps, member(at, layer.Dir, ""), member("m", layer.Symlink, "/m2"))
		steps = append(steps, member(fmt.Sprintf("s%d", i), layer.Symlink, at))
		at = fmt.Sprintf("s%d/", i) + strings.Repeat("e/", 500)
	}
	if _, err = u.apply(ociLayer, (&layer.Layer{Entries: steps}).Archive(false), key); err != nil {
		plain(t, err)
	}
	u.removed(t, key)
	v.check(t)
	u.bounded(t, "deep and long names")
	answers(t, u.d)
}

// removedLater removes a snapshot at the end of the test, which must work.
func (u *unpacker) removedLater(t *testing.T, key string) {
	t.Cleanup(func() { u.removed(t, key) })
}
