#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Processes that try to outlive `run`: nothing is left when the command ends, when
# vfio-cused is killed, and when its terminal hangs up.
. "$(dirname "$0")/lib.sh"
need setsid unshare script

# stay HOW…: a command that detaches a process started by HOW, which then sleeps on a pipe
mkfifo "$work/never"
exec {hold}<>"$work/never"
stay()
{
	printf '(%s setsid sh -c ": >%s/up; read -r x <%s/never" &) ; %s' "$*" "$work" "$work" \
		"until [ -e $work/up ]; do :; done"
}

hows=("")
! unshare -m true 2>/dev/null || hows+=("unshare -m" "unshare -mpf --mount-proc")
! unshare -Urm true 2>/dev/null || hows+=("unshare -Urm")
for how in "${hows[@]}"; do
	rm -f "$work/up"
	expect 5 cused run --device edu -- sh -c "$(stay "$how"); exit 5"
	wait_gone 5 || fail "\"$how\" is left after the end of the command"

	rm -f "$work/up"
	"$VFIO_CUSED" run --device edu -- sh -c "$(stay "$how"); read -r x <$work/never" &
	wait_for 20 test -e "$work/up" || fail "the command did not start: $how"
	kill -KILL $!
	wait_status $!
	[[ $is == 137 ]] || fail "status $is"
	wait_gone 5 || fail "\"$how\" is left after vfio-cused was killed"
done

# ---- a terminal hangs up: its session's leader alone is told ----
rm -f "$work/up"
script -qfec "exec '$VFIO_CUSED' run --device edu -- sh -c ': >$work/up
	read -r x <$work/never'" /dev/null <"$work/never" >/dev/null 2>&1 &
wait_for 20 test -e "$work/up" || fail "the command did not start in a terminal"
kill -KILL $!
wait_status $!
wait_gone 5 || fail "the hang-up of the terminal ended nothing"
exec {hold}>&-
