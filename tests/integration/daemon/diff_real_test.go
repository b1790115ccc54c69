// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/layer"
)

// archiver makes an archive of a folder.
type archiver struct {
	what  string
	plain bool // old forms: short names, small numbers
	make  func(dir string) ([]byte, error)
	other bool // refused, by containerd too
}

func program(name string, args ...string) func(dir string) ([]byte, error) {
	return func(dir string) ([]byte, error) {
		var out, said bytes.Buffer
		cmd := exec.Command(name, append(args, "-C", dir, ".")...)
		cmd.Stdout, cmd.Stderr = &out, &said
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", name, err, said.String())
		}
		return out.Bytes(), nil
	}
}

func gnuTar(args ...string) func(dir string) ([]byte, error) {
	return program("tar", append([]string{"-c", "--numeric-owner", "--sort=name"}, args...)...)
}

func bsdTar(args ...string) func(dir string) ([]byte, error) {
	return program("bsdtar", append([]string{"-c", "-f", "-"}, args...)...)
}

const pythonArchive = `
import sys, tarfile
form = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT, "ustar": tarfile.USTAR_FORMAT}[sys.argv[1]]
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=form) as out:
    out.add(sys.argv[3], arcname=".")
`

func python(form string) func(dir string) ([]byte, error) {
	return program("python3", "-c", pythonArchive, form)
}

// goTar is archive/tar as most Go programs use it, with xattrs as Docker's archiver has them.
func goTar(form tar.Format) func(dir string) ([]byte, error) {
	return func(dir string) ([]byte, error) {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		seen := map[uint64]string{}
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || path == dir {
				return err
			}
			return goMember(w, form, dir, path, seen)
		})
		if err == nil {
			err = w.Close()
		}
		return out.Bytes(), err
	}
}

func goMember(w *tar.Writer, form tar.Format, dir, path string, seen map[uint64]string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	target := ""
	if info.Mode()&os.ModeSymlink != 0 {
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	h.Format, h.Uname, h.Gname = form, "", ""
	h.AccessTime, h.ChangeTime = time.Time{}, time.Time{}
	if form != tar.FormatPAX {
		h.ModTime = h.ModTime.Truncate(time.Second)
	}
	if h.Name, err = filepath.Rel(dir, path); err != nil {
		return err
	}
	if info.IsDir() {
		h.Name += "/"
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err
	}
	if !info.IsDir() && st.Nlink > 1 {
		if first, there := seen[st.Ino]; there {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
		}
		seen[st.Ino] = h.Name
	}
	if form == tar.FormatPAX {
		value := make([]byte, 1000)
		for _, name := range []string{"user.note", "security.capability"} {
			if n, err := unix.Lgetxattr(path, name, value); err == nil {
				if h.PAXRecords == nil {
					h.PAXRecords = map[string]string{}
				}
				h.PAXRecords["SCHILY.xattr."+name] = string(value[:n])
			}
		}
	}
	if err := w.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(w, file)
	return err
}

var archivers = []archiver{
	{what: "tar posix", make: gnuTar("--format=posix")},
	{what: "tar posix, xattrs and ACLs", make: gnuTar("--format=posix", "--xattrs", "--xattrs-include=*", "--acls")},
	{what: "tar posix, sparse 0.0", make: gnuTar("--format=posix", "-S", "--sparse-version=0.0")},
	{what: "tar posix, sparse 0.1", make: gnuTar("--format=posix", "-S", "--sparse-version=0.1")},
	{what: "tar posix, sparse 1.0", make: gnuTar("--format=posix", "-S", "--sparse-version=1.0")},
	{what: "tar gnu", make: gnuTar("--format=gnu")},
	{what: "tar gnu, sparse", make: gnuTar("--format=gnu", "-S"), other: true},
	{what: "tar oldgnu", make: gnuTar("--format=oldgnu")},
	{what: "tar ustar", make: gnuTar("--format=ustar"), plain: true},
	{what: "tar v7", make: gnuTar("--format=v7", "--exclude=./dev"), plain: true},
	{what: "tar gnu, absolute names", make: gnuTar("--format=gnu", "-P", "--transform=s,^\\.,/,")},
	{what: "bsdtar pax", make: bsdTar("--format", "pax", "--no-fflags", "--no-acls", "--no-xattrs")},
	{what: "bsdtar pax, all it can", make: bsdTar("--format", "pax", "--fflags", "--acls", "--xattrs")},
	{what: "bsdtar restricted pax", make: bsdTar("--format", "rpax")},
	{what: "bsdtar gnutar", make: bsdTar("--format", "gnutar")},
	{what: "bsdtar ustar", make: bsdTar("--format", "ustar"), plain: true},
	{what: "bsdtar v7", make: bsdTar("--format", "v7", "--exclude", "./dev"), plain: true},
	{what: "Go pax", make: goTar(tar.FormatPAX)},
	{what: "Go gnu", make: goTar(tar.FormatGNU)},
	{what: "Go ustar", make: goTar(tar.FormatUSTAR), plain: true},
	{what: "Python pax", make: python("pax")},
	{what: "Python gnu", make: python("gnu")},
	{what: "Python ustar", make: python("ustar"), plain: true},
}

// sample makes a folder with something of everything; plain: that old forms can say.
func sample(dir string, plain bool) error {
	steps := []func() error{
		func() error { return os.MkdirAll(dir+"/usr/bin", 0o755) },
		func() error { return os.MkdirAll(dir+"/dev", 0o750) },
		func() error { return os.WriteFile(dir+"/usr/bin/tool", randomBytes(1, 300000), 0o755) },
		func() error { return unix.Chown(dir+"/usr/bin/tool", 1000, 100) },
		func() error { return unix.Chmod(dir+"/usr/bin/tool", 0o6755) },
		func() error { return os.Link(dir+"/usr/bin/tool", dir+"/usr/bin/same tool") },
		func() error { return os.WriteFile(dir+"/empty", nil, 0o600) },
		func() error { return os.Symlink("usr/bin/tool", dir+"/link") },
		func() error { return os.Symlink("/nowhere", dir+"/dangling") },
		func() error { return unix.Lchown(dir+"/link", 7, 8) },
		func() error { return unix.Mkfifo(dir+"/dev/fifo", 0o622) },
		func() error { return unix.Mknod(dir+"/dev/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))) },
		func() error { return unix.Mknod(dir+"/dev/disk", unix.S_IFBLK|0o660, int(unix.Mkdev(8, 17))) },
		func() error { return os.Mkdir(dir+"/tmp", 0o700) },
		func() error { return unix.Chmod(dir+"/tmp", 0o1777) },
	}
	if !plain {
		long := dir + "/" + strings.Repeat("long", 60) + "/" + strings.Repeat("name", 63)
		steps = append(steps,
			func() error { return os.MkdirAll(long, 0o755) },
			func() error { return os.WriteFile(long+"/f\u00fc", []byte("x"), 0o644) },
			func() error { return os.Symlink(strings.Repeat("../", 50)+"x", dir+"/long link") },
			func() error { return os.Link(long+"/f\u00fc", dir+"/hard") },
			func() error { return unix.Lchown(dir+"/empty", 3000000, 4000000) },
			func() error { return sparseFile(dir + "/sparse") },
			func() error { return setXattr(dir+"/usr/bin/tool", "user.note", "a value") },
			func() error { return setXattr(dir+"/empty", "security.capability", layer.Capabilities) },
			func() error { return setXattr(dir+"/usr", "user.note", "\x00\xff binary") },
			func() error { return setXattr(dir+"/empty", "system.posix_acl_access", layer.ACL) },
		)
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	n := int64(0)
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		n++
		at := unix.Timespec{Sec: 1500000000 + n}
		if !plain {
			at.Nsec = 123456789 * n % 1000000000
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// sparseFile has many holes, more than a header has room for.
func sparseFile(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for i := int64(0); i < 60; i++ {
		if _, err := file.WriteAt([]byte("data"), i<<16); err != nil {
			return err
		}
	}
	return file.Truncate(5 << 20)
}

// Archives made by programs that people make layers with, applied by containerd and by us.
func TestDiffArchivesOfRealPrograms(t *testing.T) {
	harness.NeedRoot(t)
	u := startDiff(t, "", withoutFlush)
	var dirs [2]string
	for i := range dirs {
		dirs[i] = t.TempDir()
		must(t, sample(dirs[i], i == 1))
	}
	for _, a := range archivers {
		a := a
		t.Run(a.what, func(t *testing.T) {
			if name, _, _ := strings.Cut(a.what, " "); strings.ToLower(name) == name {
				if _, err := exec.LookPath(name); err != nil {
					t.Skipf("skip: no %s", name)
				}
			}
			dir := dirs[0]
			if a.plain {
				dir = dirs[1]
			}
			stream, err := a.make(dir)
			must(t, err)
			if a.other {
				if _, _, err := layer.Apply(t.TempDir(), bytes.NewReader(stream), true); err == nil {
					t.Error("containerd takes it; then so should we")
				}
				if !standIn() {
					u.refuses(t, ociLayer, stream, codes.InvalidArgument, "type")
				}
				return
			}
			sameAsContainerd(t, u, stream)
		})
	}
	u.nothingLeft(t)
}

// sameAsContainerd applies an archive by our daemon, in one of several packings, and by containerd.
func sameAsContainerd(t *testing.T, u *unpacker, stream []byte) {
	t.Helper()
	began := time.Now().Truncate(time.Second).Add(-time.Second)
	key, dir := u.prepared(t, "")
	defer u.removed(t, key)
	packing := layer.Packing{Kind: layer.PackingKind(len(stream) / 512 % 7), Seed: int64(len(stream))}
	u.applied(t, ociLayer+"+gzip", packing.Pack(stream), stream, key)
	reference := t.TempDir()
	if _, _, err := layer.Apply(reference, bytes.NewReader(stream), true); err != nil {
		t.Fatalf("containerd refuses it: %v", err)
	}
	got, err := layer.Scan(dir)
	must(t, err)
	want, err := layer.Scan(reference)
	must(t, err)
	if want.Count() < 7 {
		t.Errorf("only %d entries: that tests nothing", want.Count())
	}
	for _, problem := range (layer.Comparison{Since: began}).Compare(got, want) {
		t.Error(problem)
	}
}
