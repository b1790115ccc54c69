# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Start and stop clonefsd. Needs common.sh. CLONEFSD is the program.
# The pid is in a file, so that a subshell can restart the daemon and the cleanup still finds it.

CLONEFSD_ROOT=
CLONEFSD_SOCKET=
CLONEFSD_LOG=

# clonefsd_configure ROOT SOCKET LOG
clonefsd_configure() {
    CLONEFSD_ROOT=$1
    CLONEFSD_SOCKET=$2
    CLONEFSD_LOG=$3
    undo_push clonefsd_cleanup "$3.pid"
}
clonefsd_pid() { cat "$CLONEFSD_LOG.pid"; }

# clonefsd_start [OPTION...]: returns when it listens.
clonefsd_start() {
    local from=0
    [ ! -f "$CLONEFSD_LOG" ] || from=$(wc -l <"$CLONEFSD_LOG")
    "$CLONEFSD" --root "$CLONEFSD_ROOT" --address "$CLONEFSD_SOCKET" "$@" </dev/null >>"$CLONEFSD_LOG" 2>&1 &
    echo $! >"$CLONEFSD_LOG.pid"
    wait_until 30 clonefsd_listens "$from" || true
    clonefsd_said_ready "$from" || {
        warn "clonefsd does not listen; its log ends:"
        tail -n 20 "$CLONEFSD_LOG" >&2
        return 1
    }
}
clonefsd_said_ready() {
    tail -n "+$(($1 + 1))" "$CLONEFSD_LOG" | grep -F "listening on $CLONEFSD_SOCKET" >/dev/null
}
clonefsd_listens() { clonefsd_said_ready "$1" || pid_gone "$(clonefsd_pid)"; }

# clonefsd_stop: SIGTERM; 1 if it took more than 5 s, or was gone already.
clonefsd_stop() {
    if pid_gone "$(clonefsd_pid)"; then
        warn "clonefsd ended by itself; its log ends:"
        tail -n 5 "$CLONEFSD_LOG" >&2
        return 1
    fi
    pid_stop "$(clonefsd_pid)" 5
}
clonefsd_kill() { pid_kill "$(clonefsd_pid)"; }
clonefsd_cleanup() { [ ! -f "$1" ] || pid_stop "$(cat "$1")" 10 || true; }
