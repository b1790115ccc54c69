// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// contentModel is contract 6.2 in Go, for one client that knows all that happens. Where the contract leaves
// something open, all that it allows is allowed, and what the daemon did is what the model goes on with.
type contentModel struct {
	blobs   map[digest.Digest][]byte
	ingests map[string]*modelIngest
}

// modelIngest is what is kept of a ref.
type modelIngest struct {
	data     []byte
	born     time.Time
	started  time.Time // as the daemon said; zero: not seen yet
	total    int64     // announced last
	expected digest.Digest
	hazy     bool // what was announced may be forgotten, by a kill, or not be the last
}

// modelStream is an open Write stream.
type modelStream struct {
	model     *contentModel
	ref       string
	total     int64
	expected  digest.Digest
	resumed   bool // with what an earlier stream announced, which may count or not
	algorithm digest.Algorithm
}

func newContentModel() *contentModel {
	return &contentModel{blobs: map[digest.Digest][]byte{}, ingests: map[string]*modelIngest{}}
}

func (m *contentModel) has(dgst digest.Digest) bool {
	_, ok := m.blobs[dgst]
	return ok
}

// fate is one outcome that is allowed: a class, and what it does.
type fate struct {
	code codes.Code
	then func()
}

func nothing() {}

// mayOpen tells whether a first message with this total is one of which the outcome is known.
func (m *contentModel) mayOpen(ref string, total int64) bool {
	in := m.ingests[ref]
	return in == nil || total == 0 || len(in.data) == 0 || !in.hazy
}

// first is the part of the first message that the others do not have: the stream, or the fates that end it.
func (m *contentModel) first(r message) (*modelStream, []fate) {
	if r.Expected != "" && m.has(r.Expected) {
		return nil, []fate{{codes.AlreadyExists, nothing}}
	}
	s := &modelStream{model: m, ref: r.Ref, algorithm: digest.SHA256}
	if r.Expected != "" {
		s.algorithm = r.Expected.Algorithm()
	}
	in := m.ingests[r.Ref]
	if in == nil {
		in = &modelIngest{born: time.Now()}
		m.ingests[r.Ref] = in
	} else {
		s.resumed = true
	}
	if r.Total > 0 && in.total > 0 && r.Total != in.total {
		in.data = nil
		in.started = time.Time{} // as before or anew
	}
	return s, nil
}

func (s *modelStream) in() *modelIngest { return s.model.ingests[s.ref] }

// message gives the fates of a message on an open stream. OK leaves the stream open, unless it is a COMMIT.
func (s *modelStream) message(r message) []fate {
	m, in := s.model, s.in()
	discard := func() { delete(m.ingests, s.ref) }
	if r.Expected != "" {
		if m.has(r.Expected) {
			return []fate{{codes.AlreadyExists, discard}}
		}
		s.expected, in.expected = r.Expected, r.Expected
	}
	if r.Total > 0 {
		if in.total > 0 && in.total != r.Total {
			in.hazy = true // Status may tell of the first or of the last one
		}
		s.total, in.total = r.Total, r.Total
	}
	if r.Action == actionStat {
		return []fate{{codes.OK, nothing}}
	}
	if r.Offset != 0 && r.Offset != int64(len(in.data)) {
		return []fate{{codes.OutOfRange, nothing}}
	}
	data := append(append([]byte{}, in.data[:r.Offset]...), r.Data...)
	if r.Action == actionWrite {
		in.data = data
		return []fate{{codes.OK, nothing}}
	}
	return s.commit(data, discard)
}

func (s *modelStream) commit(data []byte, discard func()) []fate {
	in := s.in()
	in.data = data // stays when the commit is refused
	fates := s.commitAs(data, s.total, s.expected, discard)
	if s.resumed {
		// What an earlier stream announced may count; the contract can be read both ways.
		total, expected := s.total, s.expected
		if total == 0 {
			total = in.total
		}
		if expected == "" {
			expected = in.expected
		}
		fates = append(fates, s.commitAs(data, total, s.expected, discard)...)
		fates = append(fates, s.commitAs(data, s.total, expected, discard)...)
		fates = append(fates, s.commitAs(data, total, expected, discard)...)
	}
	return fates
}

func (s *modelStream) commitAs(data []byte, total int64, expected digest.Digest, discard func()) []fate {
	m := s.model
	algorithm := digest.SHA256
	if expected != "" {
		algorithm = expected.Algorithm()
	}
	dgst := algorithm.FromBytes(data)
	switch {
	case total > 0 && total != int64(len(data)):
		return []fate{{codes.FailedPrecondition, nothing}}
	case expected != "" && expected != dgst:
		return []fate{{codes.FailedPrecondition, nothing}}
	case m.has(dgst):
		return []fate{{codes.AlreadyExists, discard}}
	}
	return []fate{{codes.OK, func() { discard(); m.blobs[dgst] = data }}}
}

// choose goes on with what the daemon did, or tells why that is wrong.
func choose(fates []fate, err error) error {
	allowed := []codes.Code{}
	for _, f := range fates {
		if f.code == status.Code(err) {
			f.then()
			return nil
		}
		allowed = append(allowed, f.code)
	}
	return fmt.Errorf("got %v, allowed are %v", err, allowed)
}

// fits checks an answer that is not an error; data is what the model thinks is there after the message.
func (s *modelStream) fits(r message, answer contentapi.WriteContentResponse, data []byte) error {
	if answer.Action != r.Action || answer.Offset != int64(len(data)) {
		return fmt.Errorf("the answer is to %v at %d, not to %v at %d", answer.Action, answer.Offset, r.Action, len(data))
	}
	if answer.Digest.Validate() != nil || answer.Digest != answer.Digest.Algorithm().FromBytes(data) {
		return fmt.Errorf("the digest of %d bytes is said to be %q", len(data), answer.Digest)
	}
	// Only the first and the last message must change the algorithm; a message between may.
	got := answer.Digest.Algorithm()
	if got != s.algorithm && (s.expected == "" || got != s.expected.Algorithm()) {
		return fmt.Errorf("the digest is %s, wanted was %s or that of %q", got, s.algorithm, s.expected)
	}
	if r.Action == actionCommit && s.expected != "" && answer.Digest != s.expected {
		return fmt.Errorf("the commit is of %s, expected was %s", answer.Digest, s.expected)
	}
	if s.total > 0 && answer.Total != s.total {
		return fmt.Errorf("the total is %d, not %d", answer.Total, s.total)
	}
	if in := s.in(); in != nil { // STAT at least has the times
		if r.Action == actionStat && answer.StartedAt.IsZero() || r.Action == actionStat && answer.UpdatedAt.IsZero() {
			return fmt.Errorf("STAT has no times")
		}
		if !in.started.IsZero() && !in.started.Equal(answer.StartedAt) {
			return fmt.Errorf("started_at was %v, is %v", in.started, answer.StartedAt)
		}
		in.started = answer.StartedAt
	}
	return nil
}
