#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `vfio-cused ctl` with a run: where its socket is, what status and watch tell, what cannot be
# asked of it, hostile peers, and that nothing of it is left.
. "$(dirname "$0")/lib.sh"
need script
export VFIO_CUSED SYSTEM_BIN
unset XDG_RUNTIME_DIR

# ---- inside ----
# shellcheck disable=SC2016
expect 0 cused run --device "edu,bdf=$bdf,group=$group" -- bash -c '
	set -eu
	[[ $(stat -c "%a %u" "$VFIO_CUSED_CTL") == "600 $UID" ]]
	[[ $(stat -c "%a %u" "${VFIO_CUSED_CTL%/*}") == "700 $UID" ]]
	[[ $VFIO_CUSED_CTL == "$TMPDIR"/* ]]
	"$VFIO_CUSED" ctl status
	echo "VFIO_CUSED_CTL=$VFIO_CUSED_CTL"
	echo ---
	coproc "$SYSTEM_BIN/holder" '"$bdf $group"' stubborn
	holder=$COPROC_PID
	read -r word <&"${COPROC[0]}"
	[[ $word == open ]]
	"$VFIO_CUSED" ctl status
	"$VFIO_CUSED" --json ctl status
	echo "holder $holder"
	kill -KILL "$holder"'
has out "$bdf  edu0  $group     closed" "No clients" "$bdf  edu0  $group     open" \
	"type1" "4096B" '"ok":true' '"mode":"run"' '"mappings":1' '"mapped_bytes":4096' \
	'"name":"holder"' '"request_event":true'
holder=$(sed -n 's/^holder //p' "$work/out")
grep -Eq "^ +$holder +holder +$UID +1 +$group +$bdf\$" "$work/out" || fail "the client: $(<"$work/out")"

# Where it is: the first place that can be written to.
mkdir "$work/runtime"
expect 0 env XDG_RUNTIME_DIR="$work/runtime" "$VFIO_CUSED" run --device edu -- printenv VFIO_CUSED_CTL
has out "$work/runtime/vfio-cused-"
expect 0 env XDG_RUNTIME_DIR=/nonexistent "$VFIO_CUSED" run --device edu -- printenv VFIO_CUSED_CTL
has out "$work/tmp/vfio-cused-"
# A name that is too long for a socket: the run goes on without, and says so if asked.
long=$work/$(printf 'x%.0s' {1..90})
mkdir "$long"
expect 1 env VFIO_CUSED_CTL=/another TMPDIR="$long" "$VFIO_CUSED" -v run --device edu -- printenv VFIO_CUSED_CTL
has err "no control socket"
[[ -z $(find "$work/runtime" "$long" -mindepth 1) ]] || fail "something is left"

# ---- from outside, by its name ----
mkfifo "$work/end"
cused run --device "edu,bdf=$bdf,group=$group" -- sh -c "printenv VFIO_CUSED_CTL >$work/name.new
	mv $work/name.new $work/name; read -r word <$work/end" &
run=$!
wait_for 20 test -e "$work/name" || fail "the run does not begin"
socket=$(<"$work/name")
expect 0 cused ctl --socket "$socket" status
has out "$bdf"
expect 1 cused ctl stop --socket "$socket"
has err "ends with its command"
expect 1 cused ctl --socket "$socket" add edu
has err "only the service"
expect 1 cused ctl --socket "$socket" remove --json edu0
has err "only the service"
has out '"error":"EOPNOTSUPP"'
expect 125 cused ctl --socket "$socket" reboot
has err "reboot" "status, watch, add, remove, stop"
expect 125 cused ctl --socket "$socket"
has err "status, watch, add, remove, stop"
expect 125 cused ctl --socket "$socket" add
has err "DEVICE"
expect 125 cused ctl --socket "$socket" status edu0
has err "edu0"
expect 125 cused ctl --socket "$socket" status --revoke
has err "--revoke"
expect 125 cused run --json -- true
has err "--json"
expect 125 cused ctl --device edu status
has err "--device"
expect 125 env -u VFIO_CUSED_CTL "$VFIO_CUSED" ctl --socket "$work/none" status
has err "$work/none" "serve"
expect 125 env VFIO_CUSED_CTL="$work/none2" "$VFIO_CUSED" ctl status
has err "$work/none2"

# Watch: over and over until the run ends; on a terminal the screen is cleared.
cused ctl --socket "$socket" watch >"$work/watched" 2>"$work/watched.err" &
watch=$!
two() { (($(grep -c "^vfio-cused .*, run" "$1") >= 2)); }
wait_for 20 two "$work/watched" || fail "watch tells one status"
! grep -q $'\033' "$work/watched" || fail "escape codes in a file"
script -qfc "$VFIO_CUSED ctl --socket $socket watch" /dev/null >"$work/terminal" </dev/null 2>&1 &
terminal=$!
cleared() { (($(grep -c $'\033\[H\033\[2J' "$work/terminal") >= 2)); }
wait_for 20 cleared || fail "the screen is not cleared"
# A reader that goes away ends it.
expect 0 bash -c 'set +o pipefail; "$0" ctl --socket "$1" watch | head -n 1' "$VFIO_CUSED" "$socket"

echo end >"$work/end"
wait_status $run
[[ $is == 0 ]] || fail "the run: status $is"
wait_status $watch
[[ $is == 0 ]] || fail "watch: status $is after the end"
has watched.err "has ended"
wait_status $terminal

# ---- nothing is left, also if it is killed ----
[[ ! -e ${socket%/*} ]] || fail "the folder of the socket is left"
rm "$work/name"
"$VFIO_CUSED" run --device edu -- sh -c "printenv VFIO_CUSED_CTL >$work/name.new
	mv $work/name.new $work/name; read -r word <$work/end" </dev/null &
run=$!
wait_for 20 test -e "$work/name" || fail "the run does not begin"
socket=$(<"$work/name")
[[ -S $socket ]] || fail "no socket"
kill -KILL $run
wait_status $run
folder_gone() { [[ ! -e ${socket%/*} ]]; }
wait_for 20 folder_gone || fail "a killed run leaves its socket"
