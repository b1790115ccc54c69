# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# dockerd with containerd's image store on clonefs, docker and its buildx.
# shellcheck disable=SC2016,SC2034,SC2153,SC2154  # the names in capitals come from run and from the images' .env files

DOCKER_CASES=(
    docker_start
    docker_load
    docker_run
    docker_diff
    docker_commit
    docker_push_and_pull
    docker_save_and_load
    docker_build
    docker_build_cached
    docker_restarts
    docker_prune
)

case_docker_start() {
    fresh clonefs isolated "$DIFFER"
    docker_start
    equal "storage driver" "$(docker_client info --format '{{.Driver}}')" "$SNAPSHOTTER"
    contains "driver status" "$(docker_client info --format '{{.DriverStatus}}')" io.containerd.snapshotter.v1
    echo "note: $(docker_client version --format '{{.Server.Version}}')"
}

case_docker_load() {
    CLI=docker_client
    calls_mark
    cli_load
    unpacked_by_us linux
    NAMESPACE=moby same_image linux
}

case_docker_run() {
    CLI=docker_client
    cli_runs
}

case_docker_diff() {
    docker_client run --network none --name changed "$LINUX_REF" /bin/sh -c 'echo x >/root/new; rm /etc/group; echo y >>/etc/passwd'
    same_lists "changes" "$(docker_client diff changed | sort)" $'A /root/new\nC /etc\nC /etc/passwd\nC /root\nD /etc/group'
    docker_client export changed | tar -tf - >"$WORK/names"
    grep -qx root/new "$WORK/names"
    docker_client cp changed:/root/new - | tar -xO | grep -qx x
    docker_client rm changed >/dev/null
}

case_docker_commit() {
    CLI=docker_client
    cli_commit
}
case_docker_push_and_pull() {
    CLI=docker_client
    cli_push_and_pull docker
}
case_docker_save_and_load() {
    CLI=docker_client
    cli_save_and_load docker
}

docker_build() { docker_client build --network none --progress plain -t "$1" "$WORK/context"; }

case_docker_build() {
    CLI=docker_client
    build_context "$WORK/context" "$LINUX_REF"
    calls_mark
    docker_build clonefs.test/built:1
    ! ours || [ "$(calls clonefs Diff/Diff 0)" -ge 8 ] || fail "only $(calls clonefs Diff/Diff 0) layers were made by clonefs"
    ! ours || equal "calls of Diff that failed" "$(($(calls clonefs Diff/Diff) - $(calls clonefs Diff/Diff 0)))" 0
    built_right "$(cli_run clonefs.test/built:1 /bin/sh -c "$BUILT_LOOK")" "$WORK/context"
    equal "output" "$(cli_run clonefs.test/built:1)" $'changing\nfile'
    echo "note: $(calls clonefs Diff/Diff 0) layers made, $(calls clonefs Diff/Apply 0) applied"
}

# The same again comes from the cache; after a change only what depends on it is built.
case_docker_build_cached() {
    CLI=docker_client
    calls_mark
    docker_build clonefs.test/built:2 >"$WORK/out" 2>&1
    equal "steps from the cache" "$(grep -c ' CACHED$' "$WORK/out")" 11
    equal "calls of Diff" "$(calls clonefs Diff/Diff)" 0
    equal "layers" "$(docker_layers clonefs.test/built:2)" "$(docker_layers clonefs.test/built:1)"
    echo changed >"$WORK/context/changing"
    docker_build clonefs.test/built:3 >"$WORK/out" 2>&1
    equal "steps from the cache" "$(grep -c ' CACHED$' "$WORK/out")" 9
    equal "output" "$(cli_run clonefs.test/built:3)" $'changed\nfile'
    equal "output" "$(cli_run clonefs.test/built:2)" $'changing\nfile'
}
docker_layers() { docker_client image inspect --format '{{.RootFS.Layers}}' "$1"; }

# dockerd, containerd and clonefsd are restarted while a container runs and another one is stopped.
case_docker_restarts() {
    CLI=docker_client
    docker_client create --network none --name stopped "$LINUX_REF" /bin/sh -c 'echo again >>/root/count; wc -l </root/count' >/dev/null
    equal "output" "$(docker_client start -a stopped)" 1
    docker_stop || fail "dockerd does not stop"
    containerd_stop
    clonefsd_stop || fail "SIGTERM took more than 5 s"
    clonefsd_start --config "$WORK/clonefsd.toml"
    containerd_start
    docker_start
    equal "output" "$(docker_client start -a stopped)" 2
    docker_client rm stopped >/dev/null
    equal "output" "$(cli_run clonefs.test/built:3)" $'changed\nfile'
}

case_docker_prune() {
    local out
    docker_client container prune --force >/dev/null
    docker_client image prune --all --force >/dev/null
    docker_client builder prune --all --force >/dev/null
    equal "images" "$(docker_client images -q)" ""
    equal "containers" "$(docker_client ps -aq)" ""
    docker_stop || fail "dockerd does not stop"
    export NAMESPACE=moby
    gc
    equal "snapshots" "$(keys)" ""
    # A blob that clonefs made without the caller's lease, which containerd does not tell it, is kept for an hour.
    out=$(c leases ls | awk 'NR > 1')
    [ "$(grep -c 'containerd.io/gc.expire=' <<<"$out")" = "$(grep -c . <<<"$out")" ] || fail "leases that never end: $out"
    echo "note: $(grep -c . <<<"$out" || true) leases, which end by themselves"
    NAMESPACE=default empty_namespaces
    nothing_left_soon
}
