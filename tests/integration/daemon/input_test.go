// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"math/rand"
	"strings"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"clonefs/tests/gotool/harness"
)

var methods = []string{"Prepare", "View", "Mounts", "Commit", "Remove", "Stat", "Update", "List", "Usage", "Cleanup"}

// Messages that are not protobuf, or not this message.
var malformed = map[string][]byte{
	"a length beyond the end":    {0x0a, 0x7f, 'x'},
	"a length of 2^63":           join([]byte{0x12}, varints(1<<63), []byte("x")),
	"a varint without end":       []byte(strings.Repeat("\xff", 20)),
	"a cut tag":                  {0x80},
	"a group end without start":  {0x0c},
	"field number zero":          {0x02, 0x00},
	"snapshotter as a varint":    {0x08, 0x01},
	"key as a fixed32":           {0x15, 1, 2, 3, 4},
	"wire type seven":            {0x0f, 0x00},
	"a label that is not a pair": field(4, "\xff\xff\xff"),
}

func TestMalformedMessagesAreRefused(t *testing.T) {
	d, _ := start(t)
	for what, message := range malformed {
		for _, method := range []string{"Prepare", "Stat", "List"} {
			if what == "a label that is not a pair" && method != "Prepare" {
				continue // an unknown field there
			}
			_, err := rawCall(d.Conn, service+method, message)
			if code := status.Code(err); code != codes.InvalidArgument && code != codes.Internal {
				t.Errorf("%s with %s: %v", method, what, err)
			}
		}
	}
	answers(t, d)
}

func TestCallsWithoutASnapshotterNameAreRefused(t *testing.T) {
	d, _ := start(t)
	for _, method := range methods {
		if method == "Cleanup" {
			continue // it is not about one name
		}
		message := join(field(2, "key"), field(3, "active"))
		if method == "Update" {
			message = field(2, string(field(1, "key")))
		} else if method == "List" {
			message = nil
		}
		_, err := rawCall(d.Conn, service+method, message)
		fails(t, err, codes.InvalidArgument)
	}
	answers(t, d)
}

func TestUpdateWithoutInfoIsRefused(t *testing.T) {
	d, _ := start(t)
	_, err := rawCall(d.Conn, service+"Update", field(1, "clonefs"))
	fails(t, err, codes.InvalidArgument)
	answers(t, d)
}

func TestRandomMessagesAreSurvived(t *testing.T) {
	d, s := start(t)
	population(t, s)
	seed := int64(harness.EnvInt("CLONEFS_TEST_SEED", int(time.Now().UnixNano())))
	t.Logf("CLONEFS_TEST_SEED=%d", seed)
	random := rand.New(rand.NewSource(seed))
	for i := 0; i < 2000; i++ {
		message := make([]byte, random.Intn(60))
		random.Read(message)
		if random.Intn(2) == 0 {
			message = join(field(1, "clonefs"), field(2, "work"), message)
		}
		method := methods[random.Intn(len(methods))]
		if method == "Remove" || method == "Commit" {
			continue // these could succeed
		}
		_, _ = rawCall(d.Conn, service+method, message) // any answer will do
	}
	answers(t, d)
	_, err := s.Stat("work")
	must(t, err)
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	d, s := start(t)
	population(t, s)
	message := join(
		field(1, "clonefs"), field(2, "work"),
		field(99, "from the future"), varints(77<<3, 5),
		varints(98<<3|1), make([]byte, 8), varints(97<<3|5), make([]byte, 4))
	answer, err := rawCall(d.Conn, service+"Stat", message)
	must(t, err)
	var response snapshotsapi.StatSnapshotResponse
	must(t, response.Unmarshal(answer))
	equal(t, "name", response.Info.Name, "work")
}

func TestTheLastOfARepeatedScalarCounts(t *testing.T) {
	d, s := start(t)
	population(t, s)
	_, err := rawCall(d.Conn, service+"Stat", join(field(1, "x"), field(2, "y"), field(1, "clonefs"), field(2, "work")))
	must(t, err)
}

func TestMessagesAbove16MiBAreRefusedAndBelowAreNot(t *testing.T) {
	d, s := start(t)
	population(t, s)
	stat := join(field(1, "clonefs"), field(2, "work"))
	_, err := rawCall(d.Conn, service+"Stat", join(stat, field(99, strings.Repeat("x", 16<<20-100))))
	must(t, err)
	for _, size := range []int{16<<20 + 1, 64 << 20} {
		_, err = rawCall(d.Conn, service+"Stat", join(stat, field(99, strings.Repeat("x", size))))
		fails(t, err, codes.ResourceExhausted)
		answers(t, d)
	}
}

func TestKeysOf4KiBWork(t *testing.T) {
	d, s := start(t)
	long := strings.Repeat("k/", 2048)
	name, child := "n"+long[1:], "c"+long[1:]
	_, err := s.Prepare(long, "")
	must(t, err)
	must(t, s.Commit(name, long))
	_, err = s.Prepare(child, name)
	must(t, err)
	_, s = restart(t, d)
	equal(t, "number of snapshots", len(list(t, s)), 2)
	info, err := s.Stat(child)
	must(t, err)
	equal(t, "parent", info.Parent, name)
	equal(t, "matches by name", len(list(t, s, `name=="`+child+`"`)), 1)
	_, err = s.Stat(child[:4095])
	fails(t, err, codes.NotFound)
	must(t, s.Remove(child))
	must(t, s.Remove(name))
}

func TestHugeKeysAreRefusedOrWork(t *testing.T) {
	d, s := start(t)
	huge := strings.Repeat("k", 1<<20)
	if _, err := s.Prepare(huge, ""); err != nil {
		fails(t, err, codes.InvalidArgument)
	} else {
		must(t, s.Remove(huge))
	}
	answers(t, d)
}

// A NUL would cut the key for C, and what is not UTF-8 could not be sent back.
func TestKeysWithNulOrInvalidUTF8AreRefused(t *testing.T) {
	d, s := start(t)
	_, err := s.Prepare("a", "")
	must(t, err)
	for _, bad := range []string{"a\x00b", "\x00", "a\xff", "\xc0\x80", "\xed\xa0\x80", "a\xe2\x82"} {
		for _, method := range []string{"Prepare", "View", "Mounts", "Remove", "Stat", "Usage"} {
			_, err := rawCall(d.Conn, service+method, join(field(1, "clonefs"), field(2, bad)))
			fails(t, err, codes.InvalidArgument)
		}
		_, err := rawCall(d.Conn, service+"Prepare", join(field(1, "clonefs"), field(2, "new"), field(3, bad)))
		fails(t, err, codes.InvalidArgument)
		_, err = rawCall(d.Conn, service+"Prepare", join(field(1, bad), field(2, "new")))
		fails(t, err, codes.InvalidArgument)
		_, err = rawCall(d.Conn, service+"Commit", join(field(1, "clonefs"), field(2, bad), field(3, "a")))
		fails(t, err, codes.InvalidArgument)
		_, err = rawCall(d.Conn, service+"Update", join(field(1, "clonefs"), field(2, string(field(1, bad)))))
		fails(t, err, codes.InvalidArgument)
		label := string(join(field(1, "label"), field(2, bad)))
		_, err = rawCall(d.Conn, service+"Prepare", join(field(1, "clonefs"), field(2, "new"), field(4, label)))
		fails(t, err, codes.InvalidArgument)
	}
	equal(t, "the snapshots", sortedNames(list(t, s)), "[a]")
}

func TestLabelsAreLimitedTo4096Bytes(t *testing.T) {
	_, s := start(t)
	key := "containerd.io/snapshot/x"
	fits := strings.Repeat("v", 4096-len(key))
	_, err := s.Prepare("fits", "", key, fits)
	must(t, err)
	_, err = s.Prepare("new", "", key, fits+"v")
	fails(t, err, codes.InvalidArgument)
	_, err = s.View("new", "", key, fits+"v")
	fails(t, err, codes.InvalidArgument)
	fails(t, s.Commit("new", "fits", key, fits+"v"), codes.InvalidArgument)
	fails(t, s.SetLabels("fits", key, fits+"v"), codes.InvalidArgument)
	_, err = s.Update(snapshotsapi.Info{Name: "fits", Labels: harness.Labels(key, fits+"v")}, "labels."+key)
	fails(t, err, codes.InvalidArgument)
	info, err := s.Stat("fits")
	must(t, err)
	equal(t, "the label", info.Labels[key], fits)
	equal(t, "the snapshots", sortedNames(list(t, s)), "[fits]")
}

func TestTooManyLabelsAreRefused(t *testing.T) {
	d, s := start(t)
	var labels []string
	for i := 0; i < 20000; i++ {
		labels = append(labels, numbered("label", i), "x")
	}
	_, err := s.Prepare("new", "", labels...)
	fails(t, err, codes.InvalidArgument)
	answers(t, d)
}
