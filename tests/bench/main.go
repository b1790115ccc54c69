// SPDX-License-Identifier: Apache-2.0

// Command bench compares clonefsd with containerd's own snapshotters, driven by the same client through
// the same kind of socket on the same volume. It prints one table; scripts/bench runs it.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"clonefs/tests/gotool/harness"
)

// bench is what the rows share.
type bench struct {
	rounds int
	files  int
	bytes  int64  // of the big tree
	dir    string // on the volume
	peer   string // program that serves native and overlayfs
	ours   *side
	native *side
	table  table
}

func main() {
	log.SetFlags(0)
	b := &bench{}
	flag.StringVar(&b.dir, "dir", "", "folder on the volume to work on")
	flag.StringVar(&b.peer, "peer", "", "program of tests/gotool/peer")
	flag.IntVar(&b.rounds, "rounds", 5, "rounds of each row; medians are shown")
	flag.IntVar(&b.files, "files", 100000, "files of the big tree")
	flag.Parse()
	if harness.Binary() == "" || b.peer == "" || b.dir == "" {
		log.Fatal("CLONEFSD, -peer and -dir are needed; scripts/bench gives them")
	}
	if err := b.run(); err != nil {
		log.Fatal(err)
	}
}

func (b *bench) run() (err error) {
	if b.ours, err = b.launch("clonefs", harness.Binary()); err != nil {
		return err
	}
	defer b.ours.stop()
	if b.native, err = b.launch("native", b.peer, "--snapshotter", "native"); err != nil {
		return err
	}
	defer b.native.stop()
	for _, part := range []struct {
		what string
		run  func() error
	}{
		{"idle memory", b.idleMemory},
		{fmt.Sprintf("a tree of %d files from /usr, in both", b.files), b.fill},
		{"Prepare of the big tree", b.bigPrepare},
		{"Prepare of 8 files beside it", b.smallBesideBig},
		{"Prepare and Remove by 32 callers", b.manyCallers},
		{"Stat", b.stats},
	} {
		progress("%s", part.what)
		if err := part.run(); err != nil {
			return fmt.Errorf("%s: %w", part.what, err)
		}
	}
	progress("")
	b.table.print(os.Stdout)
	return nil
}

// progress goes to standard error, one line that replaces itself on a terminal.
func progress(format string, args ...interface{}) {
	text := fmt.Sprintf(format, args...)
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		fmt.Fprintf(os.Stderr, "\r\033[K%s", text)
	} else if text != "" {
		fmt.Fprintln(os.Stderr, "bench:", text)
	}
}

func (b *bench) launch(name, binary string, args ...string) (*side, error) {
	d, err := harness.Launch(harness.Options{Binary: binary, Root: filepath.Join(b.dir, name), Args: args})
	if err != nil {
		return nil, err
	}
	return &side{name: name, daemon: d, Snapshots: d.Snapshots("clonefs")}, nil
}
