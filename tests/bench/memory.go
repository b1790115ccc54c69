// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
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

const sampleTime = 5 * time.Millisecond

// watchMemory takes the largest figures while f runs.
func (s *side) watchMemory(f func() error) (memory, error) {
	var peak memory
	stop, stopped := make(chan bool), make(chan error)
	go func() {
		for {
			now, err := s.memory()
			if now.rss > peak.rss {
				peak.rss = now.rss
			}
			if now.anon > peak.anon {
				peak.anon = now.anon
			}
			select {
			case <-stop:
				stopped <- err
				return
			case <-time.After(sampleTime):
			}
		}
	}()
	err := f()
	close(stop)
	if sampleError := <-stopped; err == nil {
		err = sampleError
	}
	return peak, err
}
