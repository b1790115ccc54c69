# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The images of tests/integration/containerd/mkimage.py in the hands of ctr, and what became of their blobs and
# trees. Needs cases.sh, containerd.sh and clonefsd.sh; ROOT is the daemon's root, MNT a folder for mounts.
# shellcheck disable=SC2154  # repo is the repository

IMAGES=
# images_make DIR [OPTION OF mkimage.py...]: makes them, and reads their NAME_... variables.
images_make() {
    local image
    IMAGES=$1
    mkdir -p "$IMAGES"
    shift
    /usr/bin/python3 "$repo/tests/integration/containerd/mkimage.py" "$IMAGES" "$@"
    for image in darwin linux chain; do
        # shellcheck source=/dev/null
        . "$IMAGES/$image.env"
    done
}

# containerd's native snapshotter loses the times of directories when it copies.
tree() {
    if [ "${STANDIN:-0}" = 1 ] && [ "$1" = compare ]; then set -- "$@" --no-directory-times; fi
    /usr/bin/python3 "$repo/tests/integration/containerd/treediff.py" "$@"
}

# import NAME [SNAPSHOTTER]: what a user types; a foreign platform has to be named, or ctr finds no manifest.
import() {
    local name=$1 platform=${1^^}_PLATFORM
    c images import --platform "${!platform}" --snapshotter "${2:-$SNAPSHOTTER}" "$IMAGES/$name.tar"
}
# forget_image REF: removes the image and waits for the garbage collection.
forget_image() { c images rm --sync "$1" >/dev/null; }
remove_images() {
    local image
    for image in $(c images ls -q); do c images rm --sync "$image" >/dev/null; done
}
# view_kept KEY PARENT: containerd's garbage collector may come between a View and the label that protects it.
view_kept() {
    local tries
    for tries in 1 2 3; do
        s view "$1" "$2"
        if keep "$1"; then return 0; fi
        warn "the view $1 was collected before it was kept, $tries"
    done
    return 1
}
# hello_slowly ID: on a busy machine ctr loses what a container says that ends at once.
hello_slowly() {
    c run --rm --snapshotter "$SNAPSHOTTER" "$LINUX_REF" "$1" /bin/sh -c 'cat /etc/motd; sleep 1'
}
# same_tree PARENT SCAN [OPTION OF treediff.py]: a view of PARENT shows exactly what SCAN holds.
same_tree() {
    local key="same-$RANDOM" parent=$1 scan=$2
    shift 2
    view_kept "$key" "$parent"
    mount_snapshot "$key" "$MNT/$key"
    tree compare "$scan" "$MNT/$key" "$@"
    umount "$MNT/$key"
    s rm "$key"
}

# ctr draws its progress again and again
last_progress() { tail -n 2; }
pull_ref() { printf '%s/%s' "$REGISTRY" "${1#*/}"; }

# d ARGS...: ctr on clonefs itself, which offers what "ctr content" needs: no containerd in between.
d() { "$(containerd_program ctr)" --address "$CLONEFSD_SOCKET" --namespace none "$@"; }

blob_file() { printf '%s/content/blobs/%s' "$ROOT" "${1/://}"; }
blobs_on_disk() {
    find "$ROOT/content/blobs" -type f | sed 's|.*/\([^/]*\)/\([^/]*\)$|\1:\2|' | sort
}
ingests_on_disk() { find "$ROOT/content/ingest" -mindepth 1 -maxdepth 1; }
blobs() { c content ls -q | sort; }
digest_of() { printf 'sha256:%s' "$(sha256sum "$1" | cut -d ' ' -f 1)"; }
# archive_blobs ARCHIVE...: the digests of the blobs in image archives.
archive_blobs() {
    local archive
    for archive in "$@"; do tar -tf "$archive" | sed -n 's|^blobs/\(sha[0-9]*\)/\([0-9a-f]\+\)$|\1:\2|p'; done | sort -u
}
image_blobs() { archive_blobs "$IMAGES/$1.tar"; }
# refs [CLIENT]: of the ingests that containerd (c) or clonefs (d) knows.
refs() { "${1:-c}" content active | awk 'NR > 1 { print $1 }' | sort; }

# nothing_left: no blob and no ingest, in the words of containerd, of clonefs, and on disk.
nothing_left() {
    equal "blobs that containerd knows" "$(blobs)" ""
    equal "ingests that containerd knows" "$(refs c)" ""
    no_content || fail "clonefs keeps $(d content ls -q | wc -l) blobs ($(blobs_on_disk | wc -l) on disk) and $(
        refs d | wc -l) ingests ($(ingests_on_disk | wc -l) on disk)"
}
no_content() {
    [ -z "$(d content ls -q)$(refs d)$(blobs_on_disk)$(ingests_on_disk)" ]
}
nothing_left_soon() {
    wait_until 20 no_content || true
    nothing_left
}
trash_empty() { folder_empty "$ROOT/trash"; }
end_leases() {
    local lease
    for lease in $(c leases ls -q); do
        # It may end by itself meanwhile.
        c leases rm "$lease" >/dev/null 2>&1 || ! c leases ls -q | grep -qxF "$lease"
    done
    gc
}
# keep_blob DIGEST: protects a blob from garbage collection, which ctr content ingest does not do.
keep_blob() { c content label "$1" "containerd.io/gc.root=2020-01-01T00:00:00Z" >/dev/null; }

# answers_again: the first call after a restart of the daemon; containerd reconnects within 3 s.
answers() { s ls >/dev/null 2>&1 && c content active >/dev/null 2>&1; }
answers_again() { wait_until 15 answers || fail "clonefsd does not answer through containerd after a restart"; }
restart_clonefsd() {
    clonefsd_start
    answers_again
}
