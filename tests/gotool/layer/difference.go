// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"reflect"
	"time"
	"unsafe"

	"github.com/containerd/containerd/archive"
	"github.com/containerd/containerd/archive/compression"
	"github.com/containerd/continuity/fs"
)

// Difference is the archive that containerd's walking differ writes for two trees (left "": the empty one). Whiteouts
// have the time that containerd 2.x gives them.
func Difference(left, right string) ([]byte, error) {
	var out bytes.Buffer
	writer := archive.NewChangeWriter(&out, right)
	field := reflect.ValueOf(writer).Elem().FieldByName("whiteoutT")
	*(*time.Time)(unsafe.Pointer(field.UnsafeAddr())) = time.Unix(0, 0)
	if err := fs.Changes(context.Background(), left, right, writer.HandleChange); err != nil {
		return nil, err
	}
	err := writer.Close()
	return out.Bytes(), err
}

// CountFiles is how many regular files a compressed layer has.
func CountFiles(blob []byte) (count int, err error) {
	stream, err := compression.DecompressStream(bytes.NewReader(blob))
	if err != nil {
		return 0, err
	}
	defer stream.Close()
	for r := tar.NewReader(stream); ; {
		h, err := r.Next()
		if err == io.EOF {
			return count, nil
		}
		if err != nil {
			return count, err
		}
		if h.Typeflag == tar.TypeReg {
			count++
		}
	}
}
