// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
)

// Who holds a ref: one writer at a time (contract 6.2, and the note on Writer.Close below 4.3).

// busyBound is the longest that a busy ref may be waited for; containerd's bolt transaction is open.
const busyBound = 2 * time.Second

func TestContentABusyRefIsUnavailableAfterAShortWait(t *testing.T) {
	d, c := startContent(t)
	holder, _ := c.opened(t, on("r", writeAt(0, []byte("mine"))))
	other := contentsOn(connections(t, d, 1)[0])
	for _, c := range []contents{c, other} {
		for _, first := range []message{statOf("r"), on("r", writeAt(0, []byte("theirs"))), on("r", commitAt(4, ""))} {
			began := time.Now()
			c.refuses(t, first, codes.Unavailable)
			if took := time.Since(began); took > harness.Bound(busyBound) || took < 10*time.Millisecond {
				t.Errorf("a busy ref was refused after %v", took)
			}
		}
	}
	stands(t, holder.said(t, message{}), actionStat, []byte("mine")) // nobody did anything to it
	holder.closed(t)
	c.keeps(t, "r", []byte("mine"))
	equal(t, "number of blobs", len(c.list(t)), 0)
}

func TestContentABusyRefThatBecomesFreeIsTaken(t *testing.T) {
	_, c := startContent(t)
	for i := 0; i < 20; i++ {
		holder, _ := c.opened(t, on("r", writeAt(0, []byte("data"))))
		done := make(chan error, 1)
		go func() {
			w, err := c.write()
			if err == nil {
				_, err = w.say(statOf("r"))
			}
			if err == nil {
				err = w.close()
			}
			done <- err
		}()
		time.Sleep(time.Duration(i%4) * 3 * time.Millisecond)
		switch i % 3 {
		case 0:
			holder.closed(t)
		case 1:
			holder.vanish()
		case 2:
			holder.said(t, commitAt(4, digest.FromString("data")))
			must(t, c.delete(digest.FromString("data")))
		}
		if err := <-done; err != nil {
			t.Errorf("round %d: the ref became free, and: %v", i, err)
		}
	}
	c.keeps(t, "r", []byte("data"))
}

// Many that wait for one ref get it one after another, in some order, and each sees what the last one left.
func TestContentTenClientsOnOneRef(t *testing.T) {
	d, c := startContent(t)
	conns := append(connections(t, d, 4), d.Conn)
	var mu sync.Mutex
	holders, total, refusedTimes := 0, 0, 0
	together(t, 10, func(i int) error {
		c := contentsOn(conns[i%len(conns)])
		for written := 0; written < 20; {
			w, err := c.write()
			if err != nil {
				return err
			}
			answer, err := w.say(statOf("r"))
			if status.Code(err) == codes.Unavailable {
				mu.Lock()
				refusedTimes++
				mu.Unlock()
				continue
			}
			if err != nil {
				return err
			}
			mu.Lock()
			holders++
			if holders != 1 || answer.Offset != int64(total) {
				t.Errorf("%d hold the ref, at %d of %d", holders, answer.Offset, total)
			}
			mu.Unlock()
			if answer, err = w.say(writeAt(int(answer.Offset), []byte{byte(i)})); err != nil {
				return err
			}
			written++
			mu.Lock()
			holders--
			total++
			mu.Unlock()
			if i%2 == 0 {
				w.vanish()
			} else if err = w.close(); err != nil {
				return err
			}
		}
		return nil
	})
	t.Logf("Unavailable %d times", refusedTimes)
	st, err := c.status("r")
	must(t, err)
	equal(t, "the offset", st.Offset, int64(200))
	w, answer := c.opened(t, statOf("r"))
	w.said(t, commitAt(200, answer.Digest))
	data, err := c.read(answer.Digest, 0, 0)
	must(t, err)
	count := [10]int{}
	for _, b := range data {
		count[b]++
	}
	equal(t, "bytes of each", fmt.Sprint(count), "[20 20 20 20 20 20 20 20 20 20]")
}

// One of ten that commit the same content under ten refs makes it, the others are told that it is there.
func TestContentTenClientsOnOneDigest(t *testing.T) {
	_, c := startContent(t)
	for round := 0; round < 10; round++ {
		data := randomBytes(int64(round), 10000)
		dgst := digest.FromBytes(data)
		var mu sync.Mutex
		made := 0
		together(t, 10, func(i int) error {
			w, err := c.write()
			if err != nil {
				return err
			}
			defer w.vanish()
			m := message{Ref: numbered("r", i)}
			if i%3 == 0 {
				m.Expected = dgst
			}
			if _, err = w.say(m); err == nil {
				_, err = w.say(writeAt(0, data))
			}
			if err == nil {
				_, err = w.say(commitAt(len(data), []digest.Digest{dgst, ""}[i%2]))
			}
			if err == nil {
				mu.Lock()
				made++
				mu.Unlock()
				return nil
			}
			if status.Code(err) == codes.AlreadyExists {
				return nil
			}
			return err
		})
		equal(t, "number of commits that made the blob", made, 1)
		c.reads(t, dgst, data)
		equal(t, "refs", c.refs(t), "[]")
	}
}

// containerd's Writer.Close only half-closes and does not wait for the end of the stream.
func TestContentHalfCloseFreesTheRefAtOnce(t *testing.T) {
	d, c := startContent(t)
	other := contentsOn(connections(t, d, 1)[0])
	data := []byte{}
	for i := 0; i < 200; i++ {
		user := c
		if i%5 == 0 {
			user = other
		}
		w, answer := user.opened(t, statOf("r"))
		equal(t, "the offset", answer.Offset, int64(len(data)))
		data = append(data, byte(i))
		w.said(t, writeAt(int(answer.Offset), data[answer.Offset:]))
		must(t, w.stream.CloseSend())
		t.Cleanup(w.vanish)
	}
	c.keeps(t, "r", data)
}

// Hundreds of refs at once, each held by its own stream, of one client.
func TestContentManyRefsAreHeldAtOnce(t *testing.T) {
	d, c := startContent(t)
	const count = 500
	writers := make([]*writing, count)
	together(t, count, func(i int) error {
		w, err := c.write()
		if err == nil {
			_, err = w.say(on(numbered("r", i), writeAt(0, []byte(numbered("data", i)))))
		}
		writers[i] = w
		return err
	})
	equal(t, "number of ingests", len(c.statuses(t)), count)
	together(t, count, func(i int) error {
		data := []byte(numbered("data", i))
		_, err := writers[i].say(commitAt(len(data), digest.FromBytes(data)))
		return err
	})
	equal(t, "number of blobs", len(c.list(t)), count)
	equal(t, "refs", c.refs(t), "[]")
	answers(t, d)
}
