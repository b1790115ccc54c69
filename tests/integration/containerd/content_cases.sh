# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The cases with containerd's built-in content store disabled: blobs and snapshots are both in clonefs. As in
# cases.sh; they begin with a fresh containerd and a fresh store.
# shellcheck disable=SC2034,SC2016,SC2153,SC2154  # the names in capitals come from run and from the images' .env files

CONTENT_CASES=(
    content_sample_configuration
    content_start
    content_import
    content_run
    content_get_ls_label
    content_ingest
    content_ingest_busy_ref
    content_edit_and_prune
    content_export_import
    content_push
    content_namespaces_share
    content_namespaces_isolated
    content_collects_garbage
    content_collects_ingests
    content_ingest_clonefsd_stopped
    content_ingest_clonefsd_killed
    content_ingest_containerd_killed
    content_ingest_both_killed
    content_ingest_both_stopped
    content_kill_during_import
    content_clonefsd_down
    content_many_at_once
    content_removed_everything
    content_adopt
    content_stops_clean
)

HELLO="hello from a container whose root is a clone"
EMPTY=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

# ---- what the cases use ----------------------------------------------------------------------------------

# wrote: bytes that the daemon has written to files since it was started.
wrote() { awk '$1 == "wchar:" { print $2 }' "/proc/$(clonefsd_pid)/io"; }
random_file() { head -c "$2" /dev/urandom >"$1"; }
# ingest_file REF FILE
ingest_file() {
    local digest size
    digest=$(digest_of "$2")
    size=$(stat -c %s "$2")
    c content ingest --expected-size "$size" --expected-digest "$digest" "$1" <"$2"
    keep_blob "$digest"
}
# What holds an ingest open: a client that reads a FIFO, which we write to as descriptor 8.
#   hold COMMAND...    starts COMMAND in the background with the FIFO as standard input; its pid is in $held
#   release            ends the input; the status of the command
hold() {
    rm -f "$WORK/fifo"
    mkfifo "$WORK/fifo"
    "$@" <"$WORK/fifo" >"$WORK/held.out" 2>&1 &
    held=$!
    exec 8>"$WORK/fifo"
}
release() {
    local status=0
    exec 8>&-
    wait_until 60 pid_gone "$held" || fail "the client hangs: $(cat "$WORK/held.out")"
    wait "$held" || status=$?
    cat "$WORK/held.out"
    return $status
}
# offset REF [CLIENT]: as ctr shows it, which is rounded.
offset() { "${2:-c}" content active | awk -v ref="$1" '$1 == ref { print $2 }'; }
offset_is() { [ "$(offset "$1")" = "$2" ]; }
# ingest_part REF FILE MIB: an ingest of FILE that stops after so many MiB, all of which clonefs has acknowledged.
ingest_part() {
    hold c content ingest "$1"
    head -c "${3}M" "$2" >&8
    wait_until 30 offset_is "$1" "$(shown_size "$3")" ||
        fail "the ingest does not arrive at $3 MiB: $(c content active) $(cat "$WORK/held.out")"
}
# shown_size MIB: as ctr shows it
shown_size() { awk -v n="$(($1 << 20))" 'BEGIN { printf "%.4gMB", n / 1e6 }'; }
# resume REF FILE MIB: goes on with what is there. The first part of the input is not FILE's, so the digest is only
# right if the ingest kept what it had and continued there.
resume() {
    wait_until 15 offset_is "$1" "$(shown_size "$3")" || fail "the ingest is not at $3 MiB: $(c content active)"
    truncate -s 0 "$WORK/rest"
    truncate -s "${3}M" "$WORK/rest"
    tail -c "+$((($3 << 20) + 1))" "$2" >>"$WORK/rest"
    c content ingest --expected-size "$(stat -c %s "$2")" --expected-digest "$(digest_of "$2")" "$1" <"$WORK/rest"
    c content get "$(digest_of "$2")" | cmp - "$2"
    equal "ingests after the commit" "$(refs c)$(refs d)$(ingests_on_disk)" ""
    c content rm "$(digest_of "$2")" >/dev/null
    gc
    [ ! -e "$(blob_file "$(digest_of "$2")")" ] || fail "the removed blob stays on disk"
}

# reconfigure builtin|clonefs isolated|shared: restarts containerd with another configuration.
reconfigure() {
    containerd_stop
    containerd_write_config "$@"
    containerd_start
}
# fresh builtin|clonefs isolated|shared: a containerd and a clonefs that never saw anything.
fresh() {
    containerd_stop
    containerd_end_shims "$CONTAINERD_DIR"
    clonefsd_cleanup "$CLONEFSD_LOG.pid"
    unmount_below "$CONTAINERD_ROOT"
    rm -rf --one-file-system "$CONTAINERD_ROOT" "$CONTAINERD_DIR/state" "$ROOT"
    containerd_write_config "$@"
    clonefsd_start
    containerd_start
}

# ---- cases -------------------------------------------------------------------------------------------------

# The part of the sample about content, without the # in front of it, is read by containerd. A proxy of type "diff",
# which the newer samples have, this one does not survive.
case_content_sample_configuration() {
    local out sample=$repo/config/containerd-1.6.toml
    sed 's/^#\(disabled_plugins = \|\[proxy_plugins\.\|  [a-z]* = \)/\1/' "$sample" >"$WORK/sample.toml"
    out=$(containerd --config "$WORK/sample.toml" config dump)
    contains "$sample" "$(grep '^disabled_plugins' <<<"$out")" '"io.containerd.content.v1.content"'
    lacks "$sample" "$out" '"diff"'
    out=$(grep -A 3 '^ *\[proxy_plugins.clonefs-content\]' <<<"$out")
    contains "$sample" "$out" 'type = "content"'
    contains "$sample" "$out" 'address = "/run/clonefs/clonefs.sock"'
}

case_content_start() {
    fresh clonefs shared
    equal "content stores of containerd" \
        "$(c plugins ls | awk '$1 == "io.containerd.content.v1" { print $2, $NF }')" "clonefs-content ok"
    nothing_left
    volume_used "$VOL" >"$WORK/used-at-content-start"
}

case_content_import() {
    local id expected blob
    for id in darwin linux chain; do import "$id"; done
    gc # of the indexes of the archives
    expected=$(archive_blobs "$WORK"/images/*.tar)
    same_lists "blobs in containerd" "$(blobs)" "$expected"
    same_lists "blobs in clonefs" "$(d content ls -q | sort)" "$expected"
    same_lists "blobs on disk" "$(blobs_on_disk)" "$expected"
    equal "ingests" "$(refs c)$(refs d)$(ingests_on_disk)" ""
    for blob in $expected; do equal "digest of the file" "$(digest_of "$(blob_file "$blob")")" "$blob"; done
    equal "blobs that can be written" "$(find "$ROOT/content/blobs" -type f -perm /222)" ""
    for id in $DARWIN_CHAIN $LINUX_CHAIN $CHAIN_CHAIN; do s info "$id" >/dev/null; done
    equal "complete images" "$(c images check --snapshotter "$SNAPSHOTTER" | awk 'NR > 1 && $4 == "complete"' | wc -l)" 3
    [ ! -f "$WORK/darwin.scan" ] || same_tree "$DARWIN_TOP" "$WORK/darwin.scan"
    if [ -d "$CONTAINERD_ROOT/io.containerd.content.v1.content" ]; then fail "containerd's own store is there"; fi
    echo "note: $(wc -l <<<"$expected") blobs, $(human "$(du -sb "$ROOT/content/blobs" | cut -f 1)")"
}

case_content_run() {
    equal "output" "$(c run --rm --snapshotter "$SNAPSHOTTER" "$LINUX_REF" hello)" "$HELLO"
    equal "output" "$(c run --rm --snapshotter "$SNAPSHOTTER" "$CHAIN_REF" chain /bin/cat /var/last)" 17
}

case_content_get_ls_label() {
    local blob out size sizes=0
    for blob in $(image_blobs linux) $(image_blobs darwin); do
        equal "digest of what get prints" "sha256:$(c content get "$blob" | sha256sum | cut -d ' ' -f 1)" "$blob"
        size=$(stat -c %s "$(blob_file "$blob")")
        [ "$size" -lt $((1 << 20)) ] || sizes=$((sizes + 1))
    done
    [ "$sizes" -gt 0 ] || fail "no blob of more than one message"
    if c content get "sha256:$(printf '0%.0s' $(seq 64))" >"$WORK/out" 2>&1; then fail "what is not there was read"; fi
    contains "error" "$(cat "$WORK/out")" "not found"
    # Labels are kept by containerd for its clients.
    blob=$(image_blobs linux | head -n 1)
    contains "labels" "$(c content label "$blob" flavour=plain colour=blue)" "flavour=plain"
    equal "filtered" "$(c content ls -q labels.flavour==plain)" "$blob"
    contains "ls" "$(c content ls | grep -F "$blob")" "colour=blue"
    c content label "$blob" flavour= >/dev/null
    equal "filtered" "$(c content ls -q labels.flavour==plain)" ""
    c content label "$blob" colour= >/dev/null
    if c content label "$blob" "long=$(printf 'x%.0s' $(seq 4096))" >"$WORK/out" 2>&1; then
        fail "a label beyond the limit was taken"
    fi
    # and by clonefs for who asks it
    [ "$STANDIN" = 0 ] || return 0
    contains "labels" "$(d content label "$blob" flavour=plain colour=blue)" "flavour=plain"
    equal "filtered" "$(d content ls -q labels.flavour==plain)" "$blob"
    d content label "$blob" flavour= colour= >/dev/null
    equal "filtered" "$(d content ls -q labels.colour)" ""
}

case_content_ingest() {
    local blob file=$WORK/blob
    random_file "$file" $((5 * 1048576 + 4321))
    blob=$(digest_of "$file")
    ingest_file one "$file"
    c content get "$blob" | cmp - "$file"
    equal "line of ls" "$(c content ls | awk -v b="$blob" '$1 == b { print $2 }')" 5.247MB
    # Again: nothing to do with the digest announced, and all of it without.
    ingest_file two "$file"
    c content ingest three <"$file"
    NAMESPACE=second c content ingest three <"$file"
    equal "blob of the other namespace" "$(NAMESPACE=second blobs)" "$blob"
    equal "ingests" "$(refs c)$(NAMESPACE=second refs c)$(refs d)$(ingests_on_disk)" ""
    NAMESPACE=second c content rm "$blob" >/dev/null
    # A blob of no bytes
    ingest_file empty /dev/null
    contains "blobs" "$(blobs)" "$EMPTY"
    equal "its bytes" "$(c content get "$EMPTY" | wc -c)" 0
    # What turns out wrong is kept under its ref, and can be committed as what it is: nothing is sent again.
    printf 'x' >>"$file"
    c content rm "$EMPTY" >/dev/null
    gc
    if c content ingest --expected-digest "$EMPTY" wrong <"$file" >"$WORK/out" 2>&1; then
        fail "a wrong digest was taken"
    fi
    cat "$WORK/out"
    contains "error" "$(cat "$WORK/out")" "$EMPTY"
    equal "ingests" "$(refs c)" wrong
    if c content ingest --expected-size 100 wrong <"$file" >"$WORK/out" 2>&1; then fail "a wrong size was taken"; fi
    contains "error" "$(cat "$WORK/out")" "size"
    equal "offset" "$(offset wrong)" "5.247MB"
    truncate -s 0 "$WORK/rest"
    truncate -s "$(stat -c %s "$file")" "$WORK/rest"
    c content ingest --expected-digest "$(digest_of "$file")" wrong <"$WORK/rest"
    c content get "$(digest_of "$file")" | cmp - "$file"
    equal "ingests" "$(refs c)$(refs d)$(ingests_on_disk)" ""
    c content rm "$blob" "$(digest_of "$file")" >/dev/null
    gc
    same_lists "blobs" "$(blobs)" "$(archive_blobs "$WORK"/images/*.tar)"
    same_lists "blobs on disk" "$(blobs_on_disk)" "$(archive_blobs "$WORK"/images/*.tar)"
}

# One ref has one writer; the next waits for it. Other refs and a garbage collection do not.
case_content_ingest_busy_ref() {
    local first=$WORK/first second=$WORK/second-file waiting
    random_file "$first" 3M
    random_file "$second" 2M
    ingest_part busy "$first" 2
    c content ingest busy <"$second" >"$WORK/out" 2>&1 8>&- &
    waiting=$!
    gc
    ingest_file other "$second"
    c content rm "$(digest_of "$second")" >/dev/null
    gc
    sleep 1
    if pid_gone "$waiting"; then fail "two clients write to one ref: $(cat "$WORK/out")"; fi
    equal "offset" "$(offset busy)" "$(shown_size 2)"
    tail -c 1M "$first" >&8
    release
    wait "$waiting" || fail "the second client: $(cat "$WORK/out")"
    c content get "$(digest_of "$first")" | cmp - "$first"
    c content get "$(digest_of "$second")" | cmp - "$second"
    equal "ingests" "$(refs c)$(refs d)$(ingests_on_disk)" ""
    c content rm "$(digest_of "$first")" "$(digest_of "$second")" >/dev/null
    gc
}

case_content_edit_and_prune() {
    local blob
    printf 'colour: red\n' >"$WORK/text"
    ingest_file text "$WORK/text"
    # ctr reads the file that it opened before, so it must not be replaced
    printf 'text=$(sed s/red/green/ "$1") && echo "$text" >"$1"\n' >"$WORK/editor"
    blob=$(c content edit --editor "sh $WORK/editor" "$(digest_of "$WORK/text")")
    equal "edited" "$(c content get "$blob")" "colour: green"
    c content rm "$blob" "$(digest_of "$WORK/text")" >/dev/null
    gc
    # Without the references to them the layers of the chain are garbage, but for those that linux has too.
    c images label "$CHAIN_REF" kept=no >/dev/null
    contains "blobs" "$(blobs)" "$(image_blobs chain | tail -n 1)"
    c content prune references >/dev/null
    gc
    same_lists "blobs on disk" "$(blobs_on_disk)" "$(blobs)"
    same_lists "blobs in clonefs" "$(d content ls -q | sort)" "$(blobs)"
    [ "$(blobs | wc -l)" -lt "$(archive_blobs "$WORK"/images/*.tar | wc -l)" ] || fail "nothing was pruned"
    for image in darwin linux chain; do import $image; done
    same_lists "blobs in containerd" "$(blobs)" "$(archive_blobs "$WORK"/images/*.tar)"
}

# What is exported holds the same blobs as what was imported, and comes out the same after another import.
case_content_export_import() {
    local name ref platform
    for name in darwin linux chain; do
        ref=${name^^}_REF platform=${name^^}_PLATFORM
        rm -rf "$WORK/unpacked"
        mkdir -p "$WORK/unpacked/was" "$WORK/unpacked/is"
        c images export --platform "${!platform}" "$WORK/export-$name.tar" "${!ref}"
        tar -xf "$WORK/images/$name.tar" -C "$WORK/unpacked/was"
        tar -xf "$WORK/export-$name.tar" -C "$WORK/unpacked/is"
        diff -r "$WORK/unpacked/was/blobs" "$WORK/unpacked/is/blobs"
        forget_image "${!ref}"
    done
    nothing_left_soon
    for name in darwin linux chain; do
        ref=${name^^}_REF platform=${name^^}_PLATFORM
        c images import --platform "${!platform}" --snapshotter "$SNAPSHOTTER" "$WORK/export-$name.tar"
        c images export --platform "${!platform}" "$WORK/again.tar" "${!ref}"
        cmp "$WORK/export-$name.tar" "$WORK/again.tar"
    done
    rm "$WORK/again.tar"
    equal "output" "$(c run --rm --snapshotter "$SNAPSHOTTER" "$LINUX_REF" reimported)" "$HELLO"
}
case_content_push() {
    local name ref platform blob object
    for name in DARWIN LINUX CHAIN; do
        ref=${name}_REF platform=${name}_PLATFORM
        c images push --plain-http --platform "${!platform}" "$(pull_ref "${!ref}")" "${!ref}" | last_progress
    done
    for blob in $(archive_blobs "$WORK"/images/*.tar); do registry_has "$blob"; done
    object=$WORK/object
    random_file "$object" 3M
    ingest_file object "$object"
    c content push-object --plain-http "$(pull_ref "$LINUX_REF")" "$(digest_of "$object")" application/octet-stream
    registry_has "$(digest_of "$object")"
    c content rm "$(digest_of "$object")" >/dev/null
    gc
    # fetch-object prints what the reference names: the manifest of the image
    c content fetch-object --plain-http "$(pull_ref "$LINUX_REF")" >"$object"
    contains "blobs of the image" "$(image_blobs linux)" "$(digest_of "$object")"
}
# registry_has DIGEST: the registry keeps these bytes; manifests too
registry_has() {
    local hex=${1#*:} file
    file=$WORK/registry/data/docker/registry/v2/blobs/sha256/${hex:0:2}/$hex/data
    [ -f "$file" ] || fail "the registry has no $1"
    equal "digest in the registry" "$(digest_of "$file")" "$1"
}
registry_reads() { grep -c 'http.request.method=GET.*blobs/sha256' "$WORK/registry.log" || true; }

# Policy shared: what one namespace has, another gets without a byte being transferred or written.
case_content_namespaces_share() {
    local reads bytes before after
    reads=$(registry_reads)
    before=$(find "$ROOT/content" -type f -printf '%i %T@ %p\n' | sort)
    bytes=$(wrote)
    NAMESPACE=second c content fetch --plain-http --platform "$DARWIN_PLATFORM" "$(pull_ref "$DARWIN_REF")" | last_progress
    bytes=$(($(wrote) - bytes))
    # An import names no digests in advance: its bytes are sent, and dropped.
    NAMESPACE=second c images import --no-unpack "$WORK/images/linux.tar"
    gc
    after=$(find "$ROOT/content" -type f -printf '%i %T@ %p\n' | sort)
    same_lists "blobs of the second namespace" "$(NAMESPACE=second blobs)" \
        "$(archive_blobs "$WORK/images/darwin.tar" "$WORK/images/linux.tar")"
    same_lists "files" "$after" "$before"
    equal "blobs that the registry served" "$(registry_reads)" "$reads"
    [ "$STANDIN" = 1 ] || [ "$bytes" -lt $((256 << 10)) ] || fail "clonefsd wrote $(human "$bytes") for blobs it has"
    echo "note: clonefsd wrote $(human "$bytes") for $(human "$(stat -c %s "$WORK/images/darwin.tar")")"
    # Both namespaces work with it, and what the first removes the second keeps.
    export NAMESPACE=second
    c images pull --plain-http --snapshotter "$SNAPSHOTTER" "$(pull_ref "$LINUX_REF")" | last_progress
    equal "output" "$(c run --rm --snapshotter "$SNAPSHOTTER" "$(pull_ref "$LINUX_REF")" shared)" "$HELLO"
    NAMESPACE=default forget_image "$LINUX_REF"
    NAMESPACE=default forget_image "$CHAIN_REF"
    c images export --platform "$LINUX_PLATFORM" "$WORK/again.tar" "$(pull_ref "$LINUX_REF")"
    same_lists "blobs on disk" "$(blobs_on_disk)" "$(archive_blobs "$WORK/images/darwin.tar" "$WORK/images/linux.tar")"
    NAMESPACE=default import linux
    NAMESPACE=default import chain
}

# Policy isolated: the bytes have to be shown again, and are kept once.
case_content_namespaces_isolated() {
    local reads before after
    reconfigure clonefs isolated
    export NAMESPACE=third
    reads=$(registry_reads)
    before=$(find "$ROOT/content/blobs" -type f -printf '%i %T@ %p\n' | sort)
    c images pull --plain-http --platform "$DARWIN_PLATFORM" --snapshotter "$SNAPSHOTTER" "$(pull_ref "$DARWIN_REF")" |
        last_progress
    import linux
    [ "$(registry_reads)" -gt "$reads" ] || fail "nothing was transferred"
    after=$(find "$ROOT/content/blobs" -type f -printf '%i %T@ %p\n' | sort)
    same_lists "files" "$after" "$before"
    equal "ingests" "$(refs c)$(refs d)$(ingests_on_disk)" ""
    same_lists "blobs of the third namespace" "$(blobs)" \
        "$(archive_blobs "$WORK/images/darwin.tar" "$WORK/images/linux.tar")"
    equal "output" "$(c run --rm --snapshotter "$SNAPSHOTTER" "$LINUX_REF" isolated)" "$HELLO"
    [ ! -f "$WORK/darwin.scan" ] || same_tree "$DARWIN_TOP" "$WORK/darwin.scan"
    # A blob of another namespace cannot be read by knowing its name.
    blob=$(comm -23 <(image_blobs chain) <(image_blobs linux) | head -n 1)
    if c content get "$blob" >"$WORK/out" 2>&1; then fail "a blob of another namespace was read"; fi
    contains "error" "$(cat "$WORK/out")" "not found"
    # What cannot be shown is not had; the archive ends too early.
    if head -c 100 "$(blob_file "$blob")" | c content ingest --expected-digest "$blob" claim >"$WORK/out" 2>&1; then
        fail "a blob of another namespace was had for its name"
    fi
    reconfigure clonefs shared
}

case_content_collects_garbage() {
    local namespace
    NAMESPACE=third remove_images
    NAMESPACE=third end_leases
    equal "ingests in clonefs" "$(refs d)$(ingests_on_disk)" ""
    NAMESPACE=second remove_images
    same_lists "blobs on disk" "$(blobs_on_disk)" "$(archive_blobs "$WORK"/images/*.tar)"
    forget_image "$DARWIN_REF"
    wait_until 20 test ! -e "$(blob_file "$(comm -23 <(image_blobs darwin) <(image_blobs chain) | head -n 1)")"
    same_lists "blobs on disk" "$(blobs_on_disk)" "$(archive_blobs "$WORK"/images/{linux,chain}.tar)"
    remove_images
    for namespace in default second third; do
        NAMESPACE=$namespace nothing_left_soon
        equal "snapshots left in $namespace" "$(NAMESPACE=$namespace keys)" ""
    done
}

# An ingest lives as long as the lease of the client that began it.
case_content_collects_ingests() {
    local ref
    hold c images import --platform "$DARWIN_PLATFORM" --no-unpack -
    head -c 6M "$WORK/images/darwin.tar" >&8
    wait_until 20 ingest_grows
    ref=$(refs c)
    contains "ref in clonefs" "$(refs d)" "default/"
    gc
    equal "ref after a garbage collection" "$(refs c)" "$ref"
    pid_kill_tree "$held"
    exec 8>&-
    gc
    equal "ref after the client was killed" "$(refs c)" "$ref"
    end_leases
    nothing_left_soon
}
ingest_grows() { c content active | awk 'NR > 1 && $2 ~ /MB$/ { found = 1 } END { exit !found }'; }

# interrupted REF HOW...: an ingest is interrupted after 24 of 40 MiB, and resumed.
interrupted() {
    local ref=$1 file=$WORK/large
    shift
    random_file "$file" 40M
    ingest_part "$ref" "$file" 24
    "$@"
    # The client was left in the middle: it has to be told.
    head -c 1M /dev/zero >&8 2>/dev/null || true
    if release; then fail "the client did not notice"; fi
    answers_again
    equal "ingests in clonefs" "$(refs d | wc -l)" 1
    gc
    resume "$ref" "$file" 24
    rm "$file" "$WORK/rest"
}
how_clonefsd_stop() {
    clonefsd_stop || fail "SIGTERM took more than 5 s"
    clonefsd_start
}
how_clonefsd_kill() {
    clonefsd_kill
    clonefsd_start
}
how_containerd_kill() {
    containerd_kill
    containerd_start
}
how_both_kill() {
    containerd_kill
    clonefsd_kill
    clonefsd_start
    containerd_start
}
how_both_stop() {
    containerd_stop
    clonefsd_stop || fail "SIGTERM took more than 5 s"
    clonefsd_start
    containerd_start
}
case_content_ingest_clonefsd_stopped() { interrupted stopped how_clonefsd_stop; }
case_content_ingest_clonefsd_killed() { interrupted killed how_clonefsd_kill; }
case_content_ingest_containerd_killed() { interrupted containerd-killed how_containerd_kill; }
case_content_ingest_both_killed() { interrupted both-killed how_both_kill; }
case_content_ingest_both_stopped() { interrupted both-stopped how_both_stop; }

# clonefsd dies while an image comes in; the same import works afterwards, and nothing stays behind.
case_content_kill_during_import() {
    local round
    for round in 2 6; do
        hold c images import --platform "$DARWIN_PLATFORM" --snapshotter "$SNAPSHOTTER" -
        head -c "${round}M" "$WORK/images/darwin.tar" >&8
        wait_until 20 ingest_grows
        clonefsd_kill
        if release; then fail "the import did not fail"; fi
        restart_clonefsd
    done
    import darwin
    same_lists "blobs on disk" "$(blobs_on_disk)" "$(image_blobs darwin)"
    [ ! -f "$WORK/darwin.scan" ] || same_tree "$DARWIN_TOP" "$WORK/darwin.scan"
    forget_image "$DARWIN_REF"
    end_leases
    nothing_left_soon
}

# Without the daemon content fails soon and clearly, and is there again afterwards; containers go on.
case_content_clonefsd_down() {
    local start blob waiting
    import linux
    blob=$(image_blobs linux | head -n 1)
    c run --detach --snapshotter "$SNAPSHOTTER" "$LINUX_REF" goes-on /bin/sh -c 'while true; do sleep 0.1; done'
    wait_until 10 task_runs goes-on
    clonefsd_stop || fail "SIGTERM took more than 5 s"
    start=$SECONDS
    if c content get "$blob" >"$WORK/out" 2>&1; then fail "a blob was read without the daemon"; fi
    contains "error" "$(cat "$WORK/out")" "unavailable"
    [ $((SECONDS - start)) -lt 10 ] || fail "the error took $((SECONDS - start)) s"
    # containerd's client takes this for a busy ref, and waits.
    c content ingest down </etc/passwd >"$WORK/out" 2>&1 &
    waiting=$!
    sleep 1
    if pid_gone "$waiting"; then fail "an ingest did not wait for the daemon: $(cat "$WORK/out")"; fi
    equal "output" "$(c tasks exec --exec-id e1 goes-on /bin/cat /etc/motd)" "$HELLO"
    restart_clonefsd
    wait "$waiting" || fail "the ingest that waited: $(cat "$WORK/out")"
    c content get "$(digest_of /etc/passwd)" | cmp - /etc/passwd
    equal "digest" "sha256:$(c content get "$blob" | sha256sum | cut -d ' ' -f 1)" "$blob"
    c tasks kill --signal SIGKILL goes-on
    wait_until 10 task_stopped goes-on
    c tasks rm goes-on
    c containers rm goes-on
    gc
}

case_content_many_at_once() {
    local i pids=() pid collecting namespace
    mkdir -p "$WORK/many"
    for i in $(seq 16); do random_file "$WORK/many/$i" $((i * 524288 + i)); done
    for i in $(seq 16); do
        (
            set -e
            ingest_file "many-$i" "$WORK/many/$i"
            c content get "$(digest_of "$WORK/many/$i")" | cmp - "$WORK/many/$i"
            c content ls -q >/dev/null
        ) &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
    for i in $(seq 16); do c content rm "$(digest_of "$WORK/many/$i")" >/dev/null; done
    # Many namespaces take and drop the same blobs while garbage is collected all the time.
    pids=()
    while true; do gc; done >/dev/null 2>&1 &
    collecting=$!
    for namespace in second third n1 n2 n3 n4; do
        (
            set -e
            export NAMESPACE=$namespace
            for i in 1 2 3; do
                c images import --no-unpack "$WORK/images/chain.tar"
                c images export --platform "$CHAIN_PLATFORM" "$WORK/many/$namespace.tar" "$CHAIN_REF"
                c images rm "$CHAIN_REF"
            done
        ) >"$WORK/many/$namespace" 2>&1 &
        pids+=($!)
    done
    import darwin >"$WORK/many/import" 2>&1 &
    pids+=($!)
    for i in 1 2 3; do
        hello_slowly "many-run-$i" >"$WORK/many/run-$i" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || fail "one of them failed: $(tail -n 3 "$WORK"/many/[a-z]*[a-z0-9])"; done
    for i in 1 2 3; do equal "output" "$(cat "$WORK/many/run-$i")" "$HELLO"; done
    for namespace in second third n1 n2 n3 n4; do
        [ "$namespace" = second ] || cmp "$WORK/many/second.tar" "$WORK/many/$namespace.tar"
    done
    pid_kill_tree "$collecting"
    wait "$collecting" 2>/dev/null || true
    end_leases
    same_lists "blobs on disk" "$(blobs_on_disk)" "$(archive_blobs "$WORK"/images/{linux,darwin}.tar)"
    equal "ingests" "$(refs d)$(ingests_on_disk)" ""
    rm -r "$WORK/many"
}

case_content_removed_everything() {
    local start namespace
    for namespace in default second third; do
        NAMESPACE=$namespace remove_images
        NAMESPACE=$namespace end_leases
        NAMESPACE=$namespace nothing_left_soon
        equal "snapshots left in $namespace" "$(NAMESPACE=$namespace keys)" ""
    done
    wait_until 60 trash_empty || fail "trash is left: $(ls "$ROOT/trash")"
    start=$(cat "$WORK/used-at-content-start")
    wait_until 20 used_below $((start + (16 << 20))) ||
        fail "$(human "$(volume_used "$VOL")") in use, $(human "$start") at the start"
}

# A containerd that has kept its blobs itself: clonefs takes them over, and nothing has to be pulled again.
case_content_adopt() {
    local name ref platform own=$CONTAINERD_ROOT/io.containerd.content.v1.content before used sums
    fresh builtin shared
    for name in linux darwin; do import $name; done
    c images import --no-unpack "$WORK/images/chain.tar"
    c run --detach --snapshotter "$SNAPSHOTTER" "$LINUX_REF" before /bin/sh -c 'while true; do sleep 0.1; done'
    for name in darwin linux chain; do
        ref=${name^^}_REF platform=${name^^}_PLATFORM
        c images export --platform "${!platform}" "$WORK/export-$name.tar" "${!ref}"
    done
    random_file "$WORK/unfinished" 4M
    ingest_part unfinished "$WORK/unfinished" 2
    containerd_stop
    if release; then fail "the client did not notice"; fi
    before=$(archive_blobs "$WORK"/images/*.tar)
    same_lists "blobs of the built-in store" "$(cd "$own/blobs" && find . -type f | sed 's|^\./||; s|/|:|' | sort)" "$before"
    sums=$(cd "$own/blobs" && find . -type f -printf '%p %m %s %T@\n' | sort)

    if [ "$STANDIN" = 0 ]; then
        # A store has one daemon
        if "$CLONEFSD" --root "$ROOT" --adopt-content "$own" >"$WORK/out" 2>&1; then fail "adopted below a running daemon"; fi
        cat "$WORK/out"
    fi
    clonefsd_stop
    used=$(volume_used "$VOL")
    "$CLONEFSD" --root "$ROOT" --adopt-content "$own" >"$WORK/adopt.out"
    cat "$WORK/adopt.out"
    [ -s "$WORK/adopt.out" ] || fail "no word about the progress"
    used=$(($(volume_used "$VOL") - used))
    same_lists "blobs on disk" "$(blobs_on_disk)" "$before"
    [ "$used" -lt $((8 << 20)) ] || fail "adopting took $(human "$used")"
    # Again there is nothing left to do.
    "$CLONEFSD" --root "$ROOT" --adopt-content "$own"

    containerd_write_config clonefs shared
    clonefsd_start
    containerd_start
    gc
    same_lists "blobs in clonefs" "$(d content ls -q | sort)" "$before"
    same_lists "blobs in containerd" "$(blobs)" "$before"
    equal "images" "$(c images ls -q | wc -l)" 3
    task_runs before || fail "the container stopped"
    equal "output" "$(c run --rm --snapshotter "$SNAPSHOTTER" "$LINUX_REF" adopted)" "$HELLO"
    equal "output" "$(c run --rm --snapshotter "$SNAPSHOTTER" "$CHAIN_REF" unpacked-later /bin/cat /var/last)" 17
    for name in darwin linux chain; do
        ref=${name^^}_REF platform=${name^^}_PLATFORM
        c images export --platform "${!platform}" "$WORK/again.tar" "${!ref}"
        cmp "$WORK/export-$name.tar" "$WORK/again.tar"
    done
    rm "$WORK"/export-*.tar "$WORK/again.tar"
    # An unfinished ingest of the built-in store begins anew.
    c content ingest unfinished <"$WORK/unfinished"
    c content get "$(digest_of "$WORK/unfinished")" | cmp - "$WORK/unfinished"
    c content rm "$(digest_of "$WORK/unfinished")" >/dev/null
    c tasks kill --signal SIGKILL before
    wait_until 10 task_stopped before
    c tasks rm before
    c containers rm before
    remove_images
    end_leases
    nothing_left_soon
    # The built-in store is left as it was: there is a way back until it is removed.
    same_lists "the built-in store" "$(cd "$own/blobs" && find . -type f -printf '%p %m %s %T@\n' | sort)" "$sums"
    (cd "$own/blobs/sha256" && sha256sum -- * | awk '$1 != $2 { exit 1 }') || fail "the built-in store was changed"
    echo "note: $(wc -l <<<"$before") blobs adopted, the volume grew by $(human "$used")"
}

case_content_stops_clean() { case_stops_clean; }
