#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a command finds around it is what it would find without `run`: /dev, terminals,
# limits, dispositions of signals; and the odd ways in which `run` itself can be started.
. "$(dirname "$0")/lib.sh"
need script

run=(cused run --device edu --)

# every entry of /dev is there, of the same kind
entries='cd /dev; for f in *; do stat -L -c "%n %F %t:%T" "$f" 2>&1; done | grep -v "^vfio "'
expect 0 sh -c "$entries"
cp "$work/out" "$work/alone"
expect 0 "${run[@]}" sh -c "$entries"
diff "$work/alone" "$work/out" || fail "another /dev"
expect 0 "${run[@]}" sh -c 'echo x >/dev/null && head -c 1 /dev/zero'

# pseudo-terminals can be made
expect 0 script -qec true /dev/null
expect 4 "${run[@]}" script -qec 'test -t 0 && exit 4' /dev/null

# limits and dispositions are the caller's
expect 0 sh -c 'ulimit -n; ulimit -f; grep -E "SigBlk|SigIgn" /proc/self/status'
cp "$work/out" "$work/alone"
expect 0 "${run[@]}" sh -c 'ulimit -n; ulimit -f; grep -E "SigBlk|SigIgn" /proc/self/status'
diff "$work/alone" "$work/out" || fail "other limits or signals"
(ulimit -S -n 77; expect 0 "${run[@]}" sh -c 'ulimit -n'; has out 77)
(ulimit -S -f 2048; expect 0 "${run[@]}" bash -c 'ulimit -f'; has out 2048)

# a parent that ignores SIGCHLD, no standard files, nobody who reads the messages
if env --ignore-signal=CHLD true 2>/dev/null; then
	expect 7 env --ignore-signal=CHLD "$VFIO_CUSED" run --device edu -- sh -c 'exit 7'
fi
expect 3 sh -c '"$VFIO_CUSED" run --device edu -- sh -c "exit 3" <&- >&- 2>&-'

# children that the process had before it became run are let alone
expect 9 sh -c 'tail -f /dev/null & echo $! >"$0"
	exec "$VFIO_CUSED" run --device edu -- sh -c "exit 9"' "$work/before"
kill -TERM "$(<"$work/before")" || fail "a child from before was killed"

# whom the command leaves behind ends with it, whatever session it is in
expect 0 "${run[@]}" sh -c 'setsid tail -f /dev/null & (setsid setsid tail -f /dev/null &)'
wait_gone 10 || fail "processes outlive the run"
# and with a supervisor that is killed
"$VFIO_CUSED" run --device edu -- \
	sh -c "setsid tail -f /dev/null & : >$work/up; tail -f /dev/null" &
pid=$!
wait_for 20 test -e "$work/up" || fail "the command did not start"
kill -KILL $pid
wait_gone 10 || fail "processes outlive their supervisor"
