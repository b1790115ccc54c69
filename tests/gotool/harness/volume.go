// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// Volume is the folder of an XFS volume of its own, which goes away with the test. XFS starts at 300 MB.
func Volume(t testing.TB, megabytes int64) string {
	t.Helper()
	image := VolumeImage(t, "xfs", megabytes)
	folder := t.TempDir() + "/volume"
	unmount := Mount(t, "xfs", image, folder)
	t.Cleanup(unmount)
	return folder
}

var makers = map[string][]string{
	"xfs":   {"mkfs.xfs", "-q", "-m", "reflink=1"},
	"btrfs": {"mkfs.btrfs", "-q"},
	"ext4":  {"mkfs.ext4", "-q", "-F"},
}

// VolumeImage is a file with an empty volume.
func VolumeImage(t testing.TB, fs string, megabytes int64) string {
	t.Helper()
	if fs == "ext4" {
		NeedLinux(t, "it must be APFS, which clones files")
	}
	NeedRoot(t)
	image := t.TempDir() + "/volume.img"
	file, err := os.Create(image)
	if err == nil {
		err = file.Truncate(megabytes << 20)
		_ = file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	command := append(append([]string{}, makers[fs]...), image)
	if output, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Skipf("skip: no %s volume can be made here: %v %s", fs, err, output)
	}
	return image
}

// Mount mounts an image on a new folder, until unmount is called.
func Mount(t testing.TB, fs, image, folder string) (unmount func()) {
	t.Helper()
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("mount", "-t", fs, "-o", "loop", image, folder).CombinedOutput(); err != nil {
		t.Skipf("skip: no %s volume can be mounted here: %v %s", fs, err, output)
	}
	return func() {
		if err := unix.Unmount(folder, 0); err != nil {
			t.Errorf("cannot unmount %s: %v", folder, err)
			_ = unix.Unmount(folder, unix.MNT_DETACH) // better than to leave it
		}
	}
}

// OtherBoot is a program that runs the daemon as on a machine that was started anew: it sees another boot id.
func OtherBoot(t testing.TB, bootID string) string {
	t.Helper()
	NeedRoot(t)
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nexec unshare --mount sh -c "+
		"'mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\"' '%s/id' '%s' \"$@\"\n", dir, Binary())
	err := os.WriteFile(dir+"/id", []byte(bootID+"\n"), 0o600)
	if err == nil {
		err = os.WriteFile(dir+"/daemon", []byte(script), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir + "/daemon"
}
