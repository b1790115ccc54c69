# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A volume in a file. Needs common.sh.

# loop_devices_work: whether this machine can mount a file; says why not on stdout.
loop_devices_work() {
    local probe device
    if [ "$(id -u)" -ne 0 ]; then
        say "mounting needs root"
        return 1
    fi
    probe=$(mktemp "${WORK:-/tmp}/loop-probe.XXXXXX")
    truncate -s 1M "$probe"
    if device=$(losetup --find --show "$probe" 2>&1); then
        losetup --detach "$device"
        rm -f "$probe"
        return 0
    fi
    rm -f "$probe"
    say "this machine has no usable loop devices ($device)"
    return 1
}

# volume_make DIR SIZE [xfs|btrfs|ext4]: a sparse file DIR.img, formatted and mounted on DIR.
# mount's own loop device detaches itself when the volume is unmounted.
volume_make() {
    local dir=$1 size=$2 type=${3:-xfs} image="$1.img"
    truncate -s "$size" "$image"
    case $type in
    xfs) mkfs.xfs -q -m reflink=1 "$image" ;;
    btrfs) mkfs.btrfs -q "$image" >/dev/null ;;
    ext4) mkfs.ext4 -q -F "$image" ;;
    *) die "volume_make: unknown type $type" ;;
    esac
    mkdir -p "$dir"
    undo_push volume_unmake "$dir"
    mount -t "$type" -o loop "$image" "$dir"
}

volume_unmake() {
    local dir=$1 device
    unmount_below "$dir"
    for device in $(losetup --noheadings --output NAME --associated "$dir.img" 2>/dev/null); do
        # The device of a mount that is just going away detaches by itself.
        losetup --detach "$device" 2>/dev/null || true
    done
    wait_until 30 volume_detached "$dir.img" || return 1
    rm -f "$dir.img"
    rmdir "$dir" 2>/dev/null || true
}
volume_detached() { [ -z "$(losetup --noheadings --output NAME --associated "$1" 2>/dev/null)" ]; }

# volume_used DIR: bytes in use on the volume of DIR.
volume_used() {
    sync -f "$1"
    df --output=used --block-size=1 "$1" | tail -n 1 | tr -d ' '
}
