# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154  # repo is the repository
# A machine in software that can mount APFS: Debian 12's kernel with the driver linux-apfs-rw and the tools of Debian 13,
# built once, kept in a folder, and started as often as needed. Needs common.sh and clients.sh. Nothing is installed or
# loaded here. A function that cannot get something says why on stdout and returns 1.

GUEST_PROGRAMS=(qemu-system-x86_64 busybox cpio make gcc-12 strip ldd)
GUEST_MODULES=(drivers/virtio/virtio_ring drivers/virtio/virtio drivers/virtio/virtio_pci_modern_dev
    drivers/virtio/virtio_pci_legacy_dev drivers/virtio/virtio_pci drivers/block/virtio_blk crypto/crc32c_generic
    lib/libcrc32c)

# guest_begin DIR: what is built is kept in DIR/KEY, where KEY changes with the kernel that Debian 12 has, as far as
# this machine's apt knows, and with how we build. Others that nobody has used for a month are removed.
GUEST=
guest_begin() {
    local program key
    for program in "${GUEST_PROGRAMS[@]}"; do
        have "$program" || { say "no $program: scripts/install-deps apfs"; return 1; }
    done
    [ "$(uname -m)" = x86_64 ] || { say "the guest runs programs of this machine, which must be x86_64"; return 1; }
    key=$({
        apt-cache show --no-all-versions linux-image-amd64 2>/dev/null | grep '^Version:'
        cat "$repo/scripts/lib/guest.sh" "$repo/tests/apfs/init"
    } | sha256sum | cut -c1-16)
    GUEST=$1/$key
    mkdir -p "$1"
    [ ! -d "$GUEST" ] || touch "$GUEST"
    find "$1" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} +
}

# guest_build: the kernel and the begin of what it starts from. Does nothing when they are there, and waits for another
# that builds them.
guest_build() {
    local reason lock
    exec {lock}>"$GUEST.lock"
    flock "$lock"
    [ ! -e "$GUEST/versions" ] || return 0
    rm -rf "$GUEST"
    mkdir -p "$GUEST"
    reason=$(guest_get && guest_build_driver && guest_pack_base) || {
        say "$reason"
        return 1
    }
    cat "$GUEST"/get/*.list >"$GUEST/versions.new"
    rm -rf "$GUEST/get"
    mv "$GUEST/versions.new" "$GUEST/versions"
}

guest_get() {
    local release
    clients_begin "$GUEST/get"
    clients_apt bookworm trixie || return 1
    release=$(APT_CONFIG=$CLIENTS_APT/apt.conf apt-cache show linux-image-amd64 |
        sed -n 's/^Depends: linux-image-\(6\.1\.[^ ]*\) .*/\1/p' | head -n 1)
    [ -n "$release" ] || { say "Debian bookworm has no Linux 6.1"; return 1; }
    clients_unpack kernel bookworm "linux-image-$release" &&
        clients_unpack headers bookworm "linux-headers-$release" "linux-headers-${release%-amd64}-common" \
            linux-kbuild-6.1 &&
        clients_unpack driver trixie apfs-dkms && clients_unpack tools trixie apfsprogs || return 1
    cp "$CLIENTS/kernel/boot/vmlinuz-$release" "$GUEST/vmlinuz"
    printf '%s' "$release" >"$CLIENTS/release"
}

guest_build_driver() {
    local get=$GUEST/get headers source
    headers=$get/headers/usr/src/linux-headers-$(cat "$get/release")
    source=$(echo "$get"/driver/usr/src/linux-apfs-rw-*)
    # The headers' Makefile names its other half by where the package would install it.
    sed -i "s|/usr/src|$get/headers/usr/src|" "$headers/Makefile"
    guest_mend_commits "$source" || return 1
    (cd "$source" && sh ./genver.sh && make -C "$headers" "M=$source" CC=gcc-12 modules) >"$GUEST/driver.log" 2>&1 || {
        say "the driver cannot be built: $(tail -n 3 "$GUEST/driver.log" | paste -sd ' ' | cut -c1-300)"
        return 1
    }
    strip --strip-debug -o "$get/apfs.ko" "$source/apfs.ko"
}

# guest_mend_commits SOURCE: while one thread commits, the driver lets others in (COMMITTING, apfs_transaction_need_commit)
# and leaves their changes to that commit, also when they are to be on disk before they go on. Power that goes before the
# commit ends takes what an fsync has promised then, and a clone that is read before has what the blocks held before. Here
# both wait.
guest_mend_commits() {
    guest_mend_commit "$1/super.c" 'int apfs_sync_fs' SYNC && guest_mend_commit "$1/extents.c" 'loff_t apfs_remap_file_range' REG
}
guest_mend_commit() {
    local start="apfs_transaction_start(sb, APFS_TRANS_$3)" nx='APFS_SB(sb)->s_nxi'
    sed -i "/^$2(/,/^}/ s#err = $start;#while (!(err = $start) \&\& ($nx->nx_transaction.t_state \& APFS_NX_TRANS_COMMITTING)) { up_write(\&$nx->nx_big_sem); msleep(1); }#" "$1"
    sed -i '1i #include <linux/delay.h>' "$1"
    grep -q 'APFS_NX_TRANS_COMMITTING.*msleep' "$1" || { say "the driver's ${2#* } has changed"; return 1; }
}

guest_pack_base() {
    local get=$GUEST/get root=$GUEST/get/root module
    mkdir -p "$root"/{bin,dev,proc,sys,tmp,etc,modules}
    for module in "${GUEST_MODULES[@]}"; do
        cp "$get/kernel/lib/modules/$(cat "$get/release")/kernel/$module.ko" "$root/modules/"
        echo "/modules/${module##*/}.ko"
    done >"$root/modules/list"
    cp "$get/apfs.ko" "$root/modules/"
    echo /modules/apfs.ko >>"$root/modules/list"
    cp "$(command -v busybox)" "$root/bin/"
    install -m 0755 "$repo/tests/apfs/init" "$root/init"
    echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
    guest_add "$root" bin "$get"/tools/usr/sbin/{mkapfs,apfsck}
    guest_pack "$root" "$GUEST/base.cpio"
}

# guest_add ROOT FOLDER PROGRAM...: copies programs, without what debuggers need, and their libraries.
guest_add() {
    local root=$1 folder=$2 program library
    shift 2
    mkdir -p "$root/$folder"
    for program; do
        strip -o "$root/$folder/${program##*/}" "$program" 2>/dev/null || cp "$program" "$root/$folder/"
    done
    ldd "$@" 2>/dev/null | awk '$2 == "=>" && $3 ~ "^/" { print $3 } $1 ~ "^/.*ld-linux" { print $1 }' | sort -u |
        while read -r library; do
            [ -e "$root$library" ] || install -D -m 0755 "$library" "$root$library"
        done
}

# guest_pack ROOT FILE
guest_pack() { (cd "$1" && find . -print0 | cpio --null --create --format=newc --quiet) >"$2"; }

# guest_start INITRD CONSOLE MINUTES [OPTION OF QEMU...]: starts the machine, which ends after MINUTES at the latest;
# guest_wait waits until it is off, guest_cut takes its power. Files packed later than the base come over those of the
# base. What it says is in CONSOLE.
guest_pid=
guest_start() {
    local initrd=$1 console=$2 minutes=$3
    shift 3
    timeout --kill-after=10 "${minutes}m" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 2560 \
        -display none -monitor none -serial "file:$console" -no-reboot -nodefaults \
        -kernel "$GUEST/vmlinuz" -initrd "$initrd" -append "console=ttyS0 quiet panic=-1 oops=panic" "$@" \
        </dev/null &
    guest_pid=$!
}
guest_wait() { wait "$guest_pid"; }
guest_cut() {
    pid_kill_tree "$guest_pid"
    wait "$guest_pid" 2>/dev/null || true
}
