// SPDX-License-Identifier: Apache-2.0

// Command bench compares clonefsd with containerd's own snapshotters and content store, driven by the same
// client through the same kind of socket on the same volume. It prints one table; scripts/bench runs it.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"clonefs/tests/gotool/harness"
)

// bench is what the rows share.
type bench struct {
	rounds     int
	files      int
	listed     int
	only       string // parts whose name contains this
	bytes      int64  // of the big tree
	big        int    // bytes of the big blob
	dir        string // on the volume
	peer       string // program that serves containerd's own stores
	containerd string // of 1.7.4 or later, or ""
	charts     string // folder for pictures, or ""
	ours       *side
	native     *side
	// how long native took for the big tree, once it was measured
	nativePrepare time.Duration
	table         table
}

func main() {
	log.SetFlags(0)
	b := &bench{}
	what, mib := "", 0
	flag.StringVar(&b.dir, "dir", "", "folder on the volume to work on")
	flag.StringVar(&b.peer, "peer", "", "program of tests/gotool/peer")
	flag.StringVar(&b.containerd, "containerd", "", "a containerd that knows proxies of differs; without it the peer stands in for it")
	flag.StringVar(&what, "what", "all", "snapshots, content, diff, images or all")
	flag.IntVar(&b.rounds, "rounds", 5, "rounds of each row; medians are shown")
	flag.IntVar(&b.files, "files", 100000, "files of the big tree")
	flag.IntVar(&mib, "mib", 1024, "MiB of the big blob")
	flag.IntVar(&b.listed, "listed", 50000, "blobs to list")
	flag.StringVar(&b.charts, "charts", "", "folder for charts")
	flag.StringVar(&b.only, "only", "", "only parts whose name, as progress shows it, contains this")
	flag.Parse()
	b.big = mib << 20
	if harness.Binary() == "" || b.peer == "" || b.dir == "" {
		log.Fatal("CLONEFSD, -peer and -dir are needed; scripts/bench gives them")
	}
	var err error
	for _, rows := range []struct {
		what string
		run  func() error
	}{{"snapshots", b.snapshotRows}, {"content", b.contentRows}, {"diff", b.diffRows}, {"images", b.imageRows}} {
		if err == nil && (what == "all" || what == rows.what) {
			if err = rows.run(); err == nil {
				err = b.sweep()
			}
		}
	}
	progress("")
	b.table.print(os.Stdout)
	if err != nil {
		log.Fatal(err)
	}
}

// part is some rows.
type part struct {
	what string
	run  func() error
}

// wants tells whether a part has one of the names that were asked for.
func (b *bench) wants(what string) bool {
	for _, name := range strings.Split(b.only, ",") {
		if strings.Contains(what, name) {
			return true
		}
	}
	return false
}

func (b *bench) runParts(parts []part) error {
	for _, p := range parts {
		if !b.wants(p.what) {
			continue
		}
		progress("%s", p.what)
		if err := p.run(); err != nil {
			return fmt.Errorf("%s: %w", p.what, err)
		}
	}
	return nil
}

func (b *bench) snapshotRows() (err error) {
	if b.ours, err = b.launch("clonefs"); err != nil {
		return err
	}
	defer b.ours.stop()
	if b.native, err = b.launch("native", "--snapshotter", "native"); err != nil {
		return err
	}
	defer b.native.stop()
	return b.runParts([]part{
		{"idle memory", b.idleMemory},
		{fmt.Sprintf("a tree of %d files from /usr, in both", b.files), b.fill},
		{"Prepare of the big tree", b.bigPrepare},
		{"Prepare of 8 files beside it", b.smallBesideBig},
		{"Prepare and Remove by 32 callers", b.manyCallers},
		{"Stat", b.stats},
		{"Prepare of the big tree, spare ready", b.spareReady},
	})
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
