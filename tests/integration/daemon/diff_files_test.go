// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"os"

	"golang.org/x/sys/unix"
)

// Changes of files that leave as much as possible as it is.

// rewritten writes other bytes and keeps the times.
func rewritten(path, data string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(data)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if err := unix.Chmod(path, st.Mode&0o7777); err != nil { // writing takes set-id away
		return err
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

// separated makes a file of its own of a hard link.
func separated(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

func relinked(path, target string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.Symlink(target, path)
}

func otherDevice(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5)))
}

func setXattr(path, name, value string) error {
	return unix.Lsetxattr(path, name, []byte(value), 0)
}
