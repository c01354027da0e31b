#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# exec, as far as it can be seen without a service: what becomes of its command.
. "$(dirname "$0")/lib.sh"
need script setsid

exec_=(cused exec --)

# ---- status and messages ----
expect 0 "${exec_[@]}" true
[[ ! -s $work/err ]] || fail "a message for a command that opens no device"
expect 7 "${exec_[@]}" sh -c 'exit 7'
# shellcheck disable=SC2016
expect 143 "${exec_[@]}" sh -c 'kill -TERM $$'
expect 127 "${exec_[@]}" there-is-no-such-command
has err "vfio-cused" "there-is-no-such-command"
: >"$work/not-a-program"
expect 126 "${exec_[@]}" "$work/not-a-program"
has err "$work/not-a-program"
expect 125 cused exec
has err "exec" "CMD"
expect 125 cused exec --device edu -- true
has err "--device"
expect 125 cused exec --socket
has err "--socket"
expect 125 cused run --socket /x -- true
has err "--socket"
expect 0 cused exec --socket /there/is/none -- true
if [[ -x $SYSTEM_BIN/client32 ]] && "$SYSTEM_BIN/client32" >"$work/alone" 2>&1; then
	expect 0 "${exec_[@]}" "$SYSTEM_BIN/client32"
	cmp "$work/alone" "$work/out" || fail "a 32-bit program sees the filter"
fi

# ---- the command finds what it would find without exec ----
state='ulimit -n; ulimit -f; grep -E "SigBlk|SigIgn|^Uid|^CapEff" /proc/self/status
	readlink /proc/self/ns/*; env | grep -vE "^(_|SHLVL|TSAN_OPTIONS)="; pwd'
expect 0 sh -c "$state"
cp "$work/out" "$work/alone"
expect 0 "${exec_[@]}" sh -c "$state"
diff "$work/alone" "$work/out" || fail "other surroundings"
expect 4 "${exec_[@]}" script -qec 'test -t 0 && exit 4' /dev/null
expect 3 sh -c '"$VFIO_CUSED" exec -- sh -c "exit 3" <&- >&- 2>&-'
expect 0 "${exec_[@]}" sh -c 'ls /proc/self/fd | wc -l'
cp "$work/out" "$work/files"
expect 0 timeout 60 sh -c 'ls /proc/self/fd | wc -l' </dev/null
cmp "$work/out" "$work/files" || fail "the command has other open files"

# ---- one listener per process ----
expect 125 cused run --device edu -- "$VFIO_CUSED" exec -- true
has err "already"
expect 125 "${exec_[@]}" "$VFIO_CUSED" exec -- true
has err "already"

# ---- signals ----
mkfifo "$work/never"
exec {hold}<>"$work/never"
for signal in TERM INT HUP QUIT USR1 USR2; do
	rm -f "$work/up"
	env --default-signal=INT,QUIT "$VFIO_CUSED" exec -- bash -c "trap 'exit 9' $signal; : >$work/up
		read -r x <$work/never" &
	wait_for 20 test -e "$work/up" || fail "the command did not start"
	kill -s "$signal" $!
	wait_status $!
	[[ $is == 9 ]] || fail "status $is after $signal"
done

# ---- the end ----
expect 0 "${exec_[@]}" sh -c 'setsid tail -f /dev/null & (setsid setsid tail -f /dev/null &)'
wait_gone 10 || fail "processes outlive exec"
expect 9 sh -c 'tail -f /dev/null & echo $! >"$0"
	exec "$VFIO_CUSED" exec -- sh -c "exit 9"' "$work/before"
kill -TERM "$(<"$work/before")" || fail "a child from before was killed"
rm -f "$work/up"
"$VFIO_CUSED" exec -- sh -c ": >$work/up; read -r x <$work/never" &
wait_for 20 test -e "$work/up" || fail "the command did not start"
kill -KILL $!
wait_status $!
[[ $is == 137 ]] || fail "status $is"
wait_gone 10 || fail "the command outlives exec"
exec {hold}>&-
