// SPDX-License-Identifier: Apache-2.0

package layer

// Shrink looks for simpler layers that still fail, and tries at most so many.
func Shrink(layers []*Layer, tries int, fails func([]*Layer) bool) []*Layer {
	attempt := func(candidate []*Layer) bool {
		if tries == 0 || len(candidate) == 0 {
			return false
		}
		tries--
		if !fails(candidate) {
			return false
		}
		layers = candidate
		return true
	}
	for again := true; again && tries > 0; {
		again = false
		for i := len(layers) - 1; i >= 0; i-- {
			if attempt(append(append([]*Layer{}, layers[:i]...), layers[i+1:]...)) {
				again = true
			}
		}
		for i := range layers {
			for j := len(layers[i].Entries) - 1; j >= 0; j-- {
				l := *layers[i]
				l.Entries = append(append([]*Entry{}, l.Entries[:j]...), l.Entries[j+1:]...)
				again = attempt(with(layers, i, &l)) || again
			}
			l := *layers[i]
			l.Packing, l.Ending, l.Media = Packing{}, TwoBlocks, oci
			if l.Packing != layers[i].Packing || l.Ending != layers[i].Ending || l.Media != layers[i].Media {
				again = attempt(with(layers, i, &l)) || again
			}
			for j := range layers[i].Entries {
				for n := 0; n < len(layers[i].Entries[j].simpler()); {
					l := *layers[i]
					l.Entries = append([]*Entry{}, l.Entries...)
					l.Entries[j] = l.Entries[j].simpler()[n]
					if attempt(with(layers, i, &l)) {
						again = true
					} else {
						n++
					}
				}
			}
		}
	}
	return layers
}

func with(layers []*Layer, i int, l *Layer) []*Layer {
	copied := append([]*Layer{}, layers...)
	copied[i] = l
	return copied
}

// simpler are entries with one oddity less.
func (e *Entry) simpler() (list []*Entry) {
	try := func(change func(*Entry)) {
		simple := *e
		change(&simple)
		if simple.String() != e.String() {
			list = append(list, &simple)
		}
	}
	try(func(s *Entry) { s.Xattrs = nil })
	try(func(s *Entry) { s.Libarchive = nil })
	try(func(s *Entry) { s.Records = nil })
	try(func(s *Entry) { s.Accessed = nil })
	try(func(s *Entry) { s.Modified = Time{Seconds: 1500000000} })
	try(func(s *Entry) { s.UID, s.GID = 0, 0 })
	try(func(s *Entry) { s.Numbers = 0 })
	try(func(s *Entry) { s.Sparse = Whole })
	try(func(s *Entry) { s.Data = nil })
	try(func(s *Entry) { s.Form = USTAR })
	return list
}
