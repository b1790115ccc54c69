// SPDX-License-Identifier: Apache-2.0

package layer

import "math/rand"

// A Chain makes layers without end, each for what those before it should have made.
type Chain struct{ made *generator }

// NewChain begins with nothing.
func NewChain(seed int64) *Chain {
	g := &generator{Rand: rand.New(rand.NewSource(seed)), known: map[string]byte{}}
	g.unusual = g.one(2) == 0
	return &Chain{g}
}

// Branch is a chain that has made the same so far, and goes on in its own way.
func (c *Chain) Branch(seed int64) *Chain {
	g := &generator{Rand: rand.New(rand.NewSource(seed)), known: map[string]byte{}, unusual: c.made.unusual}
	for path, kind := range c.made.known {
		g.known[path] = kind
	}
	g.names = append(g.names, c.made.names...)
	return &Chain{g}
}

// Next is a layer that an applier should take; wild ones may have entries that it refuses.
func (c *Chain) Next(wild bool) *Layer {
	c.made.wild = wild
	return c.made.layer()
}
