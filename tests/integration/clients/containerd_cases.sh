# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The cases with containerd and ctr alone, in the order in which they run; as in tests/integration/containerd.
# shellcheck disable=SC2034,SC2153,SC2154  # the names in capitals come from run and from the images' .env files
# shellcheck disable=SC2016,SC2086  # $ is for the shell of a container; image names are words

# What a stock containerd shows of the images by itself: its own store, overlayfs, walking.
REFERENCE_CASES=(
    reference_start
    reference_scan
    reference_push
)
# All three services are proxied; the built-in content store and differ are off.
CONTAINERD_CASES=(
    all_start
    sample_configuration
    macos_sample_configuration
    import
    run
    pull_client
    pull_transfer
    import_transfer
    diff
    commit
    push_and_pull_commit
    export_import
    other_differ
    killed_while_unpacking
    shared
    collected
)
# Snapshots and Diff are proxied, blobs are in containerd's own store.
OWN_CONTENT_CASES=(
    own_content_start
    own_content_import
    own_content_pull
    own_content_diff
    own_content_collected
)

HELLO="hello from a container whose root is a clone"
NAMES="darwin linux chain"
WRITES='echo written >/root/note; rm /etc/group; mkdir -p /srv/a/b; echo edited >>/etc/passwd; chmod 4700 /srv/a
    ln /root/note /srv/note; ln -s ../x /srv/a/link; touch -h -d @1700000123 /srv/a/link; rm /bin/uname
    for f in /root /root/note /etc /etc/passwd /srv /srv/a /srv/a/b /bin; do touch -d @1700000123 $f; done'

# ---- what the cases use ----------------------------------------------------------------------------------

# plugins TYPE: its plugins and their states
plugins() { c plugins ls | awk -v type="$1" '$1 == type { print $2, $NF }' | sort | paste -sd ','; }
# layers NAME...: how many there are to unpack; images share their lowest ones.
layers() {
    local name
    for name; do image "$name" CHAIN; done | tr ' ' '\n' | sort -u | wc -l
}
# image NAME REF|PLATFORM|TOP|CHAIN
image() {
    local variable=${1^^}_$2
    echo "${!variable}"
}
same_image() { same_tree "$(image "$1" TOP)" "$WORK/$1.scan"; }

# unpacked_by_us NAME...: since calls_mark each layer of these images was applied once, by clonefs, which had it itself
# or read it in one piece; containerd's own differ reads pieces of 32 KiB.
unpacked_by_us() {
    local count blobs reads
    count=$(layers "$@")
    if ! ours; then
        equal "calls of Apply" "$(calls clonefs Diff/Apply)" 0
        return 0
    fi
    equal "calls of Apply" "$(calls clonefs Diff/Apply)" "$count"
    equal "calls of Apply that succeeded" "$(calls clonefs Diff/Apply 0)" "$count"
    mapfile -t blobs < <(for name; do image_layers "$name"; done | sort -u)
    reads=$(reads "${blobs[@]}")
    [ "$reads" -le $((count * 2)) ] || fail "$reads calls of Read of $count layers"
    echo "note: $count layers, $reads Reads of them, $(calls clonefs Content/Read) of all blobs"
}
# image_layers NAME: the digests of its layers
image_layers() {
    tar -xOf "$IMAGES/$1.tar" "blobs/sha256/$(tar -xOf "$IMAGES/$1.tar" index.json | grep -o 'sha256:[0-9a-f]*' | cut -d : -f 2)" |
        tr -d ' \n' | grep -o '"layers":.*' | grep -o 'sha256:[0-9a-f]*'
}

# import_local NAME [OPTION...]: by the client's own code, which asks containerd's Diff service.
import_local() {
    local name=$1
    shift
    c images import --local --platform "$(image "$name" PLATFORM)" --snapshotter "$SNAPSHOTTER" "$@" "$IMAGES/$name.tar"
}
# pull NAME [OPTION...]
pull() {
    local name=$1
    shift
    c images pull --plain-http --platform "$(image "$name" PLATFORM)" --snapshotter "$SNAPSHOTTER" "$@" \
        "$(pull_ref "$(image "$name" REF)")" | last_progress
}
# ctr_run REF ID [COMMAND...]
ctr_run() { c run --rm --snapshotter "$SNAPSHOTTER" "$@"; }

# empty_namespaces: nothing is left of anything, anywhere.
empty_namespaces() {
    local namespace key
    for namespace in $(c namespaces ls -q); do
        export NAMESPACE=$namespace
        remove_images
        c containers ls -q | while read -r key; do c containers rm "$key"; done
        for key in $(keys); do s label "$key" containerd.io/gc.root= >/dev/null; done
        end_leases
    done
    for namespace in $(c namespaces ls -q); do
        NAMESPACE=$namespace
        equal "snapshots left in $namespace" "$(keys)" ""
        equal "blobs left in $namespace" "$(blobs)" ""
        equal "ingests left in $namespace" "$(refs)" ""
        equal "containers left in $namespace" "$(c containers ls -q)" ""
        equal "leases left in $namespace" "$(c leases ls -q)" ""
    done
    export NAMESPACE=default
    folder_empty "$ROOT/trees" || fail "trees are left: $(ls "$ROOT/trees")"
    wait_until 60 trash_empty || fail "trash is left: $(ls "$ROOT/trash")"
}

# ---- the reference ---------------------------------------------------------------------------------------

case_reference_start() { fresh builtin isolated; }

case_reference_scan() {
    local name
    for name in $NAMES; do
        c images import --local --platform "$(image $name PLATFORM)" --snapshotter overlayfs "$IMAGES/$name.tar"
        ON=overlayfs s view "view-$name" "$(image $name TOP)"
        ON=overlayfs mount_snapshot "view-$name" "$MNT/overlay"
        tree scan "$MNT/overlay" "$WORK/$name.scan"
        umount "$MNT/overlay"
    done
    echo "note: $(tree compare "$WORK/darwin.scan" "$WORK/darwin.scan")"
}

case_reference_push() {
    local name
    for name in $NAMES; do
        c images push --local --plain-http --platform "$(image $name PLATFORM)" "$(pull_ref "$(image $name REF)")" \
            "$(image $name REF)" | last_progress
    done
}

# ---- all three services ----------------------------------------------------------------------------------

case_all_start() {
    fresh clonefs isolated "$DIFFER"
    equal "snapshotter" "$(plugins io.containerd.snapshotter.v1 | tr ',' '\n' | grep "^$SNAPSHOTTER ")" "$SNAPSHOTTER ok"
    equal "content stores" "$(plugins io.containerd.content.v1)" "clonefs-content ok"
    ours || return 0
    equal "differs" "$(plugins io.containerd.differ.v1)" "clonefs-diff ok"
    contains "services" "$(plugins io.containerd.service.v1)" "diff-service ok"
    equal "transfer" "$(plugins io.containerd.transfer.v1)" "local ok"
    echo "note: $(c version | awk '/Version:/ { print $2 }' | paste -sd ' ')"
}

# sample_start FILE no|yes: containerd with this sample, as it stands or with all that is commented out in it.
sample_start() {
    {
        printf 'root = "%s"\nstate = "%s"\n' "$WORK/sample-root" "$WORK/sample-state"
        sed -E "s,(/var)?/run/clonefs/clonefs.sock,$WORK/clonefs.tap," "$repo/config/$1" |
            if [ "$2" = no ]; then
                cat
            else
                sed -e 's/^#\(disabled_plugins\|\[\|  \)/\1/' -e '/^  snapshotter = "clonefs"/{n; s/walking/clonefs-diff/}'
            fi
        printf '[grpc]\n  address = "%s"\n[ttrpc]\n  address = "%s"\n' "$CONTAINERD_DIR/c.sock" "$CONTAINERD_DIR/t.sock"
        # It would listen outside of our folder.
        printf '[plugins."io.containerd.nri.v1.nri"]\n  disable = true\n'
    } >"$CONTAINERD_DIR/config.toml"
    containerd_start || fail "containerd does not start with $1"
    equal "snapshotter" "$(plugins io.containerd.snapshotter.v1 | tr ',' '\n' | grep clonefs)" "clonefs ok"
    equal "diff service" "$(plugins io.containerd.service.v1 | tr ',' '\n' | grep diff)" "diff-service ok"
    equal "transfer" "$(plugins io.containerd.transfer.v1)" "local ok"
}
sample_stop() {
    containerd_stop
    rm -rf "$WORK/sample-root" "$WORK/sample-state"
}
# sample_arrived PART...: of containerd's configuration as it understood it
sample_arrived() {
    local found part
    found=$("$(containerd_program containerd)" --config "$CONTAINERD_DIR/config.toml" config dump | tr -d ' \n' | tr "'" '"')
    for part; do contains "configuration" "$found" "$part"; done
}
sample_has_all() {
    equal "content stores" "$(plugins io.containerd.content.v1)" "clonefs-content ok"
    contains "differs" "$(plugins io.containerd.differ.v1)" "clonefs-diff ok"
    contains "walking" "$(plugins io.containerd.differ.v1)" "walking ok"
    sample_arrived '["clonefs-diff","walking"]'
}

# containerd starts with the sample of its version, once as it stands and once with all that is commented out in it.
case_sample_configuration() {
    local sample=containerd-1.7.toml all
    [ "$CONTAINERD_CONFIG_VERSION" = 2 ] || sample=containerd-2.x.toml
    trap 'fresh clonefs isolated "$DIFFER"' EXIT # whatever happens here, the next case has what it needs
    containerd_stop
    for all in no yes; do
        sample_start $sample $all
        [ $all = no ] || sample_has_all
        sample_stop
    done
}

# The sample for macOS does on Linux what it is for: an image of darwin is unpacked by both of containerd's ways.
case_macos_sample_configuration() {
    local sample=containerd-macos-1.7.toml by_client
    [ "$CONTAINERD_CONFIG_VERSION" = 2 ] || sample=containerd-macos-2.x.toml
    trap 'fresh clonefs isolated "$DIFFER"' EXIT
    containerd_stop
    sample_start $sample no
    contains "differs" "$(plugins io.containerd.differ.v1)" "clonefs-diff ok"
    contains "content stores" "$(plugins io.containerd.content.v1)" "content ok"
    sample_stop
    sample_start $sample yes
    sample_has_all
    sample_arrived 'platform="darwin/arm64"' 'snapshotter="clonefs"' 'differ="clonefs-diff"'
    for by_client in true false; do
        NAMESPACE=by-client-$by_client
        calls_mark
        import_local darwin "--local=$by_client"
        unpacked_by_us darwin
        gc # the one that would come in the middle of the next step
        same_image darwin
    done
    sample_stop
}

case_import() {
    local name expected
    calls_mark
    for name in $NAMES; do import_local $name; done
    unpacked_by_us $NAMES
    for name in $NAMES; do same_image $name; done
    gc # of the indexes of the archives
    expected=$(archive_blobs "$IMAGES"/*.tar)
    same_lists "blobs in containerd" "$(blobs)" "$expected"
    same_lists "blobs on disk" "$(blobs_on_disk)" "$expected"
    equal "complete images" "$(c images check --snapshotter "$SNAPSHOTTER" | awk 'NR > 1 && $4 == "complete"' | wc -l)" 3
    if [ -d "$CONTAINERD_ROOT/io.containerd.content.v1.content" ]; then fail "containerd's own store is there"; fi
}

case_run() {
    equal "output" "$(ctr_run "$LINUX_REF" hello)" "$HELLO"
    equal "output" "$(ctr_run "$CHAIN_REF" chain /bin/sh -c 'cat /var/last; ls /var | wc -l')" $'17\n13'
    if ctr_run "$LINUX_REF" status /bin/sh -c 'exit 7'; then fail "exit status of the container lost"; fi
}

# pulled_by OPTION: in a namespace of its own, with which nothing is shared.
pulled_by() {
    local name
    calls_mark
    for name in $NAMES; do pull $name "$1"; done
    unpacked_by_us $NAMES
    for name in $NAMES; do same_image $name; done
    equal "output" "$(ctr_run "$(pull_ref "$LINUX_REF")" pulled)" "$HELLO"
    remove_images
}
case_pull_client() { NAMESPACE=client pulled_by --local; }
# 1.7's transfer service asks by TLS alone.
case_pull_transfer() {
    [ "$CONTAINERD_CONFIG_VERSION" = 3 ] || REGISTRY=$REGISTRY_TLS
    NAMESPACE=transfer pulled_by --local=false
}

case_import_transfer() {
    local name
    export NAMESPACE=transfer-import
    calls_mark
    for name in $NAMES; do import_local $name --local=false; done
    unpacked_by_us $NAMES
    for name in $NAMES; do same_image $name; done
    remove_images
}

# written_container ID: a stopped container that changed things, all of them with times of whole seconds.
written_container() {
    c containers rm "$1" 2>/dev/null || true # of a case that failed
    c run --snapshotter "$SNAPSHOTTER" "$LINUX_REF" "$1" /bin/sh -c "$WRITES"
    wait_until 10 task_gone "$1"
}
task_gone() { ! c tasks ls -q | grep -qx "$1"; }
forget_container() {
    c containers rm "$1"
    gc
}
# diff_of ID MEDIA-TYPE FILE: as a blob that stays; prints its digest.
diff_of() {
    local before
    before=$(blobs)
    s diff --keep --media-type "$2" --label "containerd.io/gc.root=2020-01-01T00:00:00Z" "$1" >"$3"
    comm -13 <(printf '%s\n' "$before") <(blobs)
}
media_types() {
    local base=application/vnd.oci.image.layer.v1.tar
    echo "$base" "$base+gzip"
    [ "$CONTAINERD_CONFIG_VERSION" = 2 ] || echo "$base+zstd"
}
untar() { # FILE MEDIA-TYPE, to stdout
    case $2 in *+gzip) zcat "$1" ;; *+zstd) zstd -dcq "$1" ;; *) cat "$1" ;; esac
}

case_diff() {
    local type blob again plain='' names=$WORK/names
    written_container writer
    printf '%s\n' bin/ bin/.wh.uname etc/ etc/.wh.group etc/passwd root/ root/note srv/ srv/a/ srv/a/b/ srv/a/link srv/note \
        >"$names.expected"
    for type in $(media_types); do
        calls_mark
        blob=$(diff_of writer "$type" "$WORK/layer")
        [ -n "$blob" ] || fail "$type: no blob was added"
        equal "$type: digest" "$(digest_of "$WORK/layer")" "$blob"
        ! ours || equal "$type: calls of Diff" "$(calls clonefs Diff/Diff):$(calls clonefs Diff/Diff 0)" 1:1
        untar "$WORK/layer" "$type" >"$WORK/layer.tar"
        [ "$type" = "${type%+*}" ] || contains "$type: labels" "$(c content ls | grep -F "$blob")" \
            "containerd.io/uncompressed=$(digest_of "$WORK/layer.tar")"
        tar -tf "$WORK/layer.tar" >"$names"
        diff "$names.expected" "$names" || fail "$type: the entries are others than expected"
        equal "$type: owner and mode" "$(tar -tvf "$WORK/layer.tar" --numeric-owner srv/a/ | awk '{ print $1, $2 }')" \
            $'drws------ 0/0\ndrwxr-xr-x 0/0\nlrwxrwxrwx 0/0'
        equal "$type: link" "$(tar -tvf "$WORK/layer.tar" srv/note | awk '{ print $NF }')" root/note
        [ -z "$plain" ] || ! ours || equal "$type: uncompressed digest" "$(digest_of "$WORK/layer.tar")" "$plain"
        plain=$(digest_of "$WORK/layer.tar")
        # The same trees again make the same bytes.
        if ours; then
            equal "$type: blob of a second run" "$(diff_of writer "$type" "$WORK/layer2")" ""
            cmp "$WORK/layer" "$WORK/layer2"
        fi
        c content rm "$blob" >/dev/null
    done
    gc
    lacks "list" "$(keys)" "-view-"
    if s diff --media-type application/x-unknown writer >"$WORK/out" 2>&1; then fail "an unknown media type succeeds"; fi
    # Without anything that keeps it the blob goes with the garbage.
    s diff writer >"$WORK/layer"
    end_leases
    same_lists "blobs" "$(blobs)" "$(archive_blobs "$IMAGES"/*.tar)"
    forget_container writer
}

# What nerdctl commit and docker commit do: the difference becomes a layer of a new image.
case_commit() {
    local type top n=0
    written_container writer
    s view original "$LINUX_TOP" # what it was is still there
    keep original
    for type in $(media_types); do
        n=$((n + 1))
        diff_of writer "$type" "$WORK/layer" >"$WORK/added"
        c images export --local --platform "$LINUX_PLATFORM" "$WORK/linux-out.tar" "$LINUX_REF"
        top=$("$here/addlayer.py" "$WORK/linux-out.tar" "$WORK/layer" "$type" "clonefs.test/commit:$n" "$WORK/commit-$n.tar")
        NAMESPACE=commit c images import --local --snapshotter "$SNAPSHOTTER" "$WORK/commit-$n.tar"
        equal "output" "$(NAMESPACE=commit ctr_run "clonefs.test/commit:$n" "commit-$n" /bin/sh -c \
            'cat /root/note; tail -n 1 /etc/passwd; test -e /etc/group || echo no group; stat -c %a /srv/a')" \
            $'written\nedited\nno group\n4700'
        # and the whole tree is what the container left, up to what runc made of /dev, /proc, /sys
        mount_snapshot writer "$MNT/writer"
        tree scan "$MNT/writer" "$WORK/writer.scan"
        umount "$MNT/writer"
        NAMESPACE=commit same_tree "$top" "$WORK/writer.scan" --whole-seconds
        c content rm "$(cat "$WORK/added")" >/dev/null
    done
    s rm original
    forget_container writer
    same_image linux
}

# A push of what was committed, and a pull of it elsewhere.
case_push_and_pull_commit() {
    NAMESPACE=commit c images push --local --plain-http --platform "$LINUX_PLATFORM" "$REGISTRY/commit:2" clonefs.test/commit:2 |
        last_progress
    NAMESPACE=client c images pull --local --plain-http --snapshotter "$SNAPSHOTTER" "$REGISTRY/commit:2" | last_progress
    equal "output" "$(NAMESPACE=client ctr_run "$REGISTRY/commit:2" pulled /bin/cat /root/note)" written
    NAMESPACE=client remove_images
    NAMESPACE=commit remove_images
}

case_export_import() {
    local name
    for name in $NAMES; do
        rm -rf "$WORK/unpacked"
        mkdir -p "$WORK/unpacked/was" "$WORK/unpacked/is"
        c images export --local --platform "$(image $name PLATFORM)" "$WORK/export-$name.tar" "$(image $name REF)"
        tar -xf "$IMAGES/$name.tar" -C "$WORK/unpacked/was"
        tar -xf "$WORK/export-$name.tar" -C "$WORK/unpacked/is"
        diff -r "$WORK/unpacked/was/blobs" "$WORK/unpacked/is/blobs"
        NAMESPACE=again c images import --local --platform "$(image $name PLATFORM)" --snapshotter "$SNAPSHOTTER" \
            "$WORK/export-$name.tar"
        NAMESPACE=again same_image $name
    done
    rm -r "$WORK/unpacked" "$WORK"/export-*.tar
    equal "output" "$(NAMESPACE=again ctr_run "$LINUX_REF" again)" "$HELLO"
    NAMESPACE=again remove_images
}

# What is not ours to unpack goes to the next differ: mounts of overlayfs.
case_other_differ() {
    ours || skip "clonefs is not the differ"
    reconfigure clonefs isolated clonefs-diff walking
    export NAMESPACE=other
    calls_mark
    c images import --local --platform "$DARWIN_PLATFORM" --snapshotter overlayfs "$IMAGES/darwin.tar"
    # the lowest layer of overlayfs is a bind mount like ours, but not of our store
    equal "calls of Apply, and refused" "$(calls clonefs Diff/Apply):$(calls clonefs Diff/Apply 12)" "$DARWIN_LAYERS:$DARWIN_LAYERS"
    ON=overlayfs s view overlay-view "$DARWIN_TOP"
    ON=overlayfs mount_snapshot overlay-view "$MNT/overlay"
    tree compare "$WORK/darwin.scan" "$MNT/overlay"
    umount "$MNT/overlay"
    ON=overlayfs s rm overlay-view
    calls_mark
    import_local linux
    unpacked_by_us linux
    remove_images
    NAMESPACE=default reconfigure clonefs isolated "$DIFFER"
}

# clonefsd dies while a layer is unpacked; afterwards the same import works, and nothing stays behind.
case_killed_while_unpacking() {
    local layer pid id interrupted=0
    forget_image "$DARWIN_REF"
    # shellcheck disable=SC2086
    set -- $DARWIN_CHAIN
    for layer in 1 3; do
        import_local darwin >"$WORK/import.log" 2>&1 &
        pid=$!
        while ! s info "${!layer}" >/dev/null 2>&1; do
            kill -0 "$pid" 2>/dev/null || break
        done
        clonefsd_kill
        wait "$pid" || interrupted=$((interrupted + 1))
        clonefsd_start --config "$WORK/clonefsd.toml"
        answers_again
    done
    import_local darwin
    same_image darwin
    end_leases
    for id in $DARWIN_CHAIN; do s info "$id" >/dev/null; done
    lacks "list" "$(keys)" extract-
    [ "$interrupted" -gt 0 ] || fail "each import was faster than the kill"
    echo "note: $interrupted of 2 interrupted"
}

# Policy shared: what one namespace has, another unpacks and compares without a byte being transferred.
case_shared() {
    local before after reads
    reconfigure clonefs shared "$DIFFER"
    export NAMESPACE=second
    reads=$(registry_reads)
    before=$(find "$ROOT/content/blobs" -type f -printf '%i %T@ %p\n' | sort)
    calls_mark
    pull darwin --local
    pull linux --local
    unpacked_by_us darwin linux
    after=$(find "$ROOT/content/blobs" -type f -printf '%i %T@ %p\n' | sort)
    same_lists "files" "$after" "$before"
    equal "layers that the registry served" "$(registry_reads)" "$reads"
    same_image darwin
    c run --snapshotter "$SNAPSHOTTER" "$(pull_ref "$LINUX_REF")" writer /bin/sh -c "$WRITES"
    wait_until 10 task_gone writer
    s diff writer >"$WORK/layer"
    contains "difference" "$(tar -tzf "$WORK/layer")" root/note
    # The other namespace finds the same difference, of which the blob may be there already.
    NAMESPACE=default written_container writer
    NAMESPACE=default s diff writer >"$WORK/layer2"
    contains "difference" "$(tar -tzf "$WORK/layer2")" root/note
    ! ours || cmp "$WORK/layer" "$WORK/layer2"
    forget_container writer
    NAMESPACE=default forget_container writer
    remove_images
    NAMESPACE=default same_image linux
    NAMESPACE=default reconfigure clonefs isolated "$DIFFER"
}
registry_reads() { grep -c 'http.request.method=GET.*blobs/sha256' "$WORK/registry.log" || true; }

case_collected() {
    empty_namespaces
    nothing_left_soon
}

# ---- Snapshots and Diff, without Content -----------------------------------------------------------------

case_own_content_start() {
    fresh builtin isolated "$DIFFER"
    equal "content stores" "$(plugins io.containerd.content.v1)" "content ok"
    ! ours || equal "differs" "$(plugins io.containerd.differ.v1)" "clonefs-diff ok"
}

# own_content_used: the blobs came from containerd, one Read a layer.
own_content_used() {
    unpacked_by_us "$@"
    equal "calls of our Content" "$(grep -c /containerd.services.content.v1.Content/ \
        <(tail -n "+$(($(sed -n 1p "$WORK/mark") + 1))" "$WORK/clonefs.calls.log"))" 0
    ! ours || [ "$(calls containerd Content/Read 0)" -ge "$(layers "$@")" ] ||
        fail "the blobs did not come through containerd's Content API: $(calls containerd Content/Read) Reads"
}

case_own_content_import() {
    local name
    calls_mark
    for name in $NAMES; do import_local $name; done
    own_content_used $NAMES
    for name in $NAMES; do same_image $name; done
    equal "output" "$(ctr_run "$LINUX_REF" hello)" "$HELLO"
    [ -z "$(blobs_on_disk)" ] || fail "clonefs keeps blobs"
}

case_own_content_pull() {
    export NAMESPACE=transfer
    calls_mark
    pull chain --local
    [ "$CONTAINERD_CONFIG_VERSION" = 3 ] || REGISTRY=$REGISTRY_TLS
    pull darwin --local=false
    own_content_used darwin chain
    same_image darwin
    same_image chain
    remove_images
}

case_own_content_diff() {
    calls_mark
    case_diff
    ! ours || [ "$(calls containerd Content/Write 0)" -ge 2 ] || fail "no blob was written through containerd"
    [ -z "$(blobs_on_disk)" ] || fail "clonefs keeps blobs"
    case_commit
    NAMESPACE=commit remove_images
}

case_own_content_collected() { empty_namespaces; }

case_stops_clean() {
    local pid
    pid=$(clonefsd_pid)
    containerd_stop
    clonefsd_stop || fail "SIGTERM took more than 5 s"
    pid_gone "$pid" || fail "the daemon is still there"
    [ ! -S "$WORK/clonefs.sock" ] || fail "the socket is left behind"
    equal "mounts below the store" "$(grep -F " $ROOT/" /proc/self/mountinfo || true)" ""
}
