// SPDX-License-Identifier: Apache-2.0

package main

import "fmt"

const restingSnapshots = 200

// memoryRows takes the memory of a daemon that has some snapshots and nothing to do, and the most that one of ours has
// had in all the parts before.
func (r *imageRows) memoryRows() error {
	sides, err := r.unpacked([]string{oursPool}, r.whole)
	if err != nil {
		return err
	}
	s := sides[0]
	if err := s.makeEight(); err != nil {
		return err
	}
	all, err := s.list()
	if err != nil {
		return err
	}
	for n := len(all); n < restingSnapshots; n++ {
		if _, err := s.prepare(fmt.Sprintf("container %d", n), "eight"); err != nil {
			return err
		}
	}
	if err := s.awaitSpares(r.whole.top()); err != nil {
		return err
	}
	now, err := (&side{daemon: s.worker}).memory()
	if err != nil {
		return err
	}
	r.table.addAbsolute(fmt.Sprintf("anonymous memory idle, %d snapshots", restingSnapshots), now.anon, now.String(), "", atMost(40, " MiB"))
	var peak memory
	for _, w := range r.watches {
		most, err := w.end()
		if err != nil {
			return err
		}
		peak = peak.or(most)
	}
	r.watches = nil
	r.table.addAbsolute("anonymous memory at the peak of all this", peak.anon, peak.String(), "", atMost(96, " MiB"))
	return s.clear()
}
