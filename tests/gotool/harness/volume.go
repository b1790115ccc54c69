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
	NeedRoot(t)
	dir := t.TempDir()
	image, folder := dir+"/volume.img", dir+"/volume"
	file, err := os.Create(image)
	if err == nil {
		err = file.Truncate(megabytes << 20)
		_ = file.Close()
	}
	if err == nil {
		err = os.Mkdir(folder, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{"mkfs.xfs", "-q", "-m", "reflink=1", image},
		{"mount", "-t", "xfs", "-o", "loop", image, folder},
	} {
		if output, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("skip: no XFS volume can be made here: %v %s", err, output)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(folder, 0); err != nil {
			t.Errorf("cannot unmount %s: %v", folder, err)
			_ = unix.Unmount(folder, unix.MNT_DETACH) // better than to leave it
		}
	})
	return folder
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
