# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Debian's docker-registry on loopback. Needs common.sh.

# registry_start DIR LOG: sets REGISTRY to host:port; the kernel chooses the port.
REGISTRY=
registry_start() {
    local dir=$1 log=$2
    mkdir -p "$dir/data"
    cat >"$dir/config.yml" <<CONFIG
version: 0.1
storage:
  filesystem:
    rootdirectory: $dir/data
http:
  addr: 127.0.0.1:0
CONFIG
    OTEL_TRACES_EXPORTER=none docker-registry serve "$dir/config.yml" </dev/null >>"$log" 2>&1 &
    echo $! >"$log.pid"
    undo_push registry_cleanup "$log.pid"
    wait_until 20 registry_said_port "$log" || {
        warn "docker-registry does not listen; its log ends:"
        tail -n 5 "$log" >&2
        return 1
    }
    REGISTRY=$(grep -o 'listening on 127.0.0.1:[0-9]*' "$log" | grep -o '127.*')
    export REGISTRY
}
registry_said_port() { grep -sE 'listening on 127.0.0.1:[1-9]' "$1" >/dev/null; }
registry_cleanup() { pid_stop "$(cat "$1")" 5 || true; }
