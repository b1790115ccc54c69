// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// stats compares the rate of Stat with a Go program that serves native.
func (b *bench) stats() error {
	for _, n := range []int{1, 16} {
		var rates [2][]float64
		for round := 0; round < b.rounds; round++ {
			for i, s := range []*side{b.ours, b.native} {
				began := time.Now()
				calls, err := inParallel(n, func(int) error { _, err := s.Stat("big"); return err })
				if err != nil {
					return err
				}
				rates[i] = append(rates[i], calls/time.Since(began).Seconds())
			}
		}
		ours, peer := median(rates[0]), median(rates[1])
		limit := atLeast(1, "x")
		b.table.add(fmt.Sprintf("Stat, callers: %d; peer native", n), rate(ours), rate(peer), ours/peer, &limit)
	}
	return nil
}
