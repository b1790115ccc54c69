#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes OCI image archives from the files of this machine, the same bytes on every run.

usage: mkimage.py OUTDIR [--files N] [--only NAME,...]

  darwin.tar   darwin/arm64: N real files (default 12000) in several layers, with every kind of file, edited,
               deleted and replaced between the layers
  linux.tar    linux/amd64: busybox, can be run
  chain.tar    linux/amd64: many small layers on top of the layers of linux.tar

Beside NAME.tar there is NAME.env, shell variables: NAME_REF, NAME_PLATFORM, NAME_LAYERS (count), NAME_CHAIN
(chain ids, lowest first), NAME_TOP (the last of them), NAME_FILES (regular files in the result), NAME_BYTES.
"""

import argparse
import hashlib
import json
import os
import stat
import struct
import sys
import tarfile
import zlib

EPOCH = 1700000000 * 10**9  # times of what does not come from this machine, in ns
SOURCES = (
    "/usr/include", "/usr/share/zoneinfo", "/usr/lib/python3", "/usr/lib/python3.11", "/usr/share/perl",
    "/usr/share/doc", "/usr/share/man", "/usr/share/i18n", "/usr/share", "/usr/lib",
)
PER_SOURCE = 2500
BIGGEST_FILE = 96 << 10
BIGGEST_TOTAL = 160 << 20


class Entry:
    def __init__(self, kind, mode=0o644, uid=0, gid=0, mtime=EPOCH, data=b"", source=None, target="",
                 device=(0, 0), xattrs=None):
        self.kind = kind
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.mtime = mtime
        self.data = data
        self.source = source
        self.target = target
        self.device = device
        self.xattrs = dict(xattrs or {})

    def but(self, **changes):
        other = Entry(self.kind, self.mode, self.uid, self.gid, self.mtime, self.data, self.source, self.target,
                      self.device, self.xattrs)
        for name, value in changes.items():
            setattr(other, name, value)
        return other

    def content(self):
        if self.source is None:
            return self.data
        with open(self.source, "rb") as f:
            return f.read()


KINDS = {"dir": tarfile.DIRTYPE, "file": tarfile.REGTYPE, "hard": tarfile.LNKTYPE, "sym": tarfile.SYMTYPE,
         "char": tarfile.CHRTYPE, "block": tarfile.BLKTYPE, "fifo": tarfile.FIFOTYPE}


class Blob:
    def __init__(self, path, compress):
        self.path = path
        self.out = open(path, "wb")
        self.plain = hashlib.sha256()
        self.packed = hashlib.sha256()
        self.size = 0
        # A gzip stream without name and time: equal input makes equal bytes.
        self.engine = zlib.compressobj(1, zlib.DEFLATED, 31) if compress else None

    def write(self, data):
        self.plain.update(data)
        self._put(self.engine.compress(data) if self.engine else data)

    def _put(self, data):
        self.packed.update(data)
        self.size += len(data)
        self.out.write(data)

    def close(self):
        if self.engine:
            self._put(self.engine.flush())
        self.out.close()


class Image:
    """A model of the tree so far, and the layers that lead to it."""

    def __init__(self, outdir, name, ref, os_name, arch):
        self.outdir, self.name, self.ref, self.os, self.arch = outdir, name, ref, os_name, arch
        self.tree = {}
        self.layers = []  # (path, digest, size, diff id, media type)
        self.blob = None
        self.emitted = set()

    # -- one layer -------------------------------------------------------------------------------------

    def begin(self, compress=True):
        self.compress = compress
        self.blob = Blob(os.path.join(self.outdir, f".{self.name}-{len(self.layers)}"), compress)
        self.emitted = set()

    def end(self):
        self.blob.write(bytes(2 * 512))
        self.blob.close()
        kind = "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if self.compress else "")
        self.layers.append((self.blob.path, self.blob.packed.hexdigest(), self.blob.size,
                            self.blob.plain.hexdigest(), kind))

    def _record(self, path, entry):
        info = tarfile.TarInfo(path + ("/" if entry.kind == "dir" else ""))
        info.type = KINDS[entry.kind]
        info.mode, info.uid, info.gid = entry.mode, entry.uid, entry.gid
        info.linkname = entry.target
        info.devmajor, info.devminor = entry.device
        data = entry.content() if entry.kind == "file" else b""
        info.size = len(data)
        info.mtime = entry.mtime // 10**9
        try:
            (path + entry.target).encode("utf-8")
            if entry.mtime % 10**9:
                info.pax_headers["mtime"] = "%d.%09d" % divmod(entry.mtime, 10**9)
            for key, value in sorted(entry.xattrs.items()):
                info.pax_headers["SCHILY.xattr." + key] = value.decode("utf-8")
            head = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        except UnicodeEncodeError:  # a name that is not UTF-8 goes into the old header as it is
            head = info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
        self.blob.write(head)
        if data:
            self.blob.write(data)
            self.blob.write(bytes(-len(data) % 512))

    def _parents(self, path):
        parts = path.split("/")[:-1]
        for i in range(1, len(parts) + 1):
            parent = "/".join(parts[:i])
            if parent in self.emitted:
                continue
            if parent not in self.tree:
                self.tree[parent] = Entry("dir", 0o755)
            self.emitted.add(parent)
            self._record(parent, self.tree[parent])

    def _forget(self, path):
        prefix = path + "/"
        for name in [n for n in self.tree if n == path or n.startswith(prefix)]:
            del self.tree[name]
            self.emitted.discard(name)

    def put(self, path, entry):
        if entry.kind == "hard":  # unpacking sets owner, mode and times of a link again
            entry = self.tree[entry.target].but(kind="hard", target=entry.target)
        self._parents(path)
        old = self.tree.get(path)
        if old is not None and not (old.kind == "dir" and entry.kind == "dir"):
            assert path not in self.emitted, path  # a layer says one thing about a path
            self._forget(path)
        self.tree[path] = entry
        self.emitted.add(path)
        self._record(path, entry)

    def link_to_lower(self, path, target):
        """A hard link to a file of a lower layer: the layer has to hold the file too, as overlayfs needs it."""
        assert self.tree[target].kind == "file", target
        self.put(target, self.tree[target])
        self.put(path, Entry("hard", target=target))

    def delete(self, path):
        assert path in self.tree and path not in self.emitted, path
        self._parents(path)
        self._forget(path)
        head, _, base = path.rpartition("/")
        self._record((head + "/" if head else "") + ".wh." + base, Entry("file", 0))

    def opaque(self, path):
        assert self.tree[path].kind == "dir", path
        entry = self.tree[path]
        self._parents(path + "/x")
        self._forget(path)
        self.tree[path] = entry
        self.emitted.add(path)
        self._record(path + "/.wh..wh..opq", Entry("file", 0))

    # -- the archive ---------------------------------------------------------------------------------------

    def files(self):
        return sorted(p for p, e in self.tree.items() if e.kind == "file")

    def save(self, config):
        blobs = []

        def add(data, kind):
            digest = hashlib.sha256(data).hexdigest()
            blobs.append((digest, len(data), data))
            return {"mediaType": kind, "digest": "sha256:" + digest, "size": len(data)}

        def dump(value):
            return json.dumps(value, indent=1, sort_keys=True).encode()

        diff_ids = ["sha256:" + layer[3] for layer in self.layers]
        config = {"architecture": self.arch, "os": self.os, "created": "2023-11-14T22:13:20Z", "config": config,
                  "rootfs": {"type": "layers", "diff_ids": diff_ids},
                  "history": [{"created": "2023-11-14T22:13:20Z", "created_by": f"layer {i}"}
                              for i in range(len(self.layers))]}
        descriptors = []
        for path, digest, size, _, kind in self.layers:
            blobs.append((digest, size, path))
            descriptors.append({"mediaType": kind, "digest": "sha256:" + digest, "size": size})
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": add(dump(config), "application/vnd.oci.image.config.v1+json"), "layers": descriptors}
        entry = add(dump(manifest), "application/vnd.oci.image.manifest.v1+json")
        entry["platform"] = {"architecture": self.arch, "os": self.os}
        entry["annotations"] = {"io.containerd.image.name": self.ref,
                                "org.opencontainers.image.ref.name": self.ref.rsplit(":", 1)[1]}
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}

        target = os.path.join(self.outdir, self.name + ".tar")
        with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
            def plain(name, size):
                info = tarfile.TarInfo(name)
                info.size, info.mtime, info.mode = size, EPOCH // 10**9, 0o644
                return info

            def small(name, data):
                import io
                tar.addfile(plain(name, len(data)), io.BytesIO(data))

            small("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            small("index.json", dump(index))
            seen = set()
            for digest, size, data in blobs:
                if digest in seen:
                    continue
                seen.add(digest)
                if isinstance(data, bytes):
                    small("blobs/sha256/" + digest, data)
                else:
                    with open(data, "rb") as f:
                        tar.addfile(plain("blobs/sha256/" + digest, size), f)

        chain = []
        for diff_id in diff_ids:
            chain.append(diff_id if not chain else
                         "sha256:" + hashlib.sha256(f"{chain[-1]} {diff_id}".encode()).hexdigest())
        upper = self.name.upper()
        files = self.files()
        size = sum(os.path.getsize(e.source) if e.source else len(e.data)
                   for e in (self.tree[p] for p in files))
        with open(os.path.join(self.outdir, self.name + ".env"), "w", encoding="utf-8") as f:
            f.write(f"{upper}_REF={self.ref}\n{upper}_PLATFORM={self.os}/{self.arch}\n"
                    f"{upper}_LAYERS={len(chain)}\n{upper}_CHAIN='{' '.join(chain)}'\n{upper}_TOP={chain[-1]}\n"
                    f"{upper}_FILES={len(files)}\n{upper}_BYTES={size}\n")
        return len(files), size, len(chain)


# ---- what goes in ------------------------------------------------------------------------------------------


def collect(wanted):
    """Real files and symbolic links of this machine: (path, lstat), sorted, at most `wanted`."""
    found, taken, total = [], set(), 0
    for limit in (PER_SOURCE, wanted):
        for source in SOURCES:
            count = 0
            for top, dirs, names in os.walk(source):
                dirs[:] = sorted(d for d in dirs if d != "__pycache__")
                for name in sorted(names):
                    path = os.path.join(top, name)
                    if len(found) >= wanted or count >= limit or total >= BIGGEST_TOTAL:
                        break
                    try:
                        path.encode("utf-8")
                        status = os.lstat(path)
                    except (OSError, UnicodeEncodeError):
                        continue
                    if path in taken or name.startswith(".wh."):
                        continue
                    if stat.S_ISREG(status.st_mode) and status.st_size <= BIGGEST_FILE or stat.S_ISLNK(status.st_mode):
                        taken.add(path)
                        found.append((path, status))
                        count += 1
                        total += status.st_size
    return found


def from_machine(path, status, index):
    if stat.S_ISLNK(status.st_mode):
        return Entry("sym", 0o777, mtime=status.st_mtime_ns, target=os.readlink(path))
    uid, gid = ((0, 0), (0, 0), (0, 80), (501, 20))[index % 4]
    return Entry("file", stat.S_IMODE(status.st_mode), uid, gid, max(status.st_mtime_ns, 0), source=path)


def capability(bits):
    return struct.pack("<IIIII", 0x02000001, bits, 0, 0, 0)


def real_layer(image, prefix, items, first):
    for i, (path, status, copy) in enumerate(items, first):
        target = prefix + copy + path.lstrip("/")
        image.put(target, from_machine(path, status, i))
        if i % 60 == 0 and stat.S_ISREG(status.st_mode):
            image.put(target + ".link", Entry("hard", target=target))
        if i % 45 == 0 and stat.S_ISREG(status.st_mode):
            head, _, base = target.rpartition("/")
            image.put(f"{head}/~{base}", Entry("sym", 0o777, target=base, mtime=EPOCH + i))


def darwin(outdir, wanted):
    image = Image(outdir, "darwin", "clonefs.test/darwin:14", "darwin", "arm64")
    found = collect(wanted + wanted // 10)
    if not found:
        sys.exit("mkimage.py: found no files on this machine")
    # On a very small machine the same files come again, in other places.
    items = []
    while len(items) < wanted:
        copy = f"copy {len(items) // len(found)}/" if items else ""
        items += [(path, status, copy) for path, status in found]
    items = items[:wanted + wanted // 10]

    # 1: the system: every kind of file, and half of the real files
    image.begin()
    for path, mode, uid, gid in (
            ("Applications", 0o775, 0, 80), ("Library", 0o755, 0, 0), ("System", 0o755, 0, 0), ("Users", 0o755, 0, 80),
            ("Users/Shared", 0o1777, 0, 0), ("Volumes", 0o755, 0, 0), ("bin", 0o755, 0, 0), ("cores", 0o1775, 0, 80),
            ("dev", 0o555, 0, 0), ("opt", 0o755, 0, 0), ("private", 0o755, 0, 0), ("private/etc", 0o755, 0, 0),
            ("private/tmp", 0o1777, 0, 0), ("private/var", 0o755, 0, 0), ("private/var/empty", 0o555, 0, 0),
            ("sbin", 0o755, 0, 0), ("usr", 0o755, 0, 0), ("usr/bin", 0o755, 0, 0), ("usr/libexec", 0o2755, 0, 20)):
        image.put(path, Entry("dir", mode, uid, gid, EPOCH + len(path)))
    for name in ("etc", "tmp", "var"):
        image.put(name, Entry("sym", 0o755, target="private/" + name))
    image.put("private/etc/passwd", Entry("file", data=b"root:*:0:0:System Administrator:/var/root:/bin/sh\n"))
    image.put("private/etc/hosts", Entry("file", data=b"127.0.0.1 localhost\n", mtime=EPOCH + 123456789))
    image.put("bin/sh", Entry("file", 0o755, data=b"\xcf\xfa\xed\xfe" + bytes(4096), mtime=EPOCH + 1))
    image.put("usr/bin/sudo", Entry("file", 0o4511, data=b"set-user-id\n"))
    image.put("usr/bin/write", Entry("file", 0o2755, 0, 4, data=b"set-group-id\n"))
    image.put("usr/bin/odd", Entry("file", 0o7711, 501, 20, data=b"all special bits\n"))
    image.put("usr/bin/ping", Entry("file", 0o755, data=b"with a capability\n",
                                    xattrs={"security.capability": capability(1 << 13)}))
    image.put("Users/Shared/tagged", Entry("file", 0o640, 501, 20, data=b"tagged\n", xattrs={
        "user.com.apple.metadata:kMDItemWhereFroms": b"bplist00\x01\x02\x00", "user.empty": b"",
        "user.long": b"x" * 900}))
    image.put("Users/Shared/tagged dir", Entry("dir", 0o770, 501, 20, xattrs={"user.folder": b"yes"}))
    for name in ("usr/bin/[", "usr/bin/test", "usr/libexec/test-1"):
        image.put(name, Entry("file", 0o755, data=b"first\n") if name == "usr/bin/[" else
                  Entry("hard", target="usr/bin/["))
    image.put("dev/null", Entry("char", 0o666, device=(1, 3)))
    image.put("dev/disk0", Entry("block", 0o640, 0, 5, device=(7, 300)))
    image.put("private/var/fifo", Entry("fifo", 0o620, 501, 20))
    image.put("private/var/zeros", Entry("file", data=bytes(1 << 20) + b"end"))
    odd = ("Users/Shared/with space", "Users/Shared/ leading", "Users/Shared/trailing ", "Users/Shared/new\nline",
           "Users/Shared/tab\there", "Users/Shared/back\\slash", "Users/Shared/quote'\"`$x;|&", "Users/Shared/-rf",
           "Users/Shared/%s%n", "Users/Shared/Grüße", "Users/Shared/日本語", "Users/Shared/e\u0301 decomposed",
           "Users/Shared/\u00e9 composed", "Users/Shared/\U0001f40b", "Users/Shared/" + "n" * 255,
           "Users/Shared/.hidden", "Users/Shared/CASE", "Users/Shared/case", "Users/Shared/not-utf8-\udcff\udcfe",
           "Users/Shared/*", "Users/Shared/\u202ereversed", "Users/Shared/~", "Users/Shared/#")
    for i, name in enumerate(odd):
        image.put(name, Entry("file", data=f"odd {i}\n".encode(), mtime=EPOCH + 1000 + i))
    image.put("/".join(["Users/deep"] + ["d" * 60 + str(i) for i in range(24)] + ["bottom"]), Entry("file", data=b"deep\n"))
    image.put("Users/dangling", Entry("sym", 0o777, target="/nowhere/at/all"))
    image.put("Users/loop", Entry("sym", 0o777, target="loop"))
    image.put("Users/root link", Entry("sym", 0o777, target="/"))
    image.put("Users/old times", Entry("file", mtime=1))
    half = len(items) // 2
    real_layer(image, "", items[:half], 0)
    image.end()

    # 2: the other half, as a plain tar
    image.begin(compress=False)
    real_layer(image, "Library/Developer/", items[half:], half)
    image.end()

    # 3: edits
    image.begin()
    files = image.files()
    hard = {e.target for e in image.tree.values() if e.kind == "hard"}
    single = [p for p in files if p not in hard and "/usr/" in "/" + p]
    for i, path in enumerate(single[::31]):
        entry = image.tree[path]
        if i % 4 == 0:
            image.put(path, entry.but(source=None, data=entry.content() + b"\nedited\n", mtime=EPOCH + 5000 + i))
        elif i % 4 == 1:
            image.put(path, entry.but(mode=entry.mode ^ 0o111))
        elif i % 4 == 2:
            image.put(path, entry.but(uid=502, gid=12, mtime=entry.mtime + 1))
        else:
            image.put(path, entry.but(source=None, data=b""))
    image.put("usr/bin/[", Entry("file", 0o755, data=b"second\n", mtime=EPOCH + 7))  # leaves its hard-link group
    image.put("usr/bin/sudo", image.tree["usr/bin/sudo"].but(data=b"set-user-id, edited\n"))
    image.put("usr/bin/ping", Entry("file", 0o755, data=b"another capability\n",
                                    xattrs={"security.capability": capability(1 << 12)}))
    image.put("Users/Shared/tagged", image.tree["Users/Shared/tagged"].but(xattrs={"user.new": b"only this"}))
    image.link_to_lower("Users/new link", "private/etc/hosts")
    image.put("Users/Shared", image.tree["Users/Shared"].but(mode=0o3777, gid=20, mtime=EPOCH + 999))
    image.end()

    # 4: deletions
    image.begin()
    folders = sorted(p for p, e in image.tree.items()
                     if e.kind == "dir" and p.count("/") >= 4 and not p.startswith("Users/"))

    def without_links(folder):
        """No hard-link group reaches out of the folder (a deleted first name would leave links dangling)."""
        prefix = folder + "/"
        return all(e.kind != "hard" or p.startswith(prefix) == e.target.startswith(prefix)
                   for p, e in image.tree.items())

    def small(folder):
        prefix = folder + "/"
        return sum(1 for p in image.tree if p.startswith(prefix)) <= 40

    folders = [f for f in folders if without_links(f) and small(f)]

    def untouched(path):
        """Still there, and this layer says nothing about it yet."""
        return path in image.tree and path not in image.emitted

    for folder in folders[::23][:20]:
        if untouched(folder):
            image.delete(folder)
    for folder in folders[5::41][:12]:
        if untouched(folder):
            image.opaque(folder)
            image.put(folder + "/instead", Entry("file", data=b"after an opaque marker\n"))
            image.put(folder + "/instead dir/file", Entry("file", data=b"below it\n"))
    for path in single[7::29]:
        if untouched(path):
            image.delete(path)
    for name in ("usr/bin/test", "dev/disk0", "private/var/fifo", "Users/loop", "Users/Shared/with space",
                 "Users/Shared/" + "n" * 255, "Users/Shared/new\nline", "Users/deep"):
        image.delete(name)
    image.end()

    # 5: kinds change
    image.begin(compress=False)
    for i, folder in enumerate([f for f in folders if f in image.tree][3::37][:12]):
        if not untouched(folder):
            continue
        if i % 3 == 0:
            image.put(folder, Entry("file", 0o600, data=b"was a directory\n"))
        elif i % 3 == 1:
            image.put(folder, Entry("sym", 0o777, target="../elsewhere"))
        else:
            image.put(folder, Entry("fifo", 0o600))
    hard = {e.target for e in image.tree.values() if e.kind == "hard"}
    single = [p for p in image.files() if p not in hard and "/usr/" in "/" + p]
    for i, path in enumerate(single[11::211][:24]):
        if not untouched(path):
            continue
        if i % 4 == 0:
            image.put(path, Entry("dir", 0o711, 501, 20))
            image.put(path + "/was a file", Entry("file", data=b"was a file\n"))
        elif i % 4 == 1:
            image.put(path, Entry("sym", 0o777, target="/" + single[0]))
        elif i % 4 == 2:
            image.put(path, Entry("char", 0o600, device=(5, i)))
        else:
            image.delete(path)
            image.link_to_lower(path + ".linked", single[i + 60])
    image.put("private/tmp", Entry("file", 0o644, data=b"first a file\n"))
    image.end()

    # 6: nothing at all
    image.begin()
    image.end()

    # 7: a user's files, and back again
    image.begin()
    image.put("private/tmp", Entry("dir", 0o1777))
    image.put("Users/admin", Entry("dir", 0o750, 501, 20))
    image.put("Users/admin/.zshrc", Entry("file", 0o600, 501, 20, data=b"export PS1='clonefs %'\n"))
    image.put("Users/Shared/with space", Entry("file", data=b"back again\n"))
    image.put("dev/disk0", Entry("block", 0o640, 0, 5, device=(7, 301)))
    image.end()
    return image.save({"Env": ["PATH=/usr/bin:/bin:/usr/sbin:/sbin"], "Cmd": ["/bin/sh"]})


def busybox():
    for path in ("/bin/busybox", "/usr/bin/busybox"):
        if os.path.exists(path):
            return path
    sys.exit("mkimage.py: no busybox; install the package busybox-static")


def linux_layers(image):
    image.begin()
    for path, mode in (("bin", 0o755), ("dev", 0o755), ("etc", 0o755), ("proc", 0o555), ("root", 0o700),
                       ("run", 0o755), ("sys", 0o555), ("tmp", 0o1777), ("usr", 0o755), ("var", 0o755)):
        image.put(path, Entry("dir", mode))
    with open(busybox(), "rb") as f:
        image.put("bin/busybox", Entry("file", 0o755, data=f.read()))
    for name in ("sh", "ls", "cat", "echo", "id", "uname"):
        image.put("bin/" + name, Entry("hard", target="bin/busybox"))
    for name in ("sleep", "stat", "mkdir", "rm", "find", "grep", "head", "wc", "touch", "sha256sum", "date", "test",
                 "ln", "cp", "mv", "dd", "sync", "true", "false", "env", "pwd", "od", "tr", "seq", "chmod"):
        image.put("bin/" + name, Entry("sym", 0o777, target="busybox"))
    image.put("etc/passwd", Entry("file", data=b"root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000::/tmp:/bin/sh\n"))
    image.put("etc/group", Entry("file", data=b"root:x:0:\nguest:x:1000:\n"))
    image.put("etc/obsolete", Entry("file", data=b"the next layer deletes this\n"))
    image.end()
    image.begin()
    image.put("etc/motd", Entry("file", data=b"hello from a container whose root is a clone\n", mtime=EPOCH + 42))
    image.delete("etc/obsolete")
    image.end()


RUN = {"Env": ["PATH=/bin"], "Cmd": ["/bin/cat", "/etc/motd"], "WorkingDir": "/"}


def linux(outdir, _):
    image = Image(outdir, "linux", "clonefs.test/linux:1", "linux", "amd64")
    linux_layers(image)
    return image.save(RUN)


def chain(outdir, _):
    image = Image(outdir, "chain", "clonefs.test/chain:1", "linux", "amd64")
    linux_layers(image)
    for i in range(18):
        image.begin(compress=i % 2 == 0)
        image.put(f"var/layer-{i}", Entry("file", data=f"layer {i}\n".encode()))
        image.put("var/last", Entry("file", data=f"{i}\n".encode()))
        if i % 3 == 2:
            image.delete(f"var/layer-{i - 1}")
        image.end()
    return image.save(RUN)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("outdir")
    parser.add_argument("--files", type=int, default=12000)
    parser.add_argument("--only", default="darwin,linux,chain")
    args = parser.parse_args()
    os.makedirs(args.outdir, exist_ok=True)
    for make in (darwin, linux, chain):
        if make.__name__ in args.only.split(","):
            files, size, layers = make(args.outdir, args.files)
            print(f"{make.__name__}: {files} files, {size >> 20} MiB, {layers} layers")
    for name in os.listdir(args.outdir):
        if name[0] == "." and name.rstrip("0123456789").endswith("-"):
            os.remove(os.path.join(args.outdir, name))


if __name__ == "__main__":
    main()
