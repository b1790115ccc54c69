# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Debian's docker-registry on loopback. Needs common.sh.

# registry_start DIR LOG [tls]: sets REGISTRY to host:port; the kernel chooses the port. With tls it has a certificate
# that nobody knows; DIR/data may belong to another one that runs.
REGISTRY=
registry_start() {
    local dir=$1 log=$2 config=$1/config${3:-}.yml
    mkdir -p "$dir/data"
    cat >"$config" <<CONFIG
version: 0.1
storage:
  filesystem:
    rootdirectory: $dir/data
http:
  addr: 127.0.0.1:0
CONFIG
    if [ $# -gt 2 ]; then
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 \
            -addext subjectAltName=IP:127.0.0.1 -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null
        printf '  tls:\n    certificate: %s\n    key: %s\n' "$dir/cert.pem" "$dir/key.pem" >>"$config"
    fi
    OTEL_TRACES_EXPORTER=none docker-registry serve "$config" </dev/null >>"$log" 2>&1 &
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
# registry_hosts DIR: what tells a client in DIR's place that the registry speaks plain HTTP.
registry_hosts() {
    mkdir -p "$1/$REGISTRY"
    printf 'server = "http://%s"\n' "$REGISTRY" >"$1/$REGISTRY/hosts.toml"
}
registry_said_port() { grep -sE 'listening on 127.0.0.1:[1-9]' "$1" >/dev/null; }
registry_cleanup() { pid_stop "$(cat "$1")" 5 || true; }
