# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Shared by the scripts: messages, a stack of undo commands, waiting, processes, a private work directory.
# Source it, then call work_begin. Everything that is started is undone by work_end, in reverse order,
# also after Ctrl-C.

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
die() {
    warn "error: $*"
    exit 1
}

# Undo stack. An undo command is a function name and its arguments; it must not fail on repetition.
UNDO=()
undo_push() {
    local quoted
    printf -v quoted '%q ' "$@"
    UNDO+=("$quoted")
}
undo_all() {
    local i
    for ((i = ${#UNDO[@]} - 1; i >= 0; i--)); do
        eval "${UNDO[i]}" || warn "warning: cleanup failed: ${UNDO[i]}"
    done
    UNDO=()
}

# work_begin NAME [LOGS]: makes WORK, a private directory; all that we start lives below it or names it on its
# command line, so that leftovers can be found (leftovers below). When the script fails, the logs in WORK are
# copied to LOGS.
WORK=
LOGS=
work_begin() {
    local base=${TMPDIR:-/tmp}
    LOGS=${2:-}
    # Socket paths end at 107 bytes; containerd appends to ours.
    [ "${#base}" -le 60 ] || base=/tmp
    WORK=$(mktemp -d "$base/$1.XXXXXX")
    trap 'work_end $?' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
}
work_end() {
    local status=$1
    trap - EXIT
    trap '' INT TERM HUP
    set +e
    undo_all
    if [ "$status" -ne 0 ] && [ -n "$LOGS" ] && compgen -G "$WORK/*.log" >/dev/null; then
        mkdir -p "$LOGS" && cp "$WORK"/*.log "$LOGS/" && warn "logs are in $LOGS"
    fi
    if [ -n "$WORK" ] && [ -d "$WORK" ]; then
        local left
        left=$(leftovers "$WORK")
        if [ -n "$left" ]; then
            warn "left behind, please look:"
            warn "$left"
            [ "$status" -ne 0 ] || status=1
        else
            rm -rf --one-file-system "$WORK"
        fi
    fi
    exit "$status"
}

# wait_until SECONDS COMMAND...: polls until the command succeeds.
wait_until() {
    local end=$((SECONDS + $1 + 1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}

# pid_gone PID: also of a process that nobody has waited for, but not while a thread of it still ends: that one
# may hold files and locks.
pid_gone() {
    local state
    [ -d "/proc/$1" ] || return 0
    state=$(awk '/^(State|Threads):/ { printf "%s", $2 }' "/proc/$1/status" 2>/dev/null) || return 0
    case $state in Z1 | Z | '') return 0 ;; *) return 1 ;; esac
}

# pid_stop PID [SECONDS]: SIGTERM, then SIGKILL after SECONDS (default 10); 1 if it had to be killed.
pid_stop() {
    local pid=$1 seconds=${2:-10}
    if pid_gone "$pid"; then
        wait "$pid" 2>/dev/null || true
        return 0
    fi
    kill -TERM "$pid" 2>/dev/null || true
    if wait_until "$seconds" pid_gone "$pid"; then
        wait "$pid" 2>/dev/null || true
        return 0
    fi
    pid_kill "$pid"
    return 1
}
pid_kill() {
    kill -KILL "$1" 2>/dev/null || true
    wait_until 10 pid_gone "$1" || true
    wait "$1" 2>/dev/null || true
}

# pid_kill_tree PID: a process and all its children.
pid_kill_tree() {
    local child
    # shellcheck disable=SC2013  # one line of words
    for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do pid_kill_tree "$child"; done
    kill -KILL "$1" 2>/dev/null || true
}

# pids_below DIR: processes that name something below DIR on their command line, or have it as TMPDIR.
pids_below() {
    local pid
    # The greps find themselves, and are gone when they are looked at.
    {
        grep -lsF -- "$1/" /proc/[0-9]*/cmdline || true
        grep -lsF -- "TMPDIR=$1" /proc/[0-9]*/environ || true
    } | sort -u | while IFS=/ read -r _ _ pid _; do
        if [ "$pid" != "$$" ] && [ "$pid" != "$BASHPID" ] && ! pid_gone "$pid"; then printf '%s\n' "$pid"; fi
    done
}

# leftovers DIR: mounts and loop devices below DIR, processes that work there. Prints nothing when clean.
# What is just going away gets a moment.
leftovers() {
    local pid
    wait_until 3 nothing_below "$1" && return 0
    awk -v dir="$1/" 'index($5 "/", dir) == 1 { print "mount " $5 }' /proc/self/mountinfo
    losetup --list --noheadings --output NAME,BACK-FILE 2>/dev/null |
        awk -v dir="$1/" 'index($2, dir) == 1 { print "loop device " $1 " of " $2 }'
    for pid in $(pids_below "$1"); do
        printf 'process %s %s\n' "$pid" "$({ tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c1-200; } 2>/dev/null)"
    done
}
nothing_below() {
    ! awk -v dir="$1/" 'index($5 "/", dir) == 1 { found = 1 } END { exit !found }' /proc/self/mountinfo &&
        ! losetup --list --noheadings --output BACK-FILE 2>/dev/null | grep -F "$1/" >/dev/null &&
        [ -z "$(pids_below "$1")" ]
}

# unmount_below DIR: unmounts everything mounted below DIR (and on it), innermost first.
unmount_below() {
    local target
    awk -v dir="$1/" 'index($5 "/", dir) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
        while IFS= read -r target; do
            target=$(printf '%b' "$target")
            # What was just ended may still be closing its files.
            wait_until 5 umount -q "$target" 2>/dev/null || {
                warn "warning: $target is busy"
                umount -l "$target" || true
            }
        done
}

# elapsed START: "1.2 s" since START, which is a value of EPOCHREALTIME.
elapsed() {
    awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", b - a }'
}

# human BYTES
human() {
    awk -v n="$1" 'BEGIN { split("B KiB MiB GiB TiB", u); i = 1; while (n >= 1024 && i < 5) { n /= 1024; i++ }
        printf(i == 1 ? "%d %s" : "%.1f %s", n, u[i]) }'
}

folder_empty() { [ -z "$(find "$1" -mindepth 1 -maxdepth 1 -print -quit)" ]; }

have() { command -v "$1" >/dev/null 2>&1; }
