# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For the scripts that run Go tests: builds with Debian's Go and packages, volumes in loop files, and a
# clean-up that leaves no process, mount, loop device or file behind. To be sourced; sets $repo.

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=
child=

skip() {
    echo "skip: $*"
    exit 0
}

need_go() {
    [ -x /usr/bin/go ] || skip "no /usr/bin/go (Debian package golang-go)"
    [ -d /usr/share/gocode/src/github.com/containerd/containerd/snapshots/testsuite ] ||
        skip "no Debian package golang-github-containerd-containerd-dev"
}

# Our folders are imported as clonefs/..., beside Debian's packages.
go_in_gopath() {
    local gopath=$repo/build/gopath
    mkdir -p "$gopath/src"
    ln -sfn "$repo" "$gopath/src/clonefs"
    env -u GOROOT -u GOFLAGS -u GOTOOLCHAIN GO111MODULE=off GOPATH="$gopath:/usr/share/gocode" \
        GOCACHE="$repo/build/gocache" /usr/bin/go "$@"
}

# Starts the scratch folder $work. Everything temporary of this run is below it.
work_begin() {
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    work=$(mktemp -d -t clonefs-XXXXXX)
    mkdir "$work/s" "$work/tmp"
    export CLONEFS_TEST_SOCKETS=$work/s TMPDIR=$work/tmp
}

# Runs a program that cleanup ends when the script is stopped.
run_child() {
    "$@" &
    child=$!
    local status=0
    wait "$child" || status=$?
    child=
    return "$status"
}

# Runs a test program; leaves out what go test -v prints of the order of events, unless something failed.
run_go_test() {
    local status=0
    run_child "$@" -test.v >"$work/test.log" 2>&1 || status=$?
    if [ "$status" = 0 ]; then
        grep -vE '^=== |helpers_unix.go:[0-9]+: unmount|testsuite.go:[0-9]+: compare update|^PASS$' "$work/test.log"
    else
        cat "$work/test.log"
        echo "=== failed: status $status"
        grep -E '^ *--- FAIL' "$work/test.log"
    fi
    return "$status"
}

# volume_make FS SIZE [disk]: a fresh file system in a sparse file, mounted on $work/FS. FS is xfs, btrfs or ext4.
# disk: this machine does not cache the file, as it does not cache a disk, and all its blocks are written before, so
# that a flush does not wait for the file system below to find room for them. Fails with a reason on standard output
# where a volume is not possible here.
volume_make() {
    local fs=$1 size=$2 like=${3:-} log=$work/volume.log
    [ "$(id -u)" = 0 ] || { echo "not root, cannot mount a $fs volume"; return 1; }
    command -v "mkfs.$fs" >/dev/null || { echo "no mkfs.$fs"; return 1; }
    local options=-q
    [ "$fs" = xfs ] && options='-q -m reflink=1'
    [ "$fs" = ext4 ] && options='-q -F'
    truncate -s "$size" "$work/$fs.img" && mkdir "$work/$fs" || return 1
    # shellcheck disable=SC2086
    if ! { "mkfs.$fs" $options "$work/$fs.img" && { [ "$like" != disk ] || volume_write "$work/$fs.img"; } &&
        volume_mount "$work/$fs.img" "$work/$fs" "$like"; } >"$log" 2>&1; then
        echo "cannot make a $fs volume of $size: $(tail -n 1 "$log")"
        return 1
    fi
}

# Over itself: mkfs has left parts of it as holes, or as room without data.
volume_write() {
    dd if="$1" of="$1" bs=16M iflag=direct oflag=direct conv=notrunc,fsync status=none
}

# The loop device goes with the mount.
volume_mount() {
    local image=$1 folder=$2 device
    [ "$3" = disk ] || { mount -o loop "$image" "$folder"; return; }
    device=$(losetup --find --show --direct-io=on "$image") || return
    mount "$device" "$folder"
    local status=$?
    losetup --detach "$device"
    return "$status"
}

mounts_below_work() {
    awk -v work="$work/" 'index($5, work) == 1 {print $5}' /proc/self/mountinfo | tac
}

cleanup() {
    local status=$? mount
    trap '' INT TERM HUP
    if [ -n "$child" ]; then
        kill "$child" 2>/dev/null
        wait "$child" 2>/dev/null
    fi
    if [ -n "$work" ]; then
        # Daemons die with the test that started them; give the kernel a moment to close their files.
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            for mount in $(mounts_below_work); do umount "$mount" 2>/dev/null; done
            [ -z "$(mounts_below_work)" ] && break
            sleep 0.5
        done
        for mount in $(mounts_below_work); do umount -l "$mount"; done
        rm -rf "$work"
    fi
    exit "$status"
}

# Sanitizer builds get more time for everything, and a way to know libgrpc, which is not instrumented.
slow_build() {
    case $1 in
    */asan/* | */emulated-asan/*) export CLONEFS_TEST_SLOW=${CLONEFS_TEST_SLOW:-3} ;;
    */tsan/*)
        export CLONEFS_TEST_SLOW=${CLONEFS_TEST_SLOW:-6}
        export TSAN_OPTIONS=${TSAN_OPTIONS:-ignore_noninstrumented_modules=1:suppressions=$repo/tests/tsan.supp}
        ;;
    esac
}
