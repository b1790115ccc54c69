// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/layer"
)

// pair is a daemon that keeps layers, and one that does not, which is the model. Both are told the same.
type pair struct {
	sides [2]*comparer
	given [2]string // settings
	since time.Time // what has happened here is not older
	said  []string
}

var sideNames = [2]string{"with layers", "without"}

// startPair starts both with the same settings of [snapshots] and [diff].
func startPair(t *testing.T, snapshots, diff string) *pair {
	t.Helper()
	p := &pair{since: time.Now().Truncate(time.Second).Add(-time.Second)}
	for i, layers := range []string{"auto", "off"} {
		p.given[i] = fmt.Sprintf("[snapshots]\nlayers = %q\n%s\n[diff]\n%s\n", layers, snapshots, diff)
		p.sides[i] = startCompare(t, "", p.given[i])
	}
	return p
}

// restart stops both cleanly and goes on with others.
func (p *pair) restart(t *testing.T) {
	t.Helper()
	for i, side := range p.sides {
		harness.StopClean(t, side.d)
		p.sides[i] = startCompare(t, side.d.Root, p.given[i])
	}
}

// both makes a call on each side, which must have the same end.
func (p *pair) both(t *testing.T, call func(side int, c *comparer) error, what string, args ...interface{}) error {
	t.Helper()
	p.said = append(p.said, fmt.Sprintf(what, args...))
	var ends [2]error
	for i, side := range p.sides {
		ends[i] = call(i, side)
		if !side.d.Alive() {
			t.Fatalf("the daemon %s is gone\n%s", sideNames[i], side.d.Log())
		}
	}
	p.said[len(p.said)-1] += fmt.Sprintf(": %v", status.Code(ends[0]))
	if status.Code(ends[0]) != status.Code(ends[1]) {
		t.Fatalf("%s: %v; %s: %v", sideNames[0], ends[0], sideNames[1], ends[1])
	}
	return ends[0]
}

// scan reads a directory of each side, which must be alike.
func (p *pair) scan(t *testing.T, dirs [2]string) (trees [2]layer.Tree) {
	t.Helper()
	for i, dir := range dirs {
		var err error
		trees[i], err = layer.Scan(dir)
		must(t, err)
	}
	if problems := (layer.Comparison{Since: p.since}).Compare(trees[0], trees[1]); len(problems) > 0 {
		t.Fatalf("%s is not as it is without layers:\n%s", dirs[0], strings.Join(problems, "\n"))
	}
	return trees
}

// sameTree finds what has changed since a tree was read; not even a time may have.
func sameTree(dir string, want layer.Tree) error {
	got, err := layer.Scan(dir)
	if err != nil {
		return err
	}
	problems := layer.Comparison{}.Compare(got, want)
	if !got["."].Modified.Equal(want["."].Modified) { // which Compare leaves out
		problems = append(problems, fmt.Sprintf("the root's mtime is %v, should be %v", got["."].Modified, want["."].Modified))
	}
	if len(problems) > 0 {
		return fmt.Errorf("%s has changed:\n%s", dir, strings.Join(problems, "\n"))
	}
	return nil
}

// unchanged looks at a committed snapshot by a View.
func unchanged(s *harness.Snapshots, name string, want layer.Tree) error {
	look := "look at " + name
	dir, err := s.View(look, name)
	if err != nil {
		return fmt.Errorf("View of %s: %w", name, err)
	}
	err = sameTree(dir, want)
	if removed := s.Remove(look); err == nil {
		err = removed
	}
	return err
}

// show prints what was said, and how to say it again.
func (p *pair) show(t *testing.T) {
	for i, line := range p.said {
		t.Logf("%3d %s", i, line)
	}
}
