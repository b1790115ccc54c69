# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A private stock containerd: own configuration, root, state and socket, no systemd. Needs common.sh.
# The pid is in a file, so that a subshell can restart containerd and the cleanup still finds it.

CONTAINERD_DIR=
CONTAINERD_ROOT=
CONTAINERD_LOG=
CONTAINERD_PROXY=
SNAPSHOTTER=clonefs
# The folder of another containerd than the machine's, and the version of its configuration file.
CONTAINERD_BIN=
CONTAINERD_CONFIG_VERSION=2
# A folder of hosts.toml files for the transfer service, and the certificate that containerd believes.
CONTAINERD_HOSTS=
CONTAINERD_CERTIFICATE=

# containerd_program NAME: its path
containerd_program() { printf '%s' "${CONTAINERD_BIN:+$CONTAINERD_BIN/}$1"; }

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

# containerd_write_config builtin|clonefs isolated|shared [DIFFER...]: where the blobs are, whether namespaces share
# them, and the differs in their order; without DIFFER nothing is said about them, which containerd 1.6 needs.
# A differ that is not named is switched off, so that nothing else can have unpacked a layer.
# Isolated means that a pull into a second namespace really transfers. Off is what needs a network (CRI), listens
# outside of DIR (NRI) or is not there (other snapshotters). Garbage is collected soon after every removal.
containerd_write_config() {
    local content=$1 sharing=$2 off='' config=$CONTAINERD_DIR/config.toml
    shift 2
    [ "$content" = builtin ] || off+='"io.containerd.content.v1.content",'
    case " $* " in *" walking "* | "  ") ;; *) off+='"io.containerd.differ.v1.walking",' ;; esac
    mkdir -p "$CONTAINERD_DIR/state" "$CONTAINERD_ROOT"
    cat >"$config" <<CONFIG
version = $CONTAINERD_CONFIG_VERSION
root = "$CONTAINERD_ROOT"
state = "$CONTAINERD_DIR/state"
disabled_plugins = [$off "io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt",
  "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.podsandbox.controller.v1.podsandbox",
  "io.containerd.nri.v1.nri", "io.containerd.differ.v1.erofs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "$CONTAINERD_DIR/c.sock"
[ttrpc]
  address = "$CONTAINERD_DIR/t.sock"
[plugins."io.containerd.gc.v1.scheduler"]
  deletion_threshold = 1
  schedule_delay = "0s"
  startup_delay = "100ms"
[plugins."io.containerd.metadata.v1.bolt"]
  content_sharing_policy = "$sharing"
CONFIG
    containerd_proxy "$SNAPSHOTTER" snapshot >>"$config"
    [ "$content" = builtin ] || containerd_proxy "$SNAPSHOTTER-content" content >>"$config"
    [ $# -eq 0 ] || containerd_differs "$@" >>"$config"
}
containerd_proxy() {
    printf '[proxy_plugins.%s]\n  type = "%s"\n  address = "%s"\n' "$1" "$2" "$CONTAINERD_PROXY"
}
# containerd_differs DIFFER...: the order for the diff service; the transfer service takes the first one alone.
containerd_differs() {
    local list platform
    printf -v list '"%s", ' "$@"
    case " $* " in *" $SNAPSHOTTER-diff "*) containerd_proxy "$SNAPSHOTTER-diff" diff ;; esac
    printf '[plugins."io.containerd.service.v1.diff-service"]\n  default = [%s]\n' "${list%, }"
    printf '[plugins."io.containerd.transfer.v1.local"]\n  config_path = "%s"\n' "$CONTAINERD_HOSTS"
    for platform in linux/amd64 darwin/arm64; do
        printf '[[plugins."io.containerd.transfer.v1.local".unpack_config]]\n'
        printf '  platform = "%s"\n  snapshotter = "%s"\n  differ = "%s"\n' "$platform" "$SNAPSHOTTER" "$1"
    done
}
containerd_pid() { cat "$CONTAINERD_LOG.pid"; }

containerd_start() {
    SSL_CERT_FILE=$CONTAINERD_CERTIFICATE PATH=${CONTAINERD_BIN:+$CONTAINERD_BIN:}$PATH \
        "$(containerd_program containerd)" --config "$CONTAINERD_DIR/config.toml" --log-level info </dev/null >>"$CONTAINERD_LOG" 2>&1 &
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
c() { "$(containerd_program ctr)" --address "$CONTAINERD_DIR/c.sock" --namespace "${NAMESPACE:-default}" "$@"; }
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
