// SPDX-License-Identifier: Apache-2.0

package main

import (
	"sync"

	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/content/local"
	"github.com/opencontainers/go-digest"
)

// openContent is the store that a stock containerd has below its metadata database, in root. There it keeps no
// labels; containerd's suite of a bare store asks for them.
func openContent(root string, labels, syncNames bool) (store content.Store, err error) {
	if labels {
		store, err = local.NewLabeledStore(root, &memoryLabels{of: map[digest.Digest]map[string]string{}})
	} else {
		store, err = local.NewStore(root)
	}
	if err != nil || !syncNames {
		return store, err
	}
	return newDurableStore(store, root)
}

// memoryLabels are gone with the process.
type memoryLabels struct {
	mu sync.Mutex
	of map[digest.Digest]map[string]string
}

func (m *memoryLabels) Get(blob digest.Digest) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return copyOf(m.of[blob]), nil
}

func (m *memoryLabels) Set(blob digest.Digest, labels map[string]string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of[blob] = copyOf(labels)
	return nil
}

func (m *memoryLabels) Update(blob digest.Digest, changes map[string]string) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	labels := copyOf(m.of[blob])
	if labels == nil {
		labels = map[string]string{}
	}
	for key, value := range changes {
		if value == "" {
			delete(labels, key)
		} else {
			labels[key] = value
		}
	}
	m.of[blob] = labels
	return copyOf(labels), nil
}

func copyOf(labels map[string]string) map[string]string {
	if labels == nil {
		return nil
	}
	other := make(map[string]string, len(labels))
	for key, value := range labels {
		other[key] = value
	}
	return other
}
