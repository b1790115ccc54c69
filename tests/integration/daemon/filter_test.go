// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/filters"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
)

// filterBound is generous: it only has to tell "at once" from "never".
const filterBound = 5 * time.Second

// quickList asks for a List that must end soon, well or as an invalid argument.
func quickList(t *testing.T, s *harness.Snapshots, filters ...string) error {
	t.Helper()
	began := time.Now()
	_, err := s.List(filters...)
	if took := time.Since(began); took > harness.Bound(filterBound) {
		t.Errorf("List with %d filters, the first %.40q, took %v", len(filters), filters[0], took)
	}
	if code := status.Code(err); code != codes.OK && code != codes.InvalidArgument {
		t.Errorf("List with %d filters, the first %.40q: %v", len(filters), filters[0], err)
	}
	return err
}

func TestBadFiltersAreInvalidArguments(t *testing.T) {
	d, s := start(t)
	population(t, s)
	for _, bad := range []string{"name==", "=x", "name=x", "name===x", "a-b", "name== x ", "'name'==x", `name=="x`,
		`name=="\q"`, ",", "name,", "name~=/x", "name==/x/", "\xff", "name==a\x01"} {
		if _, err := filters.Parse(bad); err == nil {
			t.Fatalf("containerd accepts %q", bad)
		}
		if status.Code(quickList(t, s, bad)) != codes.InvalidArgument {
			t.Errorf("the filter %q was accepted", bad)
		}
		if status.Code(quickList(t, s, "name==base", bad)) != codes.InvalidArgument {
			t.Errorf("the filter %q was accepted as the second", bad)
		}
	}
	answers(t, d)
}

func TestTenThousandFiltersAreAnsweredAtOnce(t *testing.T) {
	d, s := start(t)
	many(t, s, 250)
	var filters []string
	for i := 0; i < 10000; i++ {
		filters = append(filters, "name~=/"+numbered("never", i)+"/")
	}
	_ = quickList(t, s, filters...)
	_ = quickList(t, s, strings.Repeat("name~=/a/,", 50000)+"name")
	_ = quickList(t, s, "name=="+strings.Repeat("x", 10<<20))
	answers(t, d)
}

func TestBacktrackingFiltersAreAnsweredAtOnce(t *testing.T) {
	d, s := start(t)
	for i := 0; i < 50; i++ {
		_, err := s.Prepare(strings.Repeat("a", 3000)+numbered("!", i), "")
		must(t, err)
	}
	for _, evil := range []string{
		"name~=/(a+)+$/", "name~=/^(a|a)*$/", "name~=/(a*)*b/", "name~=/(.*)(.*)(.*)(.*)(.*)x$/",
		"name~=/" + strings.Repeat("a?", 500) + strings.Repeat("a", 500) + "b/",
		"name~=/" + strings.Repeat("(", 10000) + strings.Repeat(")", 10000) + "/",
		"name~=/((a{1,100}){1,100}){1,100}b/", `name~=/(a)\1+$/`, "name~=/(?R)/",
	} {
		_ = quickList(t, s, evil)
		answers(t, d)
	}
	equal(t, "number of snapshots", len(list(t, s, "name~=/^a+!-7$/")), 1)
}
