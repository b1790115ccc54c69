// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"context"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// logBuffer keeps what a process prints and tells when a text was seen.
type logBuffer struct {
	text string
	seen chan struct{}

	mu   sync.Mutex
	done bool
	data bytes.Buffer
}

const logLimit = 1 << 20

func newLogBuffer(text string) *logBuffer {
	return &logBuffer{text: text, seen: make(chan struct{})}
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.data.Len() < logLimit {
		l.data.Write(p)
	}
	if !l.done && strings.Contains(l.data.String(), l.text) {
		l.done = true
		close(l.seen)
	}
	return len(p), nil
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.data.String()
}

// What sanitizers print. A daemon that is killed has no exit status to tell of it.
var sanitizerMarks = []string{"ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", ": runtime error: "}

var (
	reportsMu sync.Mutex
	reports   []string
)

// SanitizerReports are the logs of all daemons in which a sanitizer had something to say.
func SanitizerReports() []string {
	reportsMu.Lock()
	defer reportsMu.Unlock()
	return reports
}

func noteSanitizer(log string) {
	for _, mark := range sanitizerMarks {
		if strings.Contains(log, mark) {
			reportsMu.Lock()
			reports = append(reports, log)
			reportsMu.Unlock()
			return
		}
	}
}

// The parent-death signal is sent when the *thread* that started a process ends. So one thread, which
// lives as long as we do, starts them all.
var (
	starter     chan func()
	starterOnce sync.Once
)

func startTiedToUs(cmd *exec.Cmd) error {
	starterOnce.Do(func() {
		starter = make(chan func())
		go func() {
			runtime.LockOSThread()
			for f := range starter {
				f()
			}
		}()
	})
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	result := make(chan error)
	starter <- func() { result <- cmd.Start() }
	return <-result
}

// Run runs the daemon's program to its end and returns what it printed and its exit code, -1 if it
// had to be stopped after limit.
func Run(limit time.Duration, args ...string) (string, int) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, Binary(), args...)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := startTiedToUs(cmd); err != nil {
		return err.Error(), -1
	}
	_ = cmd.Wait() // ProcessState tells the same
	return output.String(), cmd.ProcessState.ExitCode()
}
