// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// memory is what a process has in RAM, in MiB: all of it, and what no file backs.
type memory struct {
	rss, anon float64
}

func (m memory) String() string { return fmt.Sprintf("%.1f MiB (%.1f anon)", m.rss, m.anon) }

// memory reads /proc/PID/status.
func (s *side) memory() (m memory, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.daemon.Pid()))
	if err != nil {
		return m, err
	}
	for _, line := range strings.Split(string(text), "\n") {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kib); n == 1 {
			m.rss = kib / 1024
		} else if n, _ := fmt.Sscanf(line, "RssAnon: %f kB", &kib); n == 1 {
			m.anon = kib / 1024
		}
	}
	return m, nil
}

// idleMemory is taken of a daemon that has answered one call.
func (b *bench) idleMemory() error {
	_, _ = b.ours.Stat("nothing") // NotFound
	time.Sleep(500 * time.Millisecond)
	ours, err := b.ours.memory()
	if err != nil {
		return err
	}
	b.addMemory("memory when idle", ours, 25)
	return nil
}

// addMemory judges all that is resident.
func (b *bench) addMemory(what string, m memory, limit float64) {
	b.table.addAbsolute(what, m.rss, m.String(), "", atMost(limit, " MiB"))
}

const (
	sampleTime     = 5 * time.Millisecond
	longSampleTime = 50 * time.Millisecond
)

// memoryWatch takes the largest figures until its end.
type memoryWatch struct {
	stop chan bool
	done chan error
	peak memory // when it has ended
}

func (s *side) watch(every time.Duration) *memoryWatch {
	w := &memoryWatch{stop: make(chan bool), done: make(chan error, 1)}
	go func() {
		for {
			now, err := s.memory()
			w.peak = w.peak.or(now)
			select {
			case <-w.stop:
				w.done <- err
				return
			case <-time.After(every):
			}
		}
	}()
	return w
}

func (w *memoryWatch) end() (memory, error) {
	close(w.stop)
	err := <-w.done
	return w.peak, err
}

// or takes the larger figures.
func (m memory) or(other memory) memory {
	if other.rss > m.rss {
		m.rss = other.rss
	}
	if other.anon > m.anon {
		m.anon = other.anon
	}
	return m
}

// watchMemory takes the largest figures while f runs.
func (s *side) watchMemory(f func() error) (memory, error) {
	w := s.watch(sampleTime)
	err := f()
	peak, sampleError := w.end()
	if err == nil {
		err = sampleError
	}
	return peak, err
}

const tick = time.Second / 100 // USER_HZ, the unit of /proc/PID/stat

// usage is what something took: time, and CPU in the daemon and in this client.
type usage struct {
	took, daemon, client time.Duration
}

func (u usage) String() string {
	return fmt.Sprintf("%s, CPU %s, the client's %s", duration(u.took), duration(u.daemon), duration(u.client))
}

// measure finds out what f takes.
func (s *side) measure(f func() error) (u usage, err error) {
	daemon, err := cpu(s.daemon.Pid())
	if err != nil {
		return u, err
	}
	client, err := cpu(os.Getpid())
	if err != nil {
		return u, err
	}
	began := time.Now()
	if err := f(); err != nil {
		return u, err
	}
	u.took = time.Since(began)
	if u.daemon, err = cpu(s.daemon.Pid()); err != nil {
		return u, err
	}
	u.client, err = cpu(os.Getpid())
	u.daemon -= daemon
	u.client -= client
	return u, err
}

// cpu is the time that a process used until now, in user and kernel mode.
func cpu(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from the third on
	var used time.Duration
	for _, field := range fields[11:13] {
		ticks, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		used += time.Duration(ticks) * tick
	}
	return used, nil
}
