#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `run` is transparent: exit status, signals, streams, arguments, environment, directory;
# static and dynamic programs, threads, trees of processes.
. "$(dirname "$0")/lib.sh"
need busybox

run=(cused run --device edu --)

for status in 0 3 125 255; do
	expect $status "${run[@]}" sh -c "exit $status"
done
expect 143 "${run[@]}" sh -c 'kill -TERM $$'
expect 137 "${run[@]}" sh -c 'kill -KILL $$'
expect 139 "${run[@]}" sh -c 'ulimit -c 0; kill -SEGV $$'
expect 127 "${run[@]}" /nonexistent/program
has err /nonexistent/program
expect 127 "${run[@]}" no-such-program-anywhere
: >"$work/not-executable"
expect 126 "${run[@]}" "$work/not-executable"
has err "$work/not-executable"
expect 126 "${run[@]}" /

# streams, arguments, directory, environment
expect 0 "${run[@]}" printf '[%s]' one 'two words' '' --device
[[ $(<"$work/out") == "[one][two words][][--device]" ]] || fail "arguments: $(<"$work/out")"
[[ $(echo text | timeout 60 "$VFIO_CUSED" run --device edu -- cat) == text ]] || fail "stdin"
expect 0 "${run[@]}" sh -c 'echo out; echo err >&2'
[[ $(<"$work/out") == out ]] || fail "stdout: $(<"$work/out")"
[[ $(<"$work/err") == err ]] || fail "stderr: $(<"$work/err")"
(cd "$work" && expect 0 "${run[@]}" pwd && has out "$work")
FOO=bar expect 0 "${run[@]}" sh -c 'echo "$FOO $VFIO_CUSED_BDF $VFIO_CUSED_GROUP"'
grep -qE '^bar 0000:[0-9a-f]{2}:00\.0 [0-9]+$' "$work/out" || fail "environment: $(<"$work/out")"
expect 0 "${run[@]}" sh -c 'umask; id -u; id -g'
[[ $(<"$work/out") == "$(umask; id -u; id -g)" ]] || fail "umask or ids: $(<"$work/out")"
exec {extra}<"$0"
expect 0 "${run[@]}" sh -c "head -n 1 /proc/self/fd/$extra"
has out "#!/usr/bin/env bash"
exec {extra}<&-
# the client finds no descriptors of the supervisor
expect 0 sh -c 'ls /proc/self/fd' </dev/null
cp "$work/out" "$work/alone"
expect 0 "${run[@]}" sh -c 'ls /proc/self/fd'
diff "$work/alone" "$work/out" || fail "the client has other descriptors than alone"

# signals sent to the program reach the command
mkfifo "$work/fifo"
exec {hold}<>"$work/fifo"
ended_after_a_line()
{
	printf '\n' >&"$hold"
	! kill -0 $pid
}
for signal in TERM HUP USR1; do
	"$VFIO_CUSED" run --device edu -- sh -c \
		"trap 'exit 42' $signal; : >$work/up; while :; do read -r x <$work/fifo; done" &
	pid=$!
	wait_for 20 test -e "$work/up" || fail "the command did not start"
	kill -$signal $pid
	# A shell looks at its traps when read has got a line; the signal, which goes through
	# the program, may come after the first one.
	wait_for 20 ended_after_a_line || fail "SIG$signal did not end the command"
	wait_status $pid
	[[ $is == 42 ]] || fail "SIG$signal: status $is"
	rm -f "$work/up"
done
exec {hold}>&-

# static programs, trees, threads
expect 0 "${run[@]}" busybox sh -c 'busybox ls -d /dev/vfio/vfio && busybox true'
expect 0 "${run[@]}" sh -c '
	for i in 1 2 3 4 5 6 7 8; do
		(for j in 1 2 3 4; do /bin/true & done; wait) &
	done
	wait; exec sh -c "exec sh -c \"ls /dev/vfio\""'
has out vfio
# what the command leaves behind does not keep run, nor outlive it
# shellcheck disable=SC2016
expect 5 cused run --device edu -- sh -c 'tail -f /dev/null & exit 5'
