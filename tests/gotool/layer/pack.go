// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"math/rand"

	"github.com/klauspost/compress/zstd"
)

// Packing is how an archive is compressed.
type Packing struct {
	Kind PackingKind
	Seed int64 // of where it is cut into members
}

// PackingKind is a compression, or something that is none.
type PackingKind int

const (
	Plain PackingKind = iota
	Gzip
	GzipMembers
	GzipExtras // name, comment and extra field in the header
	Zstd
	ZstdFrames    // some of them skippable
	ZstdSkipFirst // begins with a skippable frame
	GzipCut       // ends too early
	GzipBadSum    // its check sum is wrong
	GzipGarbage   // other bytes behind it
	ZstdCut
	ZstdBadSum
	packings
)

func (p Packing) String() string {
	return fmt.Sprintf("%s (%d)", [...]string{"plain", "gzip", "gzip members", "gzip with extras", "zstd", "zstd frames",
		"zstd behind a skippable frame", "gzip, cut", "gzip, wrong check sum", "gzip and garbage", "zstd, cut", "zstd, wrong check sum"}[p.Kind], p.Seed)
}

// Pack compresses. The result depends on its arguments alone.
func (p Packing) Pack(data []byte) []byte {
	random := rand.New(rand.NewSource(p.Seed))
	switch p.Kind {
	case Gzip:
		return gzipped(data, random, gzip.Header{})
	case GzipMembers:
		return inPieces(data, random, func(piece []byte) []byte { return gzipped(piece, random, gzip.Header{}) })
	case GzipExtras:
		return gzipped(data, random, gzip.Header{Name: "layer.tar", Comment: "a comment", Extra: []byte("AB\x02\x00xy")})
	case Zstd:
		return zstded(data, random)
	case ZstdFrames, ZstdSkipFirst:
		var skipped []byte
		if p.Kind == ZstdSkipFirst {
			skipped = skippable(random)
		}
		return append(skipped, inPieces(data, random, func(piece []byte) []byte {
			frame := zstded(piece, random)
			if random.Intn(2) == 0 {
				frame = append(frame, skippable(random)...)
			}
			return frame
		})...)
	case GzipCut:
		packed := gzipped(data, random, gzip.Header{})
		return packed[:10+random.Intn(len(packed)-10)]
	case GzipBadSum:
		packed := gzipped(data, random, gzip.Header{})
		packed[len(packed)-8] ^= 1
		return packed
	case GzipGarbage:
		return append(gzipped(data, random, gzip.Header{}), "and this"...)
	case ZstdCut:
		packed := zstded(data, random)
		return packed[:5+random.Intn(len(packed)-5)]
	case ZstdBadSum:
		packed := zstded(data, random)
		packed[len(packed)-1] ^= 1
		return packed
	}
	return data
}

// inPieces cuts data into one to six pieces, empty ones too.
func inPieces(data []byte, random *rand.Rand, pack func([]byte) []byte) (packed []byte) {
	for pieces := 1 + random.Intn(6); pieces > 1; pieces-- {
		n := 0
		if len(data) > 0 {
			n = random.Intn(len(data))
		}
		packed = append(packed, pack(data[:n])...)
		data = data[n:]
	}
	return append(packed, pack(data)...)
}

func gzipped(data []byte, random *rand.Rand, h gzip.Header) []byte {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, random.Intn(10))
	if err != nil {
		panic(err) // the level is one
	}
	w.Header = h
	_, _ = w.Write(data) // to memory
	_ = w.Close()
	return out.Bytes()
}

func zstded(data []byte, random *rand.Rand) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true),
		zstd.WithEncoderLevel(zstd.EncoderLevel(1+random.Intn(3))), zstd.WithZeroFrames(true))
	if err != nil {
		panic(err) // the options are fixed
	}
	defer w.Close()
	return w.EncodeAll(data, nil)
}

func skippable(random *rand.Rand) []byte {
	frame := make([]byte, 8+random.Intn(100))
	binary.LittleEndian.PutUint32(frame, 0x184D2A50+uint32(random.Intn(16)))
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(frame)-8))
	return frame
}
