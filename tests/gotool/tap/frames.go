// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// book is the file of lines.
type book struct {
	mu   sync.Mutex
	file *os.File
}

func (b *book) add(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprintln(b.file, c.path, c.namespace, c.lease, c.status, c.digest, c.message)
}

type call struct {
	path, namespace, lease, status, digest, message string
}

// connection knows the calls that have not ended.
type connection struct {
	book  *book
	mu    sync.Mutex
	calls map[uint32]*call
}

// copyAndRead passes on what comes from one side, and gives the same bytes to read. What read does not understand
// is passed on all the same.
func copyAndRead(to, from net.Conn, read func(io.Reader) error) {
	reader, writer := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := read(reader); err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			fmt.Fprintln(os.Stderr, "not understood:", err)
		}
		_, _ = io.Copy(io.Discard, reader)
	}()
	_, _ = io.Copy(to, io.TeeReader(from, writer))
	writer.Close()
	<-done
	// The other direction has nothing to wait for any more.
	to.Close()
	from.Close()
}

func newFramer(r io.Reader) *http2.Framer {
	framer := http2.NewFramer(io.Discard, r)
	framer.SetMaxReadFrameSize(1<<24 - 1)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	framer.ReadMetaHeaders.SetAllowedMaxDynamicTableSize(1 << 20)
	framer.MaxHeaderListSize = 1 << 20
	return framer
}

// value is what a header says, as one word, or -.
func value(frame *http2.MetaHeadersFrame, name string) string {
	for _, field := range frame.Fields {
		if field.Name == name && field.Value != "" {
			return strings.ReplaceAll(field.Value, " ", "_")
		}
	}
	return "-"
}

func (c *connection) readClient(r io.Reader) error {
	if _, err := io.CopyN(io.Discard, r, int64(len(http2.ClientPreface))); err != nil {
		return err
	}
	framer := newFramer(r)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return err
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			c.begin(f)
		case *http2.DataFrame:
			c.request(f.StreamID, f.Data())
		case *http2.RSTStreamFrame:
			c.end(f.StreamID, "cancelled", "-")
		}
	}
}

func (c *connection) readServer(r io.Reader) error {
	framer := newFramer(r)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return err
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			if f.StreamEnded() {
				c.end(f.StreamID, value(f, "grpc-status"), value(f, "grpc-message"))
			}
		case *http2.RSTStreamFrame:
			c.end(f.StreamID, "reset", "-")
		}
	}
}

func (c *connection) begin(f *http2.MetaHeadersFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.calls[f.StreamID]; ok {
		return // the client's trailers
	}
	c.calls[f.StreamID] = &call{path: value(f, ":path"), namespace: value(f, "containerd-namespace"),
		lease: value(f, "containerd-lease"), digest: "-"}
}

// request takes the digest from a ReadContentRequest: its first field, behind the prefix of five bytes. So short a
// message comes in one frame.
func (c *connection) request(stream uint32, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	call, ok := c.calls[stream]
	if !ok || !strings.HasSuffix(call.path, ".Content/Read") || len(data) < 7 || data[5] != 1<<3|2 {
		return
	}
	if end := 7 + int(data[6]); data[6] < 128 && end <= len(data) {
		call.digest = string(data[7:end])
	}
}

func (c *connection) end(stream uint32, status, message string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call, ok := c.calls[stream]; ok {
		delete(c.calls, stream)
		call.status, call.message = status, message
		c.book.add(call)
	}
}
