// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	oldContainerd = "/usr/bin/containerd" // of 1.6
	oursOld       = "clonefs-1.6"
	nativePeer    = "native"
	nativeOld     = "native-1.6"
	noSpare       = "Prepare, no spare"
)

// nativeRows are taken once: native copies the whole image for each layer. With a containerd of 1.6, which knows no
// proxies of differs, clonefs has to clone for each layer, too.
func (r *imageRows) nativeRows() error {
	if len(r.noted(unpackSync, oursFull)) == 0 { // that part was left out
		s, err := r.with([]string{oursFull}, r.whole)
		if err != nil {
			return err
		}
		if _, err = r.unpackOnce(s[0], r.whole, 0, "", unpackSync); err != nil {
			return err
		}
	}
	if err := r.runNoSpare(); err != nil {
		return err
	}
	native, err := r.unpackAside(nativePeer, func() (*stock, error) {
		return r.stockPeerWith(nativePeer, "native", settings{containerd: r.containerd})
	})
	if err != nil {
		return err
	}
	limit := atMost(0.12, "x")
	r.table.compareTimes("unpack, all layers, sync -f; native, once", r.noted(unpackSync, oursFull), r.noted(unpackSync, nativePeer), &limit)
	prepared := atMost(0.35, "x")
	r.table.compareTimes("Prepare of a container, no spare; native", r.noted(noSpare, oursFull), r.noted(noSpare, nativePeer), &prepared)
	r.times.setNative(labelUnpack, median(r.noted(unpackSync, nativePeer)).Seconds())
	r.times.addTimes("container,\nno spare", r.noted(noSpare, oursFull), nil, r.noted(noSpare, nativePeer))
	r.space.setNative(labelInodes, native.inodes())
	r.space.setNative(labelDisk, native.bytes())
	return r.oldRows()
}

// runNoSpare times Prepare where there is no spare.
func (r *imageRows) runNoSpare() error {
	sides, err := r.unpacked([]string{oursFull}, r.whole)
	if err != nil {
		return err
	}
	err = r.turns(sides, func(round int, s *stock) error {
		if err := s.settle(); err != nil {
			return err
		}
		took, err := s.run(fmt.Sprintf("container %d", round), r.whole.top())
		if err == nil {
			r.note(noSpare, s, took)
		}
		return err
	})
	if err != nil {
		return err
	}
	return clearAll(sides)
}

// unpackAside unpacks the image once on a side that goes away again, since it may fill the volume.
func (r *imageRows) unpackAside(name string, start func() (*stock, error)) (f footprint, err error) {
	s, err := start()
	if err != nil {
		return f, err
	}
	defer func() {
		s.stop()
		for _, suffix := range []string{"", "-containerd", "-state"} {
			if failure := os.RemoveAll(filepath.Join(r.dir, name+suffix)); err == nil {
				err = failure
			}
		}
	}()
	if err = s.putImage(r.whole); err != nil {
		return f, fmt.Errorf("%s: %w", name, err)
	}
	if f, err = r.unpackOnce(s, r.whole, 1, unpackLoose, unpackSync); err != nil {
		return f, fmt.Errorf("%s: %w", name, err)
	}
	if name == nativePeer {
		took, failure := s.run("container", r.whole.top())
		r.note(noSpare, s, took)
		err = failure
	}
	return f, err
}

func (r *imageRows) oldRows() error {
	if !exists(oldContainerd) {
		progress("skip: no %s", oldContainerd)
		return nil
	}
	progress("%s on both sides, with its own differ", versionOf(oldContainerd))
	_, err := r.unpackAside(oursOld, func() (*stock, error) {
		return r.stockOursWith(oursOld, settings{containerd: oldContainerd, walking: true})
	})
	if err != nil {
		return err
	}
	_, err = r.unpackAside(nativeOld, func() (*stock, error) {
		return r.stockPeerWith(nativeOld, "native", settings{containerd: oldContainerd})
	})
	if err != nil {
		return err
	}
	limit := atMost(0.35, "x")
	r.table.compareTimes(fmt.Sprintf("the same with %s and its differ; native, once", versionOf(oldContainerd)), r.noted(unpackSync, oursOld),
		r.noted(unpackSync, nativeOld), &limit)
	r.times.addTimes("unpack,\n"+versionOf(oldContainerd), r.noted(unpackSync, oursOld), []time.Duration(nil), r.noted(unpackSync, nativeOld))
	return nil
}
