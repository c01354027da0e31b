#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kill -9 of vfio-cused in the middle of writes, and at any moment of its life: nothing
# hangs, nothing is left, the image holds what was acknowledged.
. "$(dirname "$0")/lib.sh"
. "$here/durability.sh"

for round in 1 2 3 4 5; do
	start_writer
	wait_for 30 progress $((round * 3)) || fail "the writer does not get on"
	kill -KILL "$run_pid"
	wait_status "$run_pid"
	[[ $is == 137 ]] || fail "status $is, not 137"
	wait_gone 5 || fail "the client outlived it"
	verify
done

# at any moment of the start
for ((i = 0; i < 25; i++)); do
	"$VFIO_CUSED" run --device "nvme,image=$work/drive.img,bdf=$bdf" -- \
		"$SYSTEM_BIN/nvme_writer" write "$bdf" "$work/journal" \
		>/dev/null 2>"$work/run.err" </dev/null &
	pause 0.00$((i % 10))$((RANDOM % 10))
	((i < 15)) || pause 0.0$((i - 10))
	kill -KILL $! 2>/dev/null || :
	wait_status $!
	wait_gone 5 || fail "something is left, killed at moment $i"
done
verify
