// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"math/rand"
	"sync"
	"testing"
	"time"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/layer"
)

const (
	crowdRounds = 40
	crowdSize   = 6
)

// Containers and views come at the very moment in which a step takes over the tree of their parent, and writes to every
// file of it. None of them ever sees a byte of that.
func TestACrowdAroundATakeOverSeesTheParentAlone(t *testing.T) {
	harness.NeedRoot(t)
	seed := int64(harness.EnvInt("CLONEFS_TEST_SEED", int(time.Now().UnixNano()%1000000000)))
	t.Logf("CLONEFS_TEST_SEED=%d", seed)
	random := rand.New(rand.NewSource(seed))
	for _, view := range []string{"readonly-bind", "private-clone"} {
		t.Run(view, func(t *testing.T) {
			m := startImages(t, "", fmt.Sprintf("view = %q", view))
			m.unpack(t, "base", "")
			taken := 0
			for round := 0; round < crowdRounds && !t.Failed(); round++ {
				parent := numbered("parent", round)
				m.unpack(t, parent, "base")
				if crowdAround(t, m, parent, random) {
					taken++
				}
				m.unchanged(t, parent)
				m.removed(t, parent)
				m.order = m.order[:1]
			}
			t.Logf("%d of %d steps took over the tree", taken, crowdRounds)
			if taken == 0 || taken == crowdRounds {
				t.Errorf("%d of %d steps took over the tree: that tests one half alone", taken, crowdRounds)
			}
			m.gone(t)
		})
	}
}

// crowdAround tells whether the step took over the tree.
func crowdAround(t *testing.T, m *image, parent string, random *rand.Rand) (taken bool) {
	var group sync.WaitGroup
	begin, written := make(chan bool), make(chan bool)
	comers := crowdSize * random.Intn(2) // before the step, or some time after
	for i := 0; i < crowdSize; i++ {
		key, comes := numbered("comer", i), time.Duration(random.Intn(3000))*time.Microsecond
		call := []func(key, parent string, labels ...string) (string, error){m.s.Prepare, m.s.View}[i%2]
		if comers > 0 {
			comes = 0
		}
		group.Add(1)
		go func() {
			defer group.Done()
			<-begin
			time.Sleep(comes)
			if err := comer(key, parent, call, m.tops[parent], written); err != nil {
				t.Error(err)
			}
		}()
	}
	delay := time.Duration(random.Intn(1500)) * time.Microsecond * time.Duration(comers/crowdSize)
	close(begin)
	time.Sleep(delay)
	dir, err := m.s.Prepare(stepKey("child"), parent)
	if err == nil {
		taken = treeOf(t, m.d, dir) == m.trees[parent]
		err = rewriteAll(dir)
	}
	close(written)
	group.Wait()
	must(t, err)
	for i := 0; i < crowdSize; i++ {
		m.removed(t, numbered("comer", i))
	}
	m.removed(t, stepKey("child"))
	return taken
}

// comer is one of the crowd: it looks at once, and again when the step has written.
func comer(key, parent string, call func(key, parent string, labels ...string) (string, error), want layer.Tree, written <-chan bool) error {
	dir, err := call(key, parent)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if err := sameTree(dir, want); err != nil {
		return fmt.Errorf("%s, at once: %w", key, err)
	}
	<-written
	if err := sameTree(dir, want); err != nil {
		return fmt.Errorf("%s, after the step has written: %w", key, err)
	}
	return nil
}
