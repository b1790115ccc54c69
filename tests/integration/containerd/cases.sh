# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The cases, in the order in which they run. Each runs in a subshell with set -e; what it leaves mounted below
# $MNT is unmounted. Some build on what earlier ones imported.
# shellcheck disable=SC2034,SC2016,SC2153,SC2154  # the names in capitals come from run and from the images' .env files

CASES=(
    sample_configuration
    import_darwin
    import_darwin_overlayfs
    darwin_equals_overlayfs
    clone_equals_parent
    import_linux
    run_container
    run_many_layers
    write_commit_run
    diff_committed
    list_tree_usage_info_label
    push_and_pull
    two_namespaces
    readonly_view
    clonefsd_down_container_runs
    clonefsd_restart_during_unpack
    clonefsd_kill_during_unpack
    containerd_restart_container_runs
    containerd_kill_during_unpack
    mount_left_inside
    many_at_once
    remove_everything
    containerd_root_wiped
    stops_clean
)

case_start() {
    clonefsd_start
    containerd_start
    contains "ctr plugins ls" "$(c plugins ls | grep " $SNAPSHOTTER ")" ok
    equal "list of snapshots" "$(keys)" ""
    gc
    volume_used "$VOL" >"$WORK/used-at-start"
    echo "note: $(grep -F 'listening on' "$WORK/clonefsd.log" | tail -n 1 | cut -c1-120)"
}

# The samples are read by the containerd that they are for (1.7's also by 1.6), and name a socket that clonefsd uses.
case_sample_configuration() {
    local sample
    for sample in 1.6 1.7; do
        contains "containerd-$sample.toml" "$(containerd --config "$repo/config/containerd-$sample.toml" config dump |
            grep -A 2 '^ *\[proxy_plugins.clonefs\]')" 'address = "/run/clonefs/clonefs.sock"'
    done
    [ "$STANDIN" = 1 ] || contains "usage" "$("$CLONEFSD" --help 2>&1 || true)" "/run/clonefs/clonefs.sock"
}

# What containerd 1.6.20 needs for a foreign platform: without --platform the index yields no manifest.
case_import_darwin() {
    local committed
    import darwin
    committed=$(keys Committed | sort)
    equal "set of snapshots" "$committed" "$(tr ' ' '\n' <<<"$DARWIN_CHAIN" | sort)"
    equal "extraction keys" "$(keys Active)" ""
    [ "$DARWIN_FILES" -ge 10000 ] || fail "the image has only $DARWIN_FILES files"
    echo "note: $DARWIN_FILES files in $DARWIN_LAYERS layers"
}

case_import_darwin_overlayfs() {
    import darwin overlayfs
    ON=overlayfs view_kept overlay-view "$DARWIN_TOP"
    ON=overlayfs mount_snapshot overlay-view "$MNT/overlay"
    findmnt -n -o FSTYPE "$MNT/overlay" | grep -q overlay
    tree scan "$MNT/overlay" "$WORK/darwin.scan"
    umount "$MNT/overlay"
    ON=overlayfs s rm overlay-view
}

case_darwin_equals_overlayfs() {
    view_kept darwin-view "$DARWIN_TOP"
    mount_snapshot darwin-view "$MNT/darwin"
    tree compare "$WORK/darwin.scan" "$MNT/darwin" | tee "$WORK/compare"
    echo "note: $(tail -n 1 "$WORK/compare")"
    umount "$MNT/darwin"
    s rm darwin-view
}

# The writable snapshot equals its parent, takes writes, and the parent does not see them.
case_clone_equals_parent() {
    local dir=$MNT/writable
    s prepare writable "$DARWIN_TOP"
    mount_snapshot writable "$dir"
    tree compare "$WORK/darwin.scan" "$dir"
    echo changed >>"$dir/private/etc/hosts"
    rm -rf "$dir/Library"
    chmod 4755 "$dir/bin/sh"
    setfattr -n user.x -v y "$dir/Users/Shared/tagged"
    truncate -s 3 "$dir/private/var/zeros"
    printf 'Z' | dd of="$dir/usr/bin/ping" bs=1 seek=0 conv=notrunc status=none
    umount "$dir"
    same_tree "$DARWIN_TOP" "$WORK/darwin.scan"
    s rm writable
}

case_import_linux() {
    import linux
    for id in $LINUX_CHAIN; do s info "$id" >/dev/null; done
}

case_run_container() {
    local out
    out=$(c run --rm --snapshotter "$SNAPSHOTTER" "$LINUX_REF" hello)
    equal "output" "$out" "hello from a container whose root is a clone"
    out=$(c run --rm --snapshotter "$SNAPSHOTTER" "$LINUX_REF" probe /bin/sh -c \
        'id -u; test -e /etc/obsolete && echo whiteout lost; stat -c %h /bin/sh; echo w >/tmp/x && cat /tmp/x')
    # busybox and six more names are one inode
    equal "output" "$out" $'0\n7\nw'
    if c run --rm --snapshotter "$SNAPSHOTTER" "$LINUX_REF" status /bin/sh -c 'exit 7'; then
        fail "exit status of the container lost"
    fi
}

# A container of a big image starts on a clone that was made ahead, once there is one.
case_prepare_takes_a_spare() {
    local i trees tree
    [ "$STANDIN" = 0 ] || return 0
    for i in $(seq 60); do
        trees=$(ls "$ROOT/trees")
        s prepare "spare-$i" "$DARWIN_TOP" >/dev/null
        tree=$(source_of "spare-$i")
        tree=${tree%/fs} tree=${tree##*/}
        if grep -qx "$tree" <<<"$trees"; then break; fi
        s rm "spare-$i"
        sleep 0.5
    done
    [ "$i" -lt 60 ] || fail "no Prepare has taken a spare"
    tree compare "$WORK/darwin.scan" "$ROOT/trees/$tree/fs"
    s rm "spare-$i"
}
case_run_many_layers() {
    local out
    import chain
    out=$(c run --rm --snapshotter "$SNAPSHOTTER" "$CHAIN_REF" chain /bin/sh -c 'cat /var/last; ls /var | wc -l')
    equal "output" "$out" $'17\n13'
    echo "note: $CHAIN_LAYERS layers"
}

# A container writes, its snapshot is committed, a container on that sees it, the image does not.
case_write_commit_run() {
    local out
    c run --snapshotter "$SNAPSHOTTER" "$LINUX_REF" writer /bin/sh -c \
        'echo written >/root/note; rm /etc/group; mkdir -p /srv/a/b; echo edited >>/etc/passwd; chmod 4700 /srv/a; sync'
    s diff writer >"$WORK/writer.tar.gz"
    out=$(tar -tzf "$WORK/writer.tar.gz")
    contains "diff" "$out" "root/note"
    contains "diff" "$out" "etc/.wh.group"
    contains "diff" "$out" "srv/a/b/"
    lacks "diff" "$out" "bin/busybox"
    s commit written writer
    equal "kind" "$(s info written | grep '"Kind"')" '    "Kind": "Committed",'
    contains "info" "$(s info written)" "\"Parent\": \"$LINUX_TOP\""
    if s info writer >/dev/null 2>&1; then fail "the committed key is still active"; fi
    c containers rm writer
    s prepare again written
    mount_snapshot again "$MNT/again"
    out=$(c run --rm --rootfs "$MNT/again" reader /bin/sh -c \
        'cat /root/note; tail -n 1 /etc/passwd; test -e /etc/group || echo no group; stat -c %a /srv/a')
    equal "output" "$out" $'written\nedited\nno group\n4700'
    umount "$MNT/again"
    out=$(c run --rm --snapshotter "$SNAPSHOTTER" "$LINUX_REF" clean /bin/sh -c \
        'test -e /root/note && echo leaked; wc -l </etc/passwd; test -e /etc/group && echo group')
    equal "output" "$out" $'2\ngroup'
    s rm again
}

case_diff_committed() {
    local out
    s diff written >"$WORK/d1.tar.gz"
    out=$(tar -tzf "$WORK/d1.tar.gz")
    contains "diff to the parent" "$out" "root/note"
    contains "diff to the parent" "$out" "etc/.wh.group"
    equal "content" "$(tar -xzOf "$WORK/d1.tar.gz" root/note)" written
    # A top layer of nothing but new files: the differ must see these and no other.
    # shellcheck disable=SC2086
    set -- $CHAIN_CHAIN
    s diff "${20}" >"$WORK/d2.tar.gz"
    out=$(tar -tzf "$WORK/d2.tar.gz" | grep -v '/$' | sort | paste -sd ' ')
    equal "diff of the last layer" "$out" "var/.wh.layer-16 var/last var/layer-17"
    # The view of a difference must not stay.
    gc
    lacks "list" "$(keys)" "-view-"
}

case_list_tree_usage_info_label() {
    local out key n size sum=0
    out=$(s ls)
    contains "ls" "$out" "$LINUX_TOP"
    out=$(s tree)
    contains "tree" "$out" "  \\_ $LINUX_TOP"
    n=$(s usage -b | awk 'NR > 1' | wc -l)
    equal "usage lines" "$n" "$(keys | wc -l)"
    # Labels of this prefix reach the backend, the others stay in containerd.
    key=$LINUX_TOP
    s label "$key" containerd.io/snapshot/test.a=1 containerd.io/snapshot/test.b=two user=mine >/dev/null
    out=$(s info "$key")
    contains "info" "$out" '"containerd.io/snapshot/test.a": "1"'
    contains "info" "$out" '"containerd.io/snapshot/test.b": "two"'
    contains "info" "$out" '"user": "mine"'
    s label "$key" containerd.io/snapshot/test.a= containerd.io/snapshot/test.b=3 user= >/dev/null
    out=$(s info "$key")
    lacks "info" "$out" test.a
    contains "info" "$out" '"containerd.io/snapshot/test.b": "3"'
    s label "$key" containerd.io/snapshot/test.b= >/dev/null
    if s info "no such key" >"$WORK/out" 2>&1; then fail "info of nothing succeeds"; fi
    contains "error" "$(cat "$WORK/out")" "not found"
    if s prepare "$LINUX_TOP" >"$WORK/out" 2>&1; then fail "a key was taken twice"; fi
    contains "error" "$(cat "$WORK/out")" "already exists"
    if s prepare orphan "no such parent" >"$WORK/out" 2>&1; then fail "prepare on nothing succeeds"; fi
    contains "error" "$(cat "$WORK/out")" "not found"
    [ "$STANDIN" = 0 ] || return 0
    # What the layers add, together, is about what the image holds; never the whole tree for each layer.
    for key in $DARWIN_CHAIN; do
        size=$(s usage -b "$key" | awk 'NR == 2 { print $(NF - 1) }')
        sum=$((sum + size))
    done
    echo "note: image of $(human "$DARWIN_BYTES"), usage of its layers $(human "$sum")"
    [ "$sum" -ge $((DARWIN_BYTES / 2)) ] || fail "usage of all layers is $sum, the image has $DARWIN_BYTES bytes"
    [ "$sum" -le $((DARWIN_BYTES * 3)) ] || fail "usage of all layers is $sum, the image has $DARWIN_BYTES bytes"
}

# A real registry: what one namespace pushes, another pulls, and content is not shared (see the configuration).
case_push_and_pull() {
    local name ref platform
    for name in DARWIN LINUX CHAIN; do
        ref=${name}_REF platform=${name}_PLATFORM
        c images push --plain-http --platform "${!platform}" "$(pull_ref "${!ref}")" "${!ref}" | last_progress
    done
    export NAMESPACE=second
    equal "snapshots of the other namespace" "$(keys)" ""
    c images pull --plain-http --platform "$DARWIN_PLATFORM" --snapshotter "$SNAPSHOTTER" "$(pull_ref "$DARWIN_REF")" |
        last_progress
    c images pull --plain-http --snapshotter "$SNAPSHOTTER" "$(pull_ref "$LINUX_REF")" | last_progress
    equal "snapshots" "$(keys Committed | sort)" "$(tr ' ' '\n' <<<"$DARWIN_CHAIN $LINUX_CHAIN" | sort)"
    same_tree "$DARWIN_TOP" "$WORK/darwin.scan"
    equal "output" "$(c run --rm --snapshotter "$SNAPSHOTTER" "$(pull_ref "$LINUX_REF")" pulled)" \
        "hello from a container whose root is a clone"
    grep -q 'http.request.method=GET.*blobs/sha256' "$WORK/registry.log" || fail "nothing was pulled from the registry"
}
case_two_namespaces() {
    local out
    s prepare mine "$LINUX_TOP"
    NAMESPACE=second s prepare mine "$LINUX_TOP"
    [ "$(source_of mine)" != "$(NAMESPACE=second source_of mine)" ] || fail "two namespaces share a tree"
    mount_snapshot mine "$MNT/one"
    NAMESPACE=second mount_snapshot mine "$MNT/two"
    echo one >"$MNT/one/x"
    [ ! -e "$MNT/two/x" ] || fail "a write is seen in the other namespace"
    umount "$MNT/one" "$MNT/two"
    s rm mine
    gc
    NAMESPACE=second s info mine >/dev/null
    [ -d "$(NAMESPACE=second source_of mine)/bin" ]
    NAMESPACE=second s rm mine
    # Removing an image in one does not touch the other.
    NAMESPACE=second forget_image "$(pull_ref "$LINUX_REF")"
    out=$(NAMESPACE=second keys)
    lacks "snapshots of the second namespace" "$out" "$LINUX_TOP"
    equal "output" "$(c run --rm --snapshotter "$SNAPSHOTTER" "$LINUX_REF" still)" \
        "hello from a container whose root is a clone"
}

case_readonly_view() {
    view_kept looking "$LINUX_TOP"
    contains "mounts" "$(s mounts /x looking)" ro
    mount_snapshot looking "$MNT/looking"
    if (echo x >"$MNT/looking/x") 2>/dev/null; then fail "a view can be written"; fi
    if s commit nothing looking >"$WORK/out" 2>&1; then fail "a view was committed"; fi
    umount "$MNT/looking"
    s rm looking
    s prepare pinned "$LINUX_TOP"
    # containerd itself refuses to remove what has children
    if s rm "$LINUX_TOP" >"$WORK/out" 2>&1; then fail "a parent was removed"; fi
    contains "error" "$(cat "$WORK/out")" "remove"
    s rm pinned
}

# A container started before goes on while the daemon is away, and its snapshot is the same afterwards.
case_clonefsd_down_container_runs() {
    local before
    c run --detach --snapshotter "$SNAPSHOTTER" "$LINUX_REF" runner /bin/sh -c \
        'i=0; while true; do i=$((i + 1)); echo $i >/tmp/beat; sleep 0.1; done'
    wait_until 10 task_runs runner
    keys | sort >"$WORK/before"
    before=$(source_of runner)
    clonefsd_stop || fail "SIGTERM took more than 5 s"
    if s ls >"$WORK/out" 2>&1; then fail "list succeeds without the daemon"; fi
    c tasks exec --exec-id e1 runner /bin/sh -c 'echo while down >/root/down; cat /tmp/beat' >"$WORK/beat1"
    restart_clonefsd
    keys | sort | cmp - "$WORK/before"
    equal "mount source" "$(source_of runner)" "$before"
    sleep 0.3
    c tasks exec --exec-id e2 runner /bin/cat /tmp/beat >"$WORK/beat2"
    [ "$(cat "$WORK/beat2")" -gt "$(cat "$WORK/beat1")" ] || fail "the container stopped"
    equal "written while down" "$(cat "$before/root/down")" "while down"
    s diff runner >"$WORK/runner.tar.gz"
    contains "diff" "$(tar -tzf "$WORK/runner.tar.gz")" root/down
    c tasks kill --signal SIGKILL runner
    wait_until 10 task_stopped runner
    c tasks rm runner
    c containers rm runner
    gc
    if s info runner >/dev/null 2>&1; then fail "the snapshot of a removed container stays"; fi
}
task_stopped() { c tasks ls | awk -v id="$1" '$1 == id && $3 == "STOPPED" { found = 1 } END { exit !found }'; }

# unpack_interrupted IMAGE LAYER HOW...: starts the import, does HOW when LAYER layers are committed.
unpack_interrupted() {
    local image=$1 layer=$2 chain=${1^^}_CHAIN pid status=0
    shift 2
    # shellcheck disable=SC2086
    set -- "$@" -- ${!chain}
    local how=()
    while [ "$1" != -- ]; do
        how+=("$1")
        shift
    done
    shift
    import "$image" >"$WORK/import.log" 2>&1 &
    pid=$!
    while ! s info "${!layer}" >/dev/null 2>&1; do
        kill -0 "$pid" 2>/dev/null || break
    done
    "${how[@]}"
    wait "$pid" || status=$?
    echo "note: interrupted after layer $layer of $#, ctr ended with $status"
    cat "$WORK/import.log"
}
# all_there IMAGE: every layer is recorded, nothing is left of an interrupted extraction.
all_there() {
    local id chain=${1^^}_CHAIN
    for id in ${!chain}; do s info "$id" >/dev/null; done
    # A pass that failed while clonefsd was away is not repeated before something else was removed.
    s prepare "dirty-$RANDOM" >/dev/null
    s rm "$(keys Active | grep '^dirty-')"
    gc
    lacks "list" "$(keys)" extract-
    [ "$STANDIN" = 0 ] || return 0
    # Nothing on disk that is not recorded: a view needs no tree of its own, hence "at most".
    local trees snapshots
    without_spares
    trees=$(find "$ROOT/trees" -mindepth 1 -maxdepth 1 | wc -l)
    snapshots=$(($(keys | wc -l) + $(NAMESPACE=second keys | wc -l)))
    [ "$trees" -le "$snapshots" ] || fail "$trees trees on disk for $snapshots snapshots"
    clonefsd_stop
    restart_clonefsd
}
# A daemon without a pool has no clones that were made ahead.
without_spares() {
    printf '[snapshots]\npool = "off"\n' >"$WORK/no-pool.toml"
    clonefsd_stop
    clonefsd_start --config "$WORK/no-pool.toml"
    answers_again
}

case_clonefsd_restart_during_unpack() {
    local round
    for round in 3 8; do
        forget_image "$CHAIN_REF"
        unpack_interrupted chain $round clonefsd_stop
        restart_clonefsd
        import chain
        all_there chain
    done
    equal "output" "$(c run --rm --snapshotter "$SNAPSHOTTER" "$CHAIN_REF" after /bin/cat /var/last)" 17
}

case_clonefsd_kill_during_unpack() {
    forget_image "$CHAIN_REF"
    unpack_interrupted chain 5 clonefsd_kill
    restart_clonefsd
    import chain
    all_there chain
    equal "output" "$(c run --rm --snapshotter "$SNAPSHOTTER" "$CHAIN_REF" after /bin/cat /var/last)" 17
    # and in the middle of the big one: layer 1 is there, 2 is being cloned or filled
    forget_image "$DARWIN_REF"
    unpack_interrupted darwin 1 clonefsd_kill
    restart_clonefsd
    import darwin
    all_there darwin
    same_tree "$DARWIN_TOP" "$WORK/darwin.scan"
}

case_containerd_restart_container_runs() {
    c run --detach --snapshotter "$SNAPSHOTTER" "$LINUX_REF" survivor /bin/sh -c 'while true; do sleep 0.1; done'
    wait_until 10 task_runs survivor
    containerd_stop
    containerd_start
    task_runs survivor || fail "containerd lost the container"
    equal "output" "$(c tasks exec --exec-id e1 survivor /bin/cat /etc/motd)" \
        "hello from a container whose root is a clone"
    c tasks kill --signal SIGKILL survivor
    wait_until 10 task_stopped survivor
    c tasks rm survivor
    c containers rm survivor
    gc
}

case_containerd_kill_during_unpack() {
    forget_image "$DARWIN_REF"
    unpack_interrupted darwin 1 containerd_kill
    unmount_below "$CONTAINERD_ROOT" # containerd's own temporary mount of the layer in work
    containerd_start
    import darwin
    all_there darwin
    same_tree "$DARWIN_TOP" "$WORK/darwin.scan"
}

# A runtime that crashed leaves mounts inside a tree: one of the same volume, one of another.
case_mount_left_inside() {
    clonefs_only
    local dir
    mkdir -p "$VOL/precious/below"
    echo precious >"$VOL/precious/below/data"
    s prepare crashed "$LINUX_TOP"
    dir=$(source_of crashed)
    mkdir "$dir/same" "$dir/other"
    mount --bind "$VOL/precious" "$dir/same"
    mount -t tmpfs none "$dir/other"
    echo other >"$dir/other/data"
    exec 9<"$dir/other/data"
    s rm crashed
    gc
    # the rest works meanwhile
    s prepare next "$LINUX_TOP"
    s rm next
    gc
    sleep 2
    equal "mounted data" "$(cat "$VOL/precious/below/data")" precious
    equal "mounted data" "$(cat <&9)" other
    [ -n "$(grep -F " $ROOT/" /proc/self/mountinfo || true)" ] || fail "the mounts are gone"
    # across a restart too: the sweep must not walk into it either
    clonefsd_stop
    restart_clonefsd
    sleep 1
    equal "mounted data" "$(cat "$VOL/precious/below/data")" precious
    exec 9<&-
    unmount_below "$ROOT"
    clonefsd_stop
    restart_clonefsd
    wait_until 20 trash_empty || fail "trash does not drain after the mounts went: $(ls "$ROOT/trash")"
    equal "mounted data" "$(cat "$VOL/precious/below/data")" precious
    rm -r "$VOL/precious"
}

case_many_at_once() {
    local i pids=() pid
    for i in $(seq 16); do
        (
            set -e
            s prepare "par-$i" "$LINUX_TOP"
            s mounts /x "par-$i" >/dev/null
            s commit "par-$i-done" "par-$i"
            s prepare "par-$i-child" "par-$i-done"
            s ls >/dev/null
            s rm "par-$i-child"
            s rm "par-$i-done"
        ) &
        pids+=($!)
    done
    for i in 1 2 3; do
        hello_slowly "par-run-$i" >"$WORK/par-$i" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
    for i in 1 2 3; do equal "output" "$(cat "$WORK/par-$i")" "hello from a container whose root is a clone"; done
    gc
    lacks "list" "$(keys)" par-
}

# Everything goes through containerd: images and snapshots removed, its garbage collection does the rest.
case_remove_everything() {
    local namespace image key lease used start
    used=$(volume_used "$VOL")
    for namespace in default second; do
        export NAMESPACE=$namespace
        for image in $(c images ls -q); do c images rm "$image" >/dev/null; done
        for key in $(keys); do s label "$key" containerd.io/gc.root= >/dev/null || true; done
        # a client whose call was cut off leaves its lease, good for a day
        for lease in $(c leases ls -q); do c leases rm "$lease" >/dev/null; done
        ON=overlayfs keys | while read -r key; do ON=overlayfs s label "$key" containerd.io/gc.root= >/dev/null || true; done
        gc
    done
    for namespace in default second; do
        NAMESPACE=$namespace
        equal "snapshots left in $namespace" "$(keys)" ""
        equal "containers left in $namespace" "$(c containers ls -q)" ""
        equal "content left in $namespace" "$(c content ls -q)" ""
    done
    if [ "$STANDIN" = 0 ]; then
        folder_empty "$ROOT/trees" || fail "trees are left: $(ls "$ROOT/trees")"
        wait_until 60 trash_empty || fail "trash is left: $(ls "$ROOT/trash")"
    fi
    start=$(cat "$WORK/used-at-start")
    wait_until 20 used_below $((start + (24 << 20))) ||
        fail "$(human "$(volume_used "$VOL")") in use, $(human "$start") at the start"
    echo "note: volume: $(human "$start") at the start, $(human "$used") full, $(human "$(volume_used "$VOL")") at the end"
}
used_below() { [ "$(volume_used "$VOL")" -le "$1" ]; }

wipe_containerd() {
    containerd_stop
    containerd_end_shims "$CONTAINERD_DIR"
    unmount_below "$CONTAINERD_ROOT"
    rm -rf --one-file-system "$CONTAINERD_ROOT" "$CONTAINERD_DIR/state"
    containerd_start
}

# containerd starts anew on a store that knows the keys already.
case_containerd_root_wiped() {
    clonefs_only
    wipe_containerd # so that containerd counts its keys from 1, and again below
    import linux
    wipe_containerd
    if import linux >"$WORK/out" 2>&1; then fail "unpacking into an old store succeeded: $(cat "$WORK/out")"; fi
    cat "$WORK/out"
    contains "error" "$(cat "$WORK/out")" "--forget-snapshotter"
    echo "note: $(tr '\n' ' ' <"$WORK/out" | grep -o 'ctr: .*' | cut -c1-300)"
    containerd_stop
    clonefsd_stop
    # The new containerd's garbage collection may have been there first: it removes what it does not know.
    "$CLONEFSD" --root "$ROOT" --forget-snapshotter "$SNAPSHOTTER" >"$WORK/out" 2>&1 ||
        contains "forgetting" "$(cat "$WORK/out")" "it has none at all"
    clonefsd_start
    containerd_start
    answers_again
    import linux
    equal "output" "$(c run --rm --snapshotter "$SNAPSHOTTER" "$LINUX_REF" remedy)" \
        "hello from a container whose root is a clone"
    wait_until 20 trash_empty || fail "what was forgotten stays on disk: $(ls "$ROOT/trash")"
    forget_image "$LINUX_REF"
}

case_stops_clean() {
    local pid
    pid=$(clonefsd_pid)
    containerd_stop
    clonefsd_stop || fail "SIGTERM took more than 5 s"
    pid_gone "$pid" || fail "the daemon is still there"
    [ "$STANDIN" = 0 ] || return 0
    [ ! -S "$WORK/clonefs.sock" ] || fail "the socket is left behind"
    equal "mounts below the store" "$(grep -F " $ROOT/" /proc/self/mountinfo || true)" ""
}
