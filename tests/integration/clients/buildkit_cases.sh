# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A buildkitd of its own, with its containerd worker on clonefs, and buildctl.
# shellcheck disable=SC2016,SC2034,SC2153,SC2154  # the names in capitals come from run and from the images' .env files

BUILDKIT_CASES=(
    buildkit_start
    buildkit_build
    buildkit_cached
    buildkit_zstd
    buildkit_prune
)

buildkit_cleanup() {
    [ ! -f "$WORK/buildkitd.log.pid" ] || pid_stop "$(cat "$WORK/buildkitd.log.pid")" 20 || true
    containerd_end_shims "$WORK/bk"
}
buildkit_answers() { buildctl debug workers >/dev/null 2>&1; }
buildkit_settled() { buildkit_answers || pid_gone "$(cat "$WORK/buildkitd.log.pid")"; }
buildctl() { "$CLIENTS/buildkit/buildctl" --addr "unix://$WORK/bk/b.sock" "$@"; }

buildkit_start() {
    mkdir -p "$WORK/bk"
    cat >"$WORK/bk/buildkitd.toml" <<CONFIG
root = "$WORK/bk/root"
[grpc]
  address = ["unix://$WORK/bk/b.sock"]
[worker.oci]
  enabled = false
[worker.containerd]
  enabled = true
  address = "$CONTAINERD_DIR/c.sock"
  namespace = "buildkit"
  snapshotter = "$SNAPSHOTTER"
  networkMode = "host"
  gc = false
[registry."$REGISTRY"]
  http = true
CONFIG
    "$CLIENTS/buildkit/buildkitd" --config "$WORK/bk/buildkitd.toml" </dev/null >>"$WORK/buildkitd.log" 2>&1 &
    echo $! >"$WORK/buildkitd.log.pid"
    wait_until 30 buildkit_settled || true
    buildkit_answers || fail "buildkitd does not answer: $(tail -n 5 "$WORK/buildkitd.log")"
}

case_buildkit_start() {
    fresh clonefs isolated "$DIFFER"
    buildkit_start
    equal "snapshotter of the worker" "$(buildctl debug workers --verbose | awk '/worker.snapshotter:/ { print $2 }')" "$SNAPSHOTTER"
    echo "note: $BUILDKIT_VERSION"
}

# bk_build OUTPUT: what buildctl says goes to WORK/out
bk_build() {
    buildctl build --progress plain --frontend dockerfile.v0 --local "context=$WORK/context" --local "dockerfile=$WORK/context" \
        --output "$1" >"$WORK/out" 2>&1 || fail "the build: $(tail -n 20 "$WORK/out")"
}
bk_built() {
    equal "output" "$(ctr_run "$1" "built-$RANDOM")" "$2"
    built_right "$(ctr_run "$1" "built-$RANDOM" /bin/sh -c "$BUILT_LOOK")" "$WORK/context"
}

case_buildkit_build() {
    build_context "$WORK/context" "$(pull_ref "$LINUX_REF")"
    calls_mark
    bk_build "type=image,name=$REGISTRY/built:1,push=true"
    ! ours || [ "$(calls clonefs Diff/Diff 0)" -ge 9 ] || fail "only $(calls clonefs Diff/Diff 0) layers were made by clonefs"
    ! ours || equal "calls of Diff that failed" "$(($(calls clonefs Diff/Diff) - $(calls clonefs Diff/Diff 0)))" 0
    ! ours || equal "layers of the base applied" "$(calls clonefs Diff/Apply 0)" 2
    NAMESPACE=built c images pull --local --plain-http --snapshotter "$SNAPSHOTTER" "$REGISTRY/built:1" | last_progress
    NAMESPACE=built bk_built "$REGISTRY/built:1" $'changing\nfile'
}

case_buildkit_cached() {
    calls_mark
    bk_build "type=image,name=$REGISTRY/built:2,push=true"
    equal "steps from the cache" "$(grep -c ' CACHED$' "$WORK/out")" 11
    equal "calls of Diff" "$(calls clonefs Diff/Diff)" 0
    echo changed >"$WORK/context/changing"
    bk_build "type=image,name=$REGISTRY/built:2,push=true"
    equal "steps from the cache" "$(grep -c ' CACHED$' "$WORK/out")" 9
    NAMESPACE=built c images pull --local --plain-http --snapshotter "$SNAPSHOTTER" "$REGISTRY/built:2" | last_progress
    equal "output" "$(NAMESPACE=built ctr_run "$REGISTRY/built:2" "built-$RANDOM")" $'changed\nfile'
    echo changing >"$WORK/context/changing"
}

# Layers that BuildKit itself compresses, by zstd, into an archive.
case_buildkit_zstd() {
    bk_build "type=oci,dest=$WORK/built.tar,name=clonefs.test/built:3,compression=zstd,force-compression=true"
    calls_mark
    export NAMESPACE=zstd
    c images import --local --snapshotter "$SNAPSHOTTER" "$WORK/built.tar"
    ! ours || [ "$(calls clonefs Diff/Apply 0)" -ge 11 ] || fail "only $(calls clonefs Diff/Apply 0) layers were applied by clonefs"
    [ "$(grep -ao 'tar+zstd' "$WORK/built.tar" | wc -l)" -ge 11 ] || fail "the layers are not compressed by zstd"
    bk_built clonefs.test/built:3 $'changing\nfile'
}

case_buildkit_prune() {
    buildctl prune --all >/dev/null
    buildkit_cleanup
    empty_namespaces
    nothing_left_soon
}
