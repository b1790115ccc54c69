# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# nerdctl on the private containerd; the cases are docker's.
# shellcheck disable=SC2016,SC2034,SC2153,SC2154  # the names in capitals come from run and from the images' .env files

NERDCTL_CASES=(
    nerdctl_start
    nerdctl_pull
    nerdctl_load
    nerdctl_run
    nerdctl_commit
    nerdctl_push_and_pull
    nerdctl_save_and_load
    nerdctl_build
    nerdctl_prune
)

nerdctl_client() {
    BUILDKIT_HOST=unix://$WORK/bk/b.sock NERDCTL_TOML=$WORK/nd/nerdctl.toml PATH=$CLIENTS/buildkit:$PATH \
        "$CLIENTS/nerdctl/nerdctl" --address "$CONTAINERD_DIR/c.sock" --namespace nerdctl --snapshotter "$SNAPSHOTTER" \
        --data-root "$WORK/nd/data" --cgroup-manager cgroupfs --insecure-registry "$@"
}

case_nerdctl_start() {
    fresh clonefs isolated "$DIFFER"
    mkdir -p "$WORK/nd"
    : >"$WORK/nd/nerdctl.toml"
    equal "snapshotter" "$(nerdctl_client info --format '{{.Driver}}')" "$SNAPSHOTTER"
    echo "note: $NERDCTL_VERSION"
}
case_nerdctl_pull() {
    calls_mark
    nerdctl_client pull --quiet --unpack=true "$(pull_ref "$LINUX_REF")"
    unpacked_by_us linux
    NAMESPACE=nerdctl same_image linux
    CLI=nerdctl_client
    equal "output" "$(cli_run "$(pull_ref "$LINUX_REF")")" "$HELLO"
    nerdctl_client rmi "$(pull_ref "$LINUX_REF")" >/dev/null
}
case_nerdctl_load() {
    CLI=nerdctl_client
    cli_load
}
case_nerdctl_run() {
    CLI=nerdctl_client
    cli_runs
}
case_nerdctl_commit() {
    CLI=nerdctl_client
    cli_commit
}
case_nerdctl_push_and_pull() {
    CLI=nerdctl_client
    cli_push_and_pull nerdctl
}
case_nerdctl_save_and_load() {
    CLI=nerdctl_client
    cli_save_and_load nerdctl
}
case_nerdctl_build() {
    [ -x "$CLIENTS/buildkit/buildkitd" ] || skip "there is no buildkitd"
    CLI=nerdctl_client
    buildkit_start
    build_context "$WORK/context" "$(pull_ref "$LINUX_REF")"
    nerdctl_client build --progress plain -t clonefs.test/built:1 "$WORK/context"
    built_right "$(cli_run clonefs.test/built:1 /bin/sh -c "$BUILT_LOOK")" "$WORK/context"
    nerdctl_client build --progress plain -t clonefs.test/built:2 "$WORK/context" >"$WORK/out" 2>&1
    equal "steps from the cache" "$(grep -c ' CACHED$' "$WORK/out")" 11
    buildctl prune --all >/dev/null
    buildkit_cleanup
}
case_nerdctl_prune() {
    nerdctl_client image prune --all --force >/dev/null
    equal "images" "$(nerdctl_client images -q)" ""
    empty_namespaces
    nothing_left_soon
}
