// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/layer"
)

// severalFiles is a layer of small and big files, and what it makes.
func severalFiles() ([]byte, harness.Files) {
	files := harness.Files{}
	entries := []*layer.Entry{{Name: "d", Type: layer.Dir, Mode: 0o755}}
	for i := 0; i < 300; i++ {
		name, size := fmt.Sprintf("d/file-%d", i), 10+i
		if i%100 == 50 {
			size = 3 << 20
		}
		data := randomBytes(int64(i), size)
		files[name] = string(data)
		entries = append(entries, &layer.Entry{Name: name, Type: layer.File, Mode: 0o644, Data: data})
	}
	return (&layer.Layer{Entries: entries}).Archive(false), files
}

// A layer of an unpacker: applied, and committed; the disk as it was right after each answer.
func TestDiffAPowerCutKeepsWhatWasApplied(t *testing.T) {
	needClonefs(t)
	const key, name = "default/1/extract-1-x sha256:1", "default/2/sha256:1"
	stream, files := severalFiles()
	for _, fs := range []string{"xfs", "btrfs", "ext4"} {
		fs := fs
		t.Run(fs, func(t *testing.T) {
			dir := t.TempDir()
			image := harness.VolumeImage(t, fs, 640)
			folder := filepath.Join(dir, "volume")
			unmount := harness.Mount(t, fs, image, folder)
			u := startDiff(t, filepath.Join(folder, "root"), "")
			_, err := u.s.Prepare(key, "")
			must(t, err)
			_, err = u.apply(ociLayer, stream, key)
			must(t, err)
			cloneFile(t, image, filepath.Join(dir, "applied.img"))
			must(t, u.s.Commit(name, key))
			cloneFile(t, image, filepath.Join(dir, "committed.img"))
			u.d.Kill()
			unmount()
			for cut, find := range map[string]string{"applied": key, "committed": name} {
				t.Run(cut, func(t *testing.T) { afterPowerCut(t, fs, filepath.Join(dir, cut), find, name, files) })
			}
		})
	}
}

// afterPowerCut looks at the layer on a machine that was started anew.
func afterPowerCut(t *testing.T, fs, folder, key, name string, files harness.Files) {
	unmount := harness.Mount(t, fs, folder+".img", folder)
	defer unmount()
	other := harness.OtherBoot(t, "00000000-0000-4000-8000-0000000d1ff0")
	d, err := harness.Launch(harness.Options{Binary: other, Root: filepath.Join(folder, "root")})
	must(t, err)
	defer d.Kill()
	s := d.Snapshots("clonefs")
	if key != name {
		must(t, s.Commit(name, key))
	}
	made, err := s.Prepare("container", name)
	must(t, err)
	must(t, harness.SameFiles(made, files))
	must(t, os.Remove(folder+".img"))
}

// At each of these steps of Apply the daemon is killed. The snapshot was acknowledged before, and takes the layer
// when the daemon is back.
func TestDiffCrashAtAnyStepOfApply(t *testing.T) {
	needClonefs(t)
	harness.NeedFaults(t)
	stream, files := severalFiles()
	for _, fault := range []string{"apply.entry", "apply.entry@2", "apply.entry@200", "unpack.flush", "unpack.flushed",
		"unpack.recorded"} {
		fault := fault
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			const key = "default/1/extract-1-x sha256:1"
			u := startDiff(t, "", "")
			_, err := u.s.Prepare(key, "")
			must(t, err)
			blob, err := u.put(stream)
			must(t, err)
			request, err := u.request(ociLayer, blob, len(stream), key)
			must(t, err)
			harness.StopClean(t, u.d)
			d, err := harness.Launch(harness.Options{Root: u.d.Root, Fault: fault + "=kill"})
			must(t, err)
			if _, err := unpackerOf(d).send(request); err == nil {
				t.Error("it was acknowledged by a daemon that should have died")
			}
			if !d.Exited(harness.Bound(10*time.Second)) || !d.KilledBySignal() {
				t.Errorf("the daemon did not die\n%s", d.Log())
			}
			u = startDiff(t, u.d.Root, "")
			u.nothingLeft(t)
			_, err = u.send(request)
			must(t, err)
			must(t, u.s.Commit("image", key))
			dir, err := u.s.Prepare("container", "image")
			must(t, err)
			must(t, harness.SameFiles(dir, files))
			harness.StopClean(t, u.d)
		})
	}
}

// startFaulty starts a daemon with a fault, which is killed at the end.
func startFaulty(t *testing.T, fault string, args ...string) *unpacker {
	t.Helper()
	d, err := harness.Launch(harness.Options{Root: t.TempDir(), Fault: fault, Args: args})
	must(t, err)
	t.Cleanup(d.Kill)
	return unpackerOf(d)
}

// A flush that fails means that the layer may not be on disk: that is no success.
func TestDiffAFlushThatFailsFailsTheApply(t *testing.T) {
	needClonefs(t)
	harness.NeedFaults(t)
	u := startFaulty(t, "unpack.flush=5")
	key, _ := u.prepared(t, "")
	_, err := u.apply(ociLayer, smallLayer("file"), key)
	if err == nil {
		t.Fatal("a layer that may not be on disk was acknowledged")
	}
	u.removed(t, key)
}

// Without durability a caller may ask for it.
func TestDiffSyncFSAsksForAFlush(t *testing.T) {
	needClonefs(t)
	harness.NeedFaults(t)
	file := filepath.Join(t.TempDir(), "clonefsd.toml")
	must(t, os.WriteFile(file, []byte(withoutFlush), 0o600))
	u := startFaulty(t, "unpack.flush=5", "--config", file)
	data := smallLayer("file")
	blob, err := u.put(data)
	must(t, err)
	for _, sync := range []bool{false, true} {
		key, _ := u.prepared(t, "")
		request, err := u.request(ociLayer, blob, len(data), key)
		must(t, err)
		if sync {
			request.XXX_unrecognized = syncFS
		}
		if _, err = u.send(request); (err != nil) != sync {
			t.Errorf("with sync_fs %v: %v", sync, err)
		}
		u.removed(t, key)
	}
}

// A disk that takes its time, or for ever, does not keep the daemon from stopping.
func TestDiffShutdownDuringAFlush(t *testing.T) {
	needClonefs(t)
	harness.NeedFaults(t)
	u := startFaulty(t, "unpack.flush=stop")
	key, _ := u.prepared(t, "")
	result := make(chan error, 1)
	go func() {
		_, err := u.apply(ociLayer, smallLayer("file"), key)
		result <- err
	}()
	time.Sleep(500 * time.Millisecond)
	harness.StopClean(t, u.d)
	if err := <-result; err == nil {
		t.Error("a layer that was not flushed was acknowledged")
	}
	u = startDiff(t, u.d.Root, "")
	u.removed(t, key)
	u.nothingLeft(t)
}
