// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"

	"clonefs/tests/gotool/harness"
)

var updates = []struct {
	promise string
	sent    map[string]string
	mask    []string
	want    map[string]string
}{
	{"no mask replaces all labels", harness.Labels("x", "1"), nil, harness.Labels("x", "1")},
	{"no mask and no labels removes all", nil, nil, nil},
	{"an empty value is no label", harness.Labels("x", "", "y", "1"), nil, harness.Labels("y", "1")},
	{"the mask labels replaces all", harness.Labels("x", "1"), []string{"labels"}, harness.Labels("x", "1")},
	{"a masked label is set", harness.Labels("a", "9", "x", "not masked"), []string{"labels.a"},
		harness.Labels("a", "9", "b.c/d", "2")},
	{"a masked label that was not sent is removed", nil, []string{"labels.a"}, harness.Labels("b.c/d", "2")},
	{"a masked label sent empty is removed", harness.Labels("a", ""), []string{"labels.a"}, harness.Labels("b.c/d", "2")},
	{"a label key may have dots and slashes", harness.Labels("b.c/d", "9"), []string{"labels.b.c/d"},
		harness.Labels("a", "1", "b.c/d", "9")},
	{"removing a label that is not there is no error", nil, []string{"labels.other"}, harness.Labels("a", "1", "b.c/d", "2")},
	{"several masks work together", harness.Labels("a", "9", "n", "3"), []string{"labels.a", "labels.b.c/d", "labels.n"},
		harness.Labels("a", "9", "n", "3")},
}

func TestUpdateFollowsItsMask(t *testing.T) {
	_, s := start(t)
	population(t, s)
	for _, key := range []string{"base", "work", "look"} {
		for _, u := range updates {
			t.Run(key+": "+u.promise, func(t *testing.T) {
				must(t, s.SetLabels(key, "a", "1", "b.c/d", "2"))
				old, err := s.Stat(key)
				must(t, err)
				before := time.Now()
				answer, err := s.Update(snapshotsapi.Info{Name: key, Labels: u.sent}, u.mask...)
				must(t, err)
				checkTimes(t, answer, before, false)
				want := old
				want.Labels, want.UpdatedAt = u.want, answer.UpdatedAt
				equal(t, "the answer", fmt.Sprint(answer), fmt.Sprint(want))
				later, err := s.Stat(key)
				must(t, err)
				equal(t, "Stat afterwards", fmt.Sprint(later), fmt.Sprint(answer))
			})
		}
	}
}

// containerd sends kind COMMITTED and zero times with every Update.
func TestUpdateIgnoresEverythingButLabels(t *testing.T) {
	_, s := start(t)
	population(t, s)
	old, err := s.Stat("work")
	must(t, err)
	answer, err := s.Update(snapshotsapi.Info{Name: "work", Parent: "top", Kind: snapshotsapi.KindCommitted,
		CreatedAt: time.Time{}, UpdatedAt: time.Unix(1, 0), Labels: harness.Labels("x", "1")})
	must(t, err)
	equal(t, "kind", answer.Kind, snapshotsapi.KindActive)
	equal(t, "parent", answer.Parent, "base")
	equal(t, "creation", answer.CreatedAt, old.CreatedAt)
}

func TestUpdatesSurviveARestart(t *testing.T) {
	d, s := start(t)
	population(t, s)
	must(t, s.SetLabels("base", "kept", "yes"))
	before, err := s.Stat("base")
	must(t, err)
	_, s = restart(t, d)
	after, err := s.Stat("base")
	must(t, err)
	equal(t, "Stat after a restart", fmt.Sprint(after), fmt.Sprint(before))
}
