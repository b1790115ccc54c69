# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A private dockerd with containerd's image store, on the private containerd; no networks, no systemd. Needs
# common.sh and containerd.sh. The pid is in a file, as in containerd.sh.

DOCKER_DIR=
DOCKER_BIN=
DOCKER_LOG=

# docker_configure DIR BIN LOG: DIR gets configuration, data and socket; the programs are below BIN, as Debian's
# packages have them. Images are in containerd's namespace moby, their snapshots in SNAPSHOTTER.
docker_configure() {
    DOCKER_DIR=$1
    DOCKER_BIN=$2
    DOCKER_LOG=$3
    mkdir -p "$DOCKER_DIR/client/cli-plugins"
    ln -sf "$DOCKER_BIN/usr/libexec/docker/cli-plugins/docker-buildx" "$DOCKER_DIR/client/cli-plugins/docker-buildx"
    cat >"$DOCKER_DIR/daemon.json" <<CONFIG
{
  "features": {"containerd-snapshotter": true},
  "storage-driver": "$SNAPSHOTTER",
  "containerd": "$CONTAINERD_DIR/c.sock",
  "data-root": "$DOCKER_DIR/data",
  "exec-root": "$DOCKER_DIR/exec",
  "pidfile": "$DOCKER_DIR/pid",
  "hosts": ["unix://$DOCKER_DIR/d.sock"],
  "exec-opts": ["native.cgroupdriver=cgroupfs"],
  "bridge": "none",
  "iptables": false,
  "ip6tables": false,
  "ip-forward": false
}
CONFIG
    undo_push docker_cleanup "$DOCKER_LOG.pid" "$DOCKER_DIR"
}
docker_start() {
    HOME=$DOCKER_DIR PATH=$DOCKER_BIN/usr/bin:$DOCKER_BIN/usr/sbin:${CONTAINERD_BIN:+$CONTAINERD_BIN:}$PATH \
        dockerd --config-file "$DOCKER_DIR/daemon.json" </dev/null >>"$DOCKER_LOG" 2>&1 &
    echo $! >"$DOCKER_LOG.pid"
    wait_until 60 docker_settled || true
    docker_answers || {
        warn "dockerd does not answer; its log ends:"
        tail -n 20 "$DOCKER_LOG" >&2
        return 1
    }
}
docker_pid() { cat "$DOCKER_LOG.pid"; }
docker_answers() { [ -S "$DOCKER_DIR/d.sock" ] && docker_client version >/dev/null 2>&1; }
docker_settled() { docker_answers || pid_gone "$(docker_pid)"; }
docker_stop() { pid_stop "$(docker_pid)" 30; }
docker_cleanup() {
    [ ! -f "$1" ] || pid_stop "$(cat "$1")" 20 || true
    containerd_end_shims "$2"
}

# docker_client ARGS...: the docker command on the private dockerd
docker_client() {
    DOCKER_CONFIG=$DOCKER_DIR/client DOCKER_HOST=unix://$DOCKER_DIR/d.sock "$DOCKER_BIN/usr/bin/docker" "$@"
}
