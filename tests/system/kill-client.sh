#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kill -9 of a client in the middle of its writes: run ends with its status, nothing is
# left, and the image holds what was acknowledged.
. "$(dirname "$0")/lib.sh"
. "$here/durability.sh"

for round in 1 2 3 4 5; do
	start_writer
	wait_for 30 progress $((round * 3)) || fail "the writer does not get on"
	kill -KILL "$(writer_pid)"
	wait_status "$run_pid"
	[[ $is == 137 ]] || { cat "$work/run.err"; fail "status $is, not 137"; }
	wait_gone 5 || fail "something is left"
	verify
done
