# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A private stock containerd: own configuration, root, state and socket, no systemd. Needs common.sh.
# The pid is in a file, so that a subshell can restart containerd and the cleanup still finds it.

CONTAINERD_DIR=
CONTAINERD_ROOT=
CONTAINERD_LOG=
CONTAINERD_PROXY=
SNAPSHOTTER=clonefs

# containerd_configure DIR ROOT SOCKET LOG: DIR gets configuration, state and socket; ROOT is containerd's root;
# SOCKET is where clonefsd listens. Blobs are in containerd's own store, or in clonefs with CONTENT=clonefs.
containerd_configure() {
    CONTAINERD_DIR=$1
    CONTAINERD_ROOT=$2
    CONTAINERD_PROXY=$3
    CONTAINERD_LOG=$4
    containerd_write_config "${CONTENT:-builtin}" isolated
    undo_push containerd_cleanup "$CONTAINERD_LOG.pid" "$CONTAINERD_DIR"
}

# containerd_write_config builtin|clonefs isolated|shared: where the blobs are, and whether namespaces share them.
# Isolated means that a pull into a second namespace really transfers. Off is what needs a network (CRI) or is not
# there (other snapshotters). Garbage is collected soon after every removal.
containerd_write_config() {
    local no_content=''
    [ "$1" = builtin ] || no_content='"io.containerd.content.v1.content",'
    mkdir -p "$CONTAINERD_DIR/state" "$CONTAINERD_ROOT"
    cat >"$CONTAINERD_DIR/config.toml" <<CONFIG
version = 2
root = "$CONTAINERD_ROOT"
state = "$CONTAINERD_DIR/state"
disabled_plugins = [$no_content "io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "$CONTAINERD_DIR/c.sock"
[ttrpc]
  address = "$CONTAINERD_DIR/t.sock"
[proxy_plugins.$SNAPSHOTTER]
  type = "snapshot"
  address = "$CONTAINERD_PROXY"
CONFIG
    [ "$1" = builtin ] || cat >>"$CONTAINERD_DIR/config.toml" <<CONFIG
[proxy_plugins.$SNAPSHOTTER-content]
  type = "content"
  address = "$CONTAINERD_PROXY"
CONFIG
    cat >>"$CONTAINERD_DIR/config.toml" <<CONFIG
[plugins."io.containerd.gc.v1.scheduler"]
  deletion_threshold = 1
  schedule_delay = "0s"
  startup_delay = "100ms"
[plugins."io.containerd.metadata.v1.bolt"]
  content_sharing_policy = "$2"
CONFIG
}
containerd_pid() { cat "$CONTAINERD_LOG.pid"; }

containerd_start() {
    containerd --config "$CONTAINERD_DIR/config.toml" --log-level info </dev/null >>"$CONTAINERD_LOG" 2>&1 &
    echo $! >"$CONTAINERD_LOG.pid"
    wait_until 30 containerd_settled || true
    containerd_answers || {
        warn "containerd does not answer; its log ends:"
        tail -n 20 "$CONTAINERD_LOG" >&2
        return 1
    }
}
containerd_answers() { [ -S "$CONTAINERD_DIR/c.sock" ] && c version >/dev/null 2>&1; }
containerd_settled() { containerd_answers || pid_gone "$(containerd_pid)"; }
containerd_stop() { pid_stop "$(containerd_pid)" 20; }
containerd_kill() { pid_kill "$(containerd_pid)"; }

# containerd_end_shims DIR: shims outlive containerd on purpose. Ours name DIR on their command line; the
# containers are their children.
containerd_end_shims() {
    local pid child
    for pid in $(pids_below "$1"); do
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = containerd-shim ] || continue
        # shellcheck disable=SC2013  # one line of words
        for child in $(cat "/proc/$pid/task"/*/children 2>/dev/null); do
            pid_kill "$child"
        done
        pid_kill "$pid"
    done
    unmount_below "$1"
}
containerd_cleanup() {
    [ ! -f "$1" ] || pid_stop "$(cat "$1")" 10 || true
    containerd_end_shims "$2"
}

# c ARGS...: ctr on the private containerd, in NAMESPACE (default: "default").
c() { ctr --address "$CONTAINERD_DIR/c.sock" --namespace "${NAMESPACE:-default}" "$@"; }
# s ARGS...: ctr snapshots on our snapshotter, or on the one in ON.
s() { c snapshots --snapshotter "${ON:-$SNAPSHOTTER}" "$@"; }

# gc: one garbage collection, waited for; deleting a lease with --sync is how ctr offers it.
gc() {
    local lease="gc-$BASHPID-$RANDOM"
    c leases create --id "$lease" >/dev/null
    c leases delete --sync "$lease" >/dev/null
}

# keep KEY: protects a snapshot from garbage collection, which ctr snapshots view does not do.
keep() { s label "$1" "containerd.io/gc.root=2020-01-01T00:00:00Z" >/dev/null; }

# keys [KIND]: the names of all snapshots (Active, View, Committed).
keys() { s ls | awk -v kind="${1:-}" 'NR > 1 && (kind == "" || $NF == kind) { print $1 }'; }

# source_of KEY: the directory that the API names as mount source.
source_of() { s mounts /target "$1" | awk 'NR == 1 { print $4 }'; }

# mount_snapshot KEY DIR: does what the API says. ctr prints one line: mount -t TYPE SOURCE DIR -o OPTIONS;
# "ro" on a bind mount needs the second step that containerd's own client does.
mount_snapshot() {
    local type source options
    read -r _ _ type source _ _ options < <(s mounts "$2" "$1")
    mkdir -p "$2"
    if [ "$type" = bind ]; then
        mount --rbind "$source" "$2"
        case ",$options," in *,ro,*) mount -o remount,bind,ro "$2" ;; esac
    else
        mount -t "$type" -o "$options" "$source" "$2"
    fi
}

task_runs() { c tasks ls | awk -v id="$1" '$1 == id && $3 == "RUNNING" { found = 1 } END { exit !found }'; }
