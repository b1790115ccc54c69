// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// contentSides are clonefsd; containerd's local store made as durable (tests/gotool/peer/durable.go); and that
// store as it is.
type contentSides struct {
	*bench
	both  []*side
	stock *side
	big   *blob
	there bool // the big blob, on both sides
}

func (b *bench) contentRows() error {
	// Dropping the garbage of the snapshot rows; the rows below compare with much data in memory.
	debug.FreeOSMemory()
	ours, err := b.launch("clonefs-content")
	if err != nil {
		return err
	}
	defer ours.stop()
	peer, err := b.launch("local-durable", "--content-labels=false", "--sync-names")
	if err != nil {
		return err
	}
	defer peer.stop()
	stock, err := b.launch("local", "--content-labels=false")
	if err != nil {
		return err
	}
	defer stock.stop()
	c := &contentSides{bench: b, both: []*side{ours, peer}, stock: stock}
	if c.big, err = newBlob(b.big); err != nil {
		return err
	}
	return b.runParts([]part{
		{"Write of the big blob", c.writeBig},
		{"Read of the big blob", c.readBig},
		{"Read of 32 KiB", c.readSmall},
		{"Write of small blobs", c.writeSmall},
		{"List", c.list},
		{"the whole path", c.wholePath},
	})
}

// compare adds a row of rates, of which more is better.
func (t *table) compare(what string, figures [][]float64, text func(float64) string, limit *bar) {
	ours, peer := median(figures[0]), median(figures[1])
	t.add(what, text(ours), text(peer), ours/peer, limit)
}

// compareCPU adds a row of what the daemons themselves used.
func (t *table) compareCPU(used [][]time.Duration) {
	ours, peer := median(used[0]), median(used[1])
	t.add("CPU of the daemon meanwhile", duration(ours), duration(peer), float64(ours)/float64(peer), nil)
}

func mib(bytes int) string {
	if bytes%(1<<30) == 0 {
		return fmt.Sprintf("%d GiB", bytes>>30)
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}

// writeBig leaves the blob on both sides.
func (c *contentSides) writeBig() error {
	rates, used := make([][]float64, 2), make([][]time.Duration, 2)
	peak, err := c.both[0].watchMemory(func() error {
		return c.alternately(c.both, func(round, i int, s *side) error {
			if round > 0 {
				if err := s.remove(c.big); err != nil {
					return err
				}
			}
			if err := s.settle(); err != nil {
				return err
			}
			u, err := s.measure(func() error { return s.write(fmt.Sprintf("big-%d", round), c.big) })
			if err != nil {
				return err
			}
			rates[i] = append(rates[i], throughput(len(c.big.data), u.took))
			used[i] = append(used[i], u.daemon)
			progress("Write of the big blob, round %d: %s %s", round+1, s.name, u)
			return nil
		})
	})
	if err != nil {
		return err
	}
	c.there = true
	for _, s := range c.both {
		if err := s.verify(c.big); err != nil {
			return err
		}
	}
	limit := atLeast(1.2, "x")
	c.table.compare(fmt.Sprintf("Write of %s in messages of 1 MiB; peer local store", mib(len(c.big.data))), rates, mibPerSecond, &limit)
	c.table.compareCPU(used)
	c.table = append(c.table, row{"peak memory meanwhile", peak.String(), "", "-", "-", "-"})
	return nil
}

// haveBig sees to it that the blob is there and in the page cache.
func (c *contentSides) haveBig() error {
	if c.there {
		return nil
	}
	for _, s := range c.both {
		if err := s.write("big", c.big); err != nil {
			return err
		}
		if err := s.verify(c.big); err != nil {
			return err
		}
	}
	c.there = true
	return nil
}

func (c *contentSides) readBig() error {
	if err := c.haveBig(); err != nil {
		return err
	}
	rates, used := make([][]float64, 2), make([][]time.Duration, 2)
	largest := make([]int, 2)
	err := c.alternately(c.both, func(round, i int, s *side) error {
		u, err := s.measure(func() (err error) {
			largest[i], err = s.read(c.big.digest, len(c.big.data), nil)
			return err
		})
		if err != nil {
			return err
		}
		rates[i] = append(rates[i], throughput(len(c.big.data), u.took))
		used[i] = append(used[i], u.daemon)
		progress("Read of the big blob, round %d: %s %s", round+1, s.name, u)
		return nil
	})
	if err != nil {
		return err
	}
	limit := atLeast(1.3, "x")
	c.table.compare(fmt.Sprintf("Read of %s by one call, messages of %d and %d KiB", mib(len(c.big.data)), largest[0]>>10, largest[1]>>10),
		rates, mibPerSecond, &limit)
	c.table.compareCPU(used)
	return nil
}

const readAtSize = 32 << 10

// readSmall lets each caller go through a part of the big blob, 32 KiB a call.
func (c *contentSides) readSmall() error {
	if err := c.haveBig(); err != nil {
		return err
	}
	for _, callers := range []int{1, 16} {
		rates := make([][]float64, 2)
		share := len(c.big.data) / callers
		err := c.alternately(c.both, func(_, i int, s *side) error {
			at := make([]int, callers)
			buffers := make([][]byte, callers)
			for caller := range buffers {
				buffers[caller] = make([]byte, readAtSize)
			}
			calls := 0.0
			u, err := s.measure(func() (err error) {
				calls, err = inParallel(callers, func(caller int) error {
					from := caller*share + at[caller]
					at[caller] = (at[caller] + readAtSize) % (share - readAtSize)
					if err := s.readAt(c.big.digest, buffers[caller], int64(from)); err != nil {
						return err
					}
					if !bytes.Equal(buffers[caller], c.big.data[from:from+readAtSize]) {
						return fmt.Errorf("wrong data at %d", from)
					}
					return nil
				})
				return err
			})
			rates[i] = append(rates[i], calls/u.took.Seconds())
			progress("Read of 32 KiB by %d callers: %s %.0f in %s", callers, s.name, calls, u)
			return err
		})
		if err != nil {
			return err
		}
		limit := atLeast(1.2, "x")
		c.table.compare(fmt.Sprintf("Read of 32 KiB a call, callers: %d", callers), rates, rate, &limit)
	}
	return nil
}

const (
	smallBlobs   = 2000
	smallSize    = 64 << 10
	smallWriters = 16
)

// writeSmall writes the same blobs on all sides, others in each round.
func (c *contentSides) writeSmall() error {
	sides := []*side{c.both[0], c.both[1], c.stock}
	rates := make([][]float64, len(sides))
	var blobs []*blob
	of := -1
	err := c.alternately(sides, func(round, i int, s *side) (err error) {
		if round != of {
			if blobs, err = newBlobs(smallBlobs, smallSize); err != nil {
				return err
			}
			of = round
		}
		if err := s.settle(); err != nil {
			return err
		}
		u, err := s.measure(func() error { return s.writeAll(smallWriters, blobs) })
		if err != nil {
			return err
		}
		rates[i] = append(rates[i], smallBlobs/u.took.Seconds())
		progress("Write of small blobs, round %d: %s %s", round+1, s.name, u)
		for n := 0; n < smallBlobs; n += smallBlobs / 20 {
			if err := s.verify(blobs[n]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	limit := atLeast(2, "x")
	c.table.compare(fmt.Sprintf("Write of blobs of 64 KiB, %d at a time", smallWriters), rates, rate, &limit)
	c.table.compare("the same; peer does not flush names", [][]float64{rates[0], rates[2]}, rate, nil)
	return nil
}

// writeAll writes blobs, so many at a time.
func (s *side) writeAll(writers int, blobs []*blob) error {
	var (
		group   sync.WaitGroup
		next    int64
		failure atomic.Value
	)
	for writer := 0; writer < writers; writer++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				n := int(atomic.AddInt64(&next, 1)) - 1
				if n >= len(blobs) || failure.Load() != nil {
					return
				}
				if err := s.write("ref-"+blobs[n].digest.Encoded(), blobs[n]); err != nil {
					failure.Store(err)
				}
			}
		}()
	}
	group.Wait()
	if err := failure.Load(); err != nil {
		return err.(error)
	}
	return nil
}
