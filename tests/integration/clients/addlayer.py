#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Puts one more layer on the image in an OCI archive: what a commit command does with a difference.

usage: addlayer.py IMAGE.tar LAYER MEDIATYPE REF OUT.tar

LAYER is the blob (tar, or tar with gzip or zstd), REF the name of the new image. Prints the chain id of its top.
"""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import zlib


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def uncompressed(data, media_type):
    if media_type.endswith("+gzip"):
        return zlib.decompress(data, 31)
    if media_type.endswith("+zstd"):
        return subprocess.run(["zstd", "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


def main():
    source, layer_file, media_type, ref, target = sys.argv[1:]
    members = {}
    with tarfile.open(source) as tar:
        for info in tar:
            if info.isfile():
                members[info.name] = tar.extractfile(info).read()

    def blob(descriptor):
        return json.loads(members["blobs/" + descriptor["digest"].replace(":", "/")])

    def add(data, kind):
        members["blobs/" + digest(data).replace(":", "/")] = data
        return {"mediaType": kind, "digest": digest(data), "size": len(data)}

    index = json.loads(members["index.json"])
    entry = index["manifests"][0]
    manifest = blob(entry)
    config = blob(manifest["config"])
    with open(layer_file, "rb") as f:
        layer = f.read()
    config["rootfs"]["diff_ids"].append(digest(uncompressed(layer, media_type)))
    config["history"].append({"created": "2023-11-14T22:13:20Z", "created_by": "addlayer.py"})
    manifest["layers"].append(add(layer, media_type))
    manifest["config"] = add(json.dumps(config).encode(), manifest["config"]["mediaType"])
    descriptor = add(json.dumps(manifest).encode(), entry["mediaType"])
    descriptor["platform"] = {key: config[key] for key in ("architecture", "os")}
    descriptor["annotations"] = {"io.containerd.image.name": ref,
                                 "org.opencontainers.image.ref.name": ref.rsplit(":", 1)[1]}
    index["manifests"] = [descriptor]
    members["index.json"] = json.dumps(index).encode()
    # The configuration and manifest that this image replaces are nobody's any more, and no harm.
    with tarfile.open(target, "w") as tar:
        for name, data in members.items():
            if name == "manifest.json":
                continue
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    chain = None
    for diff_id in config["rootfs"]["diff_ids"]:
        chain = diff_id if chain is None else digest(f"{chain} {diff_id}".encode())
    print(chain)


if __name__ == "__main__":
    main()
