// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// header is the block in front of an entry.
type header struct {
	b       [block]byte
	form    Form
	numbers int
}

// number writes an octal number; what does not fit goes into a PAX record of that key, or is binary as GNU tar has it.
func (h *header) number(at, width int, value int64, key string, pax *records) {
	field := h.b[at : at+width]
	digits := width - 1
	if value >= 0 && value < 1<<(3*uint(digits)) {
		switch h.numbers {
		case 1: // the old way, blanks in front and behind
			if value < 1<<(3*uint(digits-1)) {
				copy(field, fmt.Sprintf("%*o \x00", digits-1, value))
				return
			}
		case 2: // ended by a blank
			copy(field, fmt.Sprintf("%0*o ", digits, value))
			return
		case 3: // binary, though it would fit
			if h.form == GNU {
				inBinary(field, value)
				return
			}
		}
		copy(field, fmt.Sprintf("%0*o\x00", digits, value))
		return
	}
	if key != "" && pax != nil && h.form == PAX {
		pax.add(key, strconv.FormatInt(value, 10))
		copy(field, fmt.Sprintf("%0*o\x00", digits, 0))
		return
	}
	inBinary(field, value)
}

// inBinary is GNU's form of big and of negative numbers.
func inBinary(field []byte, value int64) {
	for i := len(field) - 1; i >= 0; i-- {
		field[i] = byte(value)
		value >>= 8
	}
	field[0] |= 0x80
}

func (h *header) setName(name string, out *bytes.Buffer, pax *records) {
	if len(name) <= 100 && !(h.form == PAX && needsRecord(name)) {
		copy(h.b[:100], name)
		return
	}
	if h.form == USTAR {
		if prefix, rest, ok := split(name); ok {
			copy(h.b[:100], rest)
			copy(h.b[345:500], prefix)
			return
		}
	}
	if h.form == GNU || pax == nil {
		h.form = GNU
		writeMember(out, "././@LongLink", 'L', append([]byte(name), 0))
	} else {
		h.form = PAX
		pax.add("path", name)
		name = onlyASCII(name)
	}
	copy(h.b[:100], name)
}

func (h *header) setLink(link string, out *bytes.Buffer, pax *records) {
	if len(link) > 100 || h.form == PAX && needsRecord(link) {
		if h.form == GNU {
			writeMember(out, "././@LongLink", 'K', append([]byte(link), 0))
		} else {
			h.form = PAX
			pax.add("linkpath", link)
			link = onlyASCII(link)
		}
	}
	copy(h.b[157:257], link)
}

func needsRecord(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r >= 0x80 }) >= 0
}

// onlyASCII is what Go's writer puts into the header when a record has the whole: maybe nothing.
func onlyASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 0x80 {
			return -1
		}
		return r
	}, text)
}

// split finds the two parts of a name as ustar has them.
func split(name string) (prefix, rest string, ok bool) {
	for i := len(name) - 2; i > 0; i-- {
		if name[i] == '/' && i <= 155 && len(name)-i-1 <= 100 {
			return name[:i], name[i+1:], true
		}
	}
	return "", "", false
}

func (h *header) setTimes(e *Entry, pax *records) {
	fits := e.Modified.Seconds >= 0 && e.Modified.Seconds < 1<<33
	if h.form == PAX && pax != nil {
		if e.Modified.Nanoseconds != 0 || !fits {
			pax.add("mtime", e.Modified.text())
		}
		if e.Accessed != nil {
			pax.add("atime", e.Accessed.text())
		}
		if !fits {
			h.number(136, 12, 0, "", nil)
			return
		}
	}
	h.number(136, 12, e.Modified.Seconds, "", nil)
}

// text is the decimal form of PAX records.
func (t Time) text() string {
	seconds, nanoseconds, sign := t.Seconds, t.Nanoseconds, ""
	if seconds < 0 {
		sign = "-"
		if nanoseconds > 0 {
			seconds, nanoseconds = seconds+1, 1e9-nanoseconds
		}
		seconds = -seconds
	}
	if nanoseconds == 0 {
		return fmt.Sprintf("%s%d", sign, seconds)
	}
	return strings.TrimRight(fmt.Sprintf("%s%d.%09d", sign, seconds, nanoseconds), "0")
}

func (h *header) finish(spoil bool) {
	switch h.form {
	case PAX, USTAR:
		copy(h.b[257:], "ustar\x0000")
	case GNU:
		copy(h.b[257:], "ustar  \x00")
	case V7:
		for i := 257; i < block; i++ {
			h.b[i] = 0
		}
	}
	copy(h.b[148:156], "        ")
	sum := 0
	for _, c := range h.b {
		sum += int(c)
	}
	if spoil {
		sum++
	}
	copy(h.b[148:156], fmt.Sprintf("%06o\x00 ", sum))
}
