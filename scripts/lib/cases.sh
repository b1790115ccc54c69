# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Test cases: functions case_NAME that run one after the other, each with set -e in a subshell. Needs common.sh and
# WORK. Each prints one line PASS, FAIL or SKIP; lines "note: ..." of a case that passed stand behind it.

CASES_PASSED=0
CASES_FAILED=0
CASES_SKIPPED=0
# Logs of which the end is shown when a case fails: NAME=LINES, of WORK/NAME.log
CASES_LOGS=()
# The log of a program with sanitizers; a report in it fails the case.
CASES_SANITIZED=
# Mounts below this folder are taken away after each case.
CASES_MOUNTS=
case_pid=
case_reports=

cases_begin() { undo_push end_case; }
end_case() {
    [ -n "$case_pid" ] || return 0
    pid_kill_tree "$case_pid"
    wait "$case_pid" 2>/dev/null || true
}

# ---- what cases use --------------------------------------------------------------------------------------
fail() {
    printf 'failed: %s\n' "$*" >&2
    exit 1
}
skip() {
    printf '%s\n' "$*" >"$WORK/skip"
    exit 77
}
# equal WHAT IS EXPECTED
equal() { [ "$2" = "$3" ] || fail "$1 is '$2', expected '$3'"; }
# contains WHAT TEXT PART
contains() { case $2 in *"$3"*) ;; *) fail "$1 does not contain '$3': $2" ;; esac; }
lacks() { case $2 in *"$3"*) fail "$1 contains '$3': $2" ;; esac; }
# same_lists WHAT IS EXPECTED: of lines
same_lists() {
    [ "$2" = "$3" ] || fail "$1 differ (< is, > expected): $(diff <(printf '%s\n' "$2") <(printf '%s\n' "$3") | grep '^[<>]')"
}

# ---- running -----------------------------------------------------------------------------------------------
sanitizer_reports() {
    [ -n "$CASES_SANITIZED" ] || return 0
    grep -nE 'ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:' "$CASES_SANITIZED" || true
}
where() {
    case $3 in "ctr --address"*) ;; *) printf '%s: line %s: %s\n' "$1" "$2" "${3%%$'\n'*}" >&2 ;; esac
}
# run_case NAME [SHOWN]: calls case_NAME; SHOWN stands in the line.
run_case() {
    local name=$1 shown=${2:-$1} start=$EPOCHREALTIME status=0 reports log
    rm -f "$WORK/skip"
    # The case gets set -e for itself: it must not be part of a condition here. It runs in the background, so
    # that signals reach us at once.
    set +e
    (
        trap - INT TERM HUP EXIT
        set -eE
        trap 'where "$name" "$LINENO" "$BASH_COMMAND"' ERR
        "case_$name"
    ) >"$WORK/case.log" 2>&1 </dev/null &
    case_pid=$!
    wait "$case_pid"
    status=$?
    case_pid=
    [ -z "$CASES_MOUNTS" ] || unmount_below "$CASES_MOUNTS" >>"$WORK/case.log" 2>&1
    set -e
    reports=$(sanitizer_reports)
    if [ -n "$reports" ] && [ "$reports" != "$case_reports" ]; then
        case_reports=$reports
        printf '%s\n' "$reports" >>"$WORK/case.log"
        status=1
    fi
    if [ "$status" -eq 0 ]; then
        CASES_PASSED=$((CASES_PASSED + 1))
        printf 'PASS %-34s %8s  %s\n' "$shown" "$(elapsed "$start")" "$(grep -E '^note: ' "$WORK/case.log" | sed 's/^note: //' | paste -sd ';')"
    elif [ "$status" -eq 77 ] && [ -f "$WORK/skip" ]; then
        CASES_SKIPPED=$((CASES_SKIPPED + 1))
        printf 'SKIP %-34s %8s  %s\n' "$shown" "" "$(cat "$WORK/skip")"
    else
        CASES_FAILED=$((CASES_FAILED + 1))
        printf 'FAIL %-34s %8s\n' "$shown" "$(elapsed "$start")"
        tr '\r' '\n' <"$WORK/case.log" | tail -n 25 | cut -c1-600 | sed 's/^/    | /'
        for log in ${CASES_LOGS[@]+"${CASES_LOGS[@]}"}; do
            tail -n "${log#*=}" "$WORK/${log%=*}.log" 2>/dev/null | cut -c1-300 | sed "s/^/    ${log%=*} | /"
        done
    fi
    { echo "== $shown: status $status"; cat "$WORK/case.log"; } >>"$WORK/cases.log"
}
# chosen NAME WORD...: no WORD, or one of them is part of the name.
chosen() {
    local name=$1 word
    shift
    [ $# -gt 0 ] || return 0
    for word in "$@"; do
        case $name in *"$word"*) return 0 ;; esac
    done
    return 1
}
# skip_case SHOWN REASON: of a case that cannot even begin.
skip_case() {
    CASES_SKIPPED=$((CASES_SKIPPED + 1))
    printf 'SKIP %-34s %8s  %s\n' "$1" "" "$2"
}
# cases_end: the summary; 1 if a case failed.
cases_end() {
    say "$CASES_PASSED passed, $CASES_FAILED failed, $CASES_SKIPPED skipped"
    [ "$CASES_FAILED" -eq 0 ]
}
