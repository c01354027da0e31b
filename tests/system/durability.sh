# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# durability.sh - a client that writes until it dies, for the tests that kill.

: "${work:?}" "${bdf:?}"
truncate -s 8M "$work/drive.img"

start_writer()
{
	rm -f "$work/journal"
	truncate -s 0 "$work/drive.img"
	truncate -s 8M "$work/drive.img"
	"$VFIO_CUSED" run --device "nvme,image=$work/drive.img,bdf=$bdf" -- \
		"$SYSTEM_BIN/nvme_writer" write "$bdf" "$work/journal" \
		>"$work/run.out" 2>"$work/run.err" </dev/null &
	run_pid=$!
}

# progress N: at least N flushes have returned
progress()
{
	[[ -s $work/journal ]] && (($(od -An -tu8 -N8 "$work/journal") >= $1))
}

# The client's process.
writer_pid()
{
	local pid

	for pid in $(marked); do
		[[ $(<"/proc/$pid/comm") != nvme_writer ]] || printf '%s' "$pid"
	done
}

verify()
{
	"$SYSTEM_BIN/nvme_writer" verify "$work/drive.img" "$work/journal"
}
: "${run_pid:=}"
