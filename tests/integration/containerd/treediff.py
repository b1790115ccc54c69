#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Compares directory trees entry by entry.

usage: treediff.py scan DIR OUTPUT          write what DIR holds to a file
       treediff.py compare A B              A, B: directories or outputs of scan; exit 1 and a list if they differ
       treediff.py count DIR                regular files, directories, symbolic links, others

Compared: names, types, permission bits with set-id bits, owners, sizes, content, times of modification to the
nanosecond, link targets, groups of hard links, extended attributes (ACLs and capabilities are some), device
numbers. Not compared: the time of the top directory (unpacking never sets it) and directory sizes.
--no-directory-times (after compare) leaves out the times of all directories, --whole-seconds what is below a second
(containerd's layers hold no more).
"""

import hashlib
import json
import os
import stat
import sys


def text(name):
    return os.fsdecode(name)


def describe(name, parent, status):
    kind = stat.S_IFMT(status.st_mode)
    entry = {"type": {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "symlink",
                      stat.S_IFCHR: "char", stat.S_IFBLK: "block", stat.S_IFIFO: "fifo",
                      stat.S_IFSOCK: "socket"}[kind],
             "mode": oct(stat.S_IMODE(status.st_mode)), "owner": f"{status.st_uid}:{status.st_gid}",
             "mtime": status.st_mtime_ns}
    if kind == stat.S_IFREG:
        entry["size"] = status.st_size
        digest = hashlib.sha256()
        with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=parent), "rb") as f:
            while data := f.read(1 << 20):
                digest.update(data)
        entry["sha256"] = digest.hexdigest()
    elif kind == stat.S_IFLNK:
        entry["target"] = text(os.readlink(name, dir_fd=parent))
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        entry["device"] = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return entry


def xattrs(path):
    try:
        return {key: os.getxattr(path, key, follow_symlinks=False).hex()
                for key in sorted(os.listxattr(path, follow_symlinks=False))}
    except OSError as e:
        return {"error": os.strerror(e.errno)}


def scan(top):
    top = os.fsencode(top)
    entries, groups = {}, {}
    for folder, dirs, names, fd in os.fwalk(top, follow_symlinks=False):
        if folder == top:
            entry = describe(b".", fd, os.stat(fd))
            del entry["mtime"]
            entry["xattrs"] = xattrs(top)
            entries["."] = entry
        for name in dirs + names:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            path = os.path.join(folder, name)
            key = text(os.path.relpath(path, top))
            entry = describe(name, fd, status)
            entry["xattrs"] = xattrs(path)
            entries[key] = entry
            if not stat.S_ISDIR(status.st_mode):
                groups.setdefault((status.st_dev, status.st_ino), []).append(key)
    for members in groups.values():
        if len(members) > 1:
            members.sort()
            for key in members:
                entries[key]["links"] = members
    return entries


def load(where):
    if os.path.isdir(where):
        return scan(where)
    with open(where, encoding="utf-8", errors="surrogateescape") as f:
        return json.load(f)


def compare(a, b):
    problems = []
    for key in sorted(set(a) | set(b)):
        if key not in a:
            problems.append(f"{key!r}: only in the second ({b[key]['type']})")
        elif key not in b:
            problems.append(f"{key!r}: only in the first ({a[key]['type']})")
        else:
            for field in sorted(set(a[key]) | set(b[key])):
                x, y = a[key].get(field), b[key].get(field)
                if x != y:
                    problems.append(f"{key!r}: {field}: {x} and {y}")
    return problems


def main():
    options = [word for word in sys.argv if word in ("--no-directory-times", "--whole-seconds")]
    for option in options:
        sys.argv.remove(option)
    if len(sys.argv) == 4 and sys.argv[1] == "scan":
        with open(sys.argv[3], "w", encoding="utf-8", errors="surrogateescape") as f:
            json.dump(scan(sys.argv[2]), f)
    elif len(sys.argv) == 4 and sys.argv[1] == "compare":
        a, b = load(sys.argv[2]), load(sys.argv[3])
        for entry in (*a.values(), *b.values()):
            if "--no-directory-times" in options and entry["type"] == "directory":
                entry.pop("mtime", None)
            if "--whole-seconds" in options and "mtime" in entry:
                entry["mtime"] //= 10**9
        problems = compare(a, b)
        for line in problems[:15]:
            print(ascii(line)[1:-1][:400])
        if problems:
            print(f"{len(problems)} differences between {len(a)} and {len(b)} entries")
            sys.exit(1)
        files = sum(1 for e in a.values() if e["type"] == "file")
        groups = len({tuple(e["links"]) for e in a.values() if "links" in e})
        with_xattrs = sum(1 for e in a.values() if e["xattrs"])
        print(f"equal: {len(a)} entries, {files} files, {groups} hard-link groups, {with_xattrs} with xattrs")
    elif len(sys.argv) == 3 and sys.argv[1] == "count":
        kinds = {}
        for entry in scan(sys.argv[2]).values():
            kinds[entry["type"]] = kinds.get(entry["type"], 0) + 1
        print(" ".join(f"{kind}={kinds[kind]}" for kind in sorted(kinds)))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
