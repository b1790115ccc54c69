#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the files in this folder: one text (layer_lines_new in tests/unit), as other programs compress it.

Needs gzip, pigz, igzip and zstd; run it in this folder. Versions differ in the bytes, not in what they mean.
"""
import os, struct, subprocess, zlib
p = b"".join(b"%d: the %dth line\n" % (i, i*i % 977) for i in range(3000))
def w(n, b): open(n, "wb").write(b)
def run(*a, data=p): return subprocess.run(a, input=data, stdout=subprocess.PIPE, check=True).stdout
w("gzip-1.gz", run("gzip","-1")); w("gzip-9.gz", run("gzip","-9"))
open("lines.txt","wb").write(p); os.utime("lines.txt",(1e9,1e9)); subprocess.run(["gzip","-9","-k","lines.txt"]); os.rename("lines.txt.gz","gzip-name.gz"); os.remove("lines.txt")
def member(data, level=6, extra=None, name=None, comment=None, hcrc=False, strategy=0, bad=False):
    c = zlib.compressobj(level, zlib.DEFLATED, -15, 8, strategy); body = c.compress(data)+c.flush()
    f = (4 if extra is not None else 0)|(8 if name is not None else 0)|(16 if comment is not None else 0)|(2 if hcrc else 0)
    h = b"\x1f\x8b\x08"+bytes([f])+struct.pack("<I",1234567)+b"\x02\x03"
    if extra is not None: h += struct.pack("<H",len(extra))+extra
    if name is not None: h += name+b"\0"
    if comment is not None: h += comment+b"\0"
    if hcrc: h += struct.pack("<H", (zlib.crc32(h)&0xffff) ^ (1 if bad else 0))
    return h+body+struct.pack("<II", zlib.crc32(data), len(data)&0xffffffff)
w("header-all.gz", member(p, extra=b"ab\x03\0xyz", name=b"a name", comment=b"a comment", hcrc=True))
w("header-long.gz", member(p, extra=bytes(65535), name=b"n"*3000, comment=b"c"*3000, hcrc=True))
w("header-empty.gz", member(p, extra=b"", name=b"", comment=b"", hcrc=True))
w("header-crc-wrong.gz", member(p, name=b"x", hcrc=True, bad=True))
w("stored.gz", member(p, level=0)); w("huffman.gz", member(p, strategy=zlib.Z_HUFFMAN_ONLY)); w("rle.gz", member(p, strategy=zlib.Z_RLE)); w("fixed.gz", member(p, strategy=zlib.Z_FIXED))
w("members.gz", member(p[:1000])+member(b"")+member(p[1000:1001],level=0)+member(p[1001:20000],name=b"two")+member(p[20000:],level=9)+member(b""))
w("blocks.gz", b"".join(member(p[i:i+700]) for i in range(0,len(p),700)))
w("igzip.gz", run("igzip","-3","-c"))
w("pigz.gz", run("pigz","-b","128","-c"))
w("zstd-3.zst", run("zstd","-3","-c")); w("zstd-19.zst", run("zstd","-19","--ultra","-c"))
w("zstd-fast.zst", run("zstd","--fast=5","--no-check","-c"))
w("zstd-window.zst", run("zstd","-3","--zstd=wlog=27","-c"))
z = lambda b,*a: run("zstd","-3","-c",*a,data=b)
skip = lambda n,b: struct.pack("<II",0x184D2A50+n,len(b))+b
w("zstd-frames.zst", skip(0,b"hello")+z(p[:1000])+skip(15,b"")+z(b"")+z(p[1000:30000],"--no-check")+skip(7,bytes(5000))+z(p[30000:])+skip(3,b"end"))
w("zstd-skippable.zst", skip(5,b"only this"))
w("zstd-window-128m.zst", bytes.fromhex("28b52ffd")+bytes([0x00, (17<<3)])+bytes.fromhex("010000")) 
w("zstd-window-256m.zst", bytes.fromhex("28b52ffd")+bytes([0x00, (18<<3)])+bytes.fromhex("010000"))
