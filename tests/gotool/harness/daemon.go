// SPDX-License-Identifier: Apache-2.0

// Package harness starts clonefsd, or a program with the same command line, talks to it as
// containerd does, and looks into its root.
package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/pkg/dialer"
	"google.golang.org/grpc"
)

// What the daemon promises: it listens soon, and SIGTERM ends it within StopBound.
const (
	startBound = 20 * time.Second
	StopBound  = 5 * time.Second
)

// messageLimit is containerd's own limit for a proxy, both ways.
const messageLimit = 16 << 20

// Options say how to start a daemon.
type Options struct {
	Binary string   // default: Binary()
	Root   string   // its store
	Socket string   // default: a fresh short path
	Fault  string   // CLONEFS_FAULT of builds with fault points
	Args   []string // more arguments
	Config string   // configuration file, which gives root and address instead of arguments
	Ready  string   // what it prints when it listens; default: clonefsd's words
}

// Daemon is one running process and a connection to it.
type Daemon struct {
	Root   string
	Socket string
	Conn   *grpc.ClientConn

	cmd       *exec.Cmd
	log       *logBuffer
	exited    chan struct{} // closed when the process is gone
	ownSocket bool          // made by Launch
}

// Binary is the daemon under test.
func Binary() string {
	return os.Getenv("CLONEFSD")
}

// HasFaults tells whether the daemon under test was built with fault points.
func HasFaults() bool { return contains("CLONEFS_FAULT") }

func contains(word string) bool {
	text, err := os.ReadFile(Binary())
	return err == nil && strings.Contains(string(text), word)
}

// LongestSocketPath is what the system allows.
func LongestSocketPath() int {
	if ForMacOS() {
		return 103
	}
	return 107
}

// Bound stretches a time limit for builds that are slow on purpose (CLONEFS_TEST_SLOW=N).
func Bound(limit time.Duration) time.Duration {
	return limit * time.Duration(envInt("CLONEFS_TEST_SLOW", 1))
}

// NewSocket returns a path that no socket has, short enough for sun_path.
func NewSocket() (string, error) {
	dir, err := os.MkdirTemp(os.Getenv("CLONEFS_TEST_SOCKETS"), "d")
	return filepath.Join(dir, "s"), err
}

// Launch starts a daemon and waits until it listens. The process dies with us at the latest. On an error
// the daemon is nil or has ended.
func Launch(o Options) (*Daemon, error) {
	return LaunchThen(o, func(*Daemon) {})
}

// LaunchThen is Launch, but calls then as soon as the process runs.
func LaunchThen(o Options, then func(*Daemon)) (*Daemon, error) {
	if o.Binary == "" {
		o.Binary = Binary()
	}
	ownSocket := o.Socket == ""
	if ownSocket {
		var err error
		if o.Socket, err = NewSocket(); err != nil {
			return nil, err
		}
	}
	if o.Ready == "" {
		o.Ready = "listening on"
	}
	d := &Daemon{Root: o.Root, Socket: o.Socket, ownSocket: ownSocket,
		log: newLogBuffer(o.Ready), exited: make(chan struct{})}
	where := []string{"--root", o.Root, "--address", o.Socket}
	if o.Config != "" {
		where = []string{"--config", o.Config}
	}
	d.cmd = exec.Command(o.Binary, append(where, o.Args...)...)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.cmd.Env = os.Environ()
	if o.Fault != "" {
		d.cmd.Env = append(d.cmd.Env, "CLONEFS_FAULT="+o.Fault)
	}
	if err := startTiedToUs(d.cmd); err != nil {
		return nil, err
	}
	go func() {
		_ = d.cmd.Wait() // ProcessState tells the same
		noteSanitizer(d.Log())
		close(d.exited)
	}()
	then(d)
	return d, d.awaitListening()
}

func (d *Daemon) awaitListening() error {
	select {
	case <-d.log.seen:
	case <-d.exited:
		return fmt.Errorf("the daemon ended before it listened: %v\n%s", d.cmd.ProcessState, d.log)
	case <-time.After(Bound(startBound)):
		d.Kill()
		return fmt.Errorf("the daemon does not listen after %v\n%s", Bound(startBound), d.log)
	}
	conn, err := d.dial()
	if err != nil {
		d.Kill()
		return fmt.Errorf("cannot connect to %s: %w\n%s", d.Socket, err, d.log)
	}
	d.Conn = conn
	return nil
}

// dial waits until the connection is made, or the daemon is gone.
func (d *Daemon) dial() (*grpc.ClientConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Bound(startBound))
	defer cancel()
	go func() {
		select {
		case <-d.exited:
			cancel()
		case <-ctx.Done():
		}
	}()
	return grpc.DialContext(ctx, dialer.DialAddress(d.Socket), append(dialOptions(), grpc.WithBlock())...)
}

// Dial connects to a socket with containerd's own dialer and limits, in the background as containerd does.
func Dial(socket string) (*grpc.ClientConn, error) {
	return grpc.Dial(dialer.DialAddress(socket), dialOptions()...)
}

func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithInsecure(), grpc.WithContextDialer(dialer.ContextDialer),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(messageLimit))}
}

// Pid is the process id, as in /proc.
func (d *Daemon) Pid() int { return d.cmd.Process.Pid }

// Log is what the daemon has printed.
func (d *Daemon) Log() string { return d.log.String() }

// Alive tells whether the process runs.
func (d *Daemon) Alive() bool { return !d.Exited(0) }

// Exited waits for the end of the process, for some time.
func (d *Daemon) Exited(wait time.Duration) bool {
	select {
	case <-d.exited:
		return true
	case <-time.After(wait):
	}
	select {
	case <-d.exited:
		return true
	default:
		return false
	}
}

// KilledBySignal tells, of an ended process, that SIGKILL ended it.
func (d *Daemon) KilledBySignal() bool {
	status, ok := d.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// KillSoon sends SIGKILL and does not wait.
func (d *Daemon) KillSoon() {
	_ = d.cmd.Process.Kill() // fails only if it is gone
}

// Kill ends the process by SIGKILL and waits for it. Repeatable.
func (d *Daemon) Kill() {
	d.KillSoon()
	<-d.exited
	d.close()
}

// Stop ends the process by SIGTERM. An error unless it exits with 0 in time.
func (d *Daemon) Stop() error {
	defer d.close()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if !d.Exited(Bound(StopBound)) {
		d.Kill()
		return fmt.Errorf("the daemon runs %v after SIGTERM\n%s", Bound(StopBound), d.log)
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the daemon ended with %v\n%s", d.cmd.ProcessState, d.log)
	}
	return nil
}

func (d *Daemon) close() {
	if d.Conn != nil {
		_ = d.Conn.Close()
	}
	if d.ownSocket {
		_ = os.RemoveAll(filepath.Dir(d.Socket))
	}
}
