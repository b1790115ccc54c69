// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"sort"
	"testing"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"

	"clonefs/tests/gotool/harness"
)

// many makes count active snapshots without a parent.
func many(t *testing.T, s *harness.Snapshots, count int) {
	t.Helper()
	for i := 0; i < count; i++ {
		_, err := s.Prepare(numbered("many", i), "", "n", fmt.Sprint(i%10))
		must(t, err)
	}
}

func TestListSendsBatchesOfAtMost100(t *testing.T) {
	_, s := start(t)
	messages := 0
	count := func(batch []snapshotsapi.Info) error {
		messages++
		if len(batch) == 0 || len(batch) > 100 {
			t.Errorf("a message of %d snapshots", len(batch))
		}
		return nil
	}
	must(t, s.Walk(count))
	equal(t, "messages for an empty store", messages, 0)
	many(t, s, 250)
	must(t, s.Walk(count))
	if messages < 3 {
		t.Errorf("250 snapshots came in %d messages", messages)
	}
	equal(t, "number of snapshots", len(list(t, s)), 250)
}

func TestStatUpdateAndRemoveWorkInsideAList(t *testing.T) {
	_, s := start(t)
	many(t, s, 250)
	seen := 0
	must(t, s.Walk(func(batch []snapshotsapi.Info) error {
		for _, info := range batch {
			seen++
			stat, err := s.Stat(info.Name)
			must(t, err)
			if !same(stat, info) {
				t.Errorf("List says %v, Stat says %v", info, stat)
			}
			must(t, s.SetLabels(info.Name, "seen", "yes"))
			must(t, s.Remove(info.Name))
		}
		return nil
	}))
	equal(t, "snapshots seen", seen, 250)
	equal(t, "snapshots left", len(list(t, s)), 0)
}

// Filters are tested one by one in the unit tests; these are here for the way to them.
func TestListUnderstandsFilters(t *testing.T) {
	_, s := start(t)
	population(t, s)
	must(t, s.SetLabels("top", "containerd.io/snapshot.ref", "T", "plain", "yes"))
	for _, f := range []struct {
		filters []string
		want    string
	}{
		{nil, "[base look top work]"},
		{[]string{""}, "[base look top work]"},
		{[]string{"kind==active"}, "[work]"},
		{[]string{"kind==committed,parent!=\"\""}, "[top]"},
		{[]string{"name==base", "name==look"}, "[base look]"},
		{[]string{`labels."containerd.io/snapshot.ref"==T,parent=="base"`}, "[top]"},
		{[]string{"labels.plain"}, "[top]"},
		{[]string{"labels.plain==no"}, "[]"},
		{[]string{"name~=/^.o/"}, "[look top work]"},
		{[]string{"name~=/(/"}, "[]"},
		{[]string{"colour==red"}, "[]"},
	} {
		equal(t, fmt.Sprintf("answer to %q", f.filters), sortedNames(list(t, s, f.filters...)), f.want)
	}
}

func sortedNames(infos map[string]snapshotsapi.Info) string {
	names := []string{}
	for name := range infos {
		names = append(names, name)
	}
	sort.Strings(names)
	return fmt.Sprint(names)
}
