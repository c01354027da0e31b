# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# lib.sh - what the system tests share.
#
# A test is a script that sources this file. It ends with status 0, 1, or 77 (skipped).
# On every way out, processes that it started are looked for by a mark in their
# environment: one that still runs is a failure, and is ended. So are files left in
# $TMPDIR, changed mounts, and reports of a sanitizer.
#
#   VFIO_CUSED  the program           SYSTEM_BIN  folder of vfioc and other helpers
#   SANITIZE    "", address, thread   GUEST_DIR   kernel for guests (./bootstrap guest)
set -euo pipefail
shopt -s inherit_errexit extglob

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${VFIO_CUSED:=$here/../../build/vfio-cused}" "${SANITIZE:=}"
: "${SYSTEM_BIN:=$(dirname "$VFIO_CUSED")/tests/system}"
: "${GUEST_DIR:=$here/../../build/guest}"
VFIO_CUSED=$(realpath "$VFIO_CUSED")
SYSTEM_BIN=$(realpath "$SYSTEM_BIN")

patience=1		# everything takes longer under a sanitizer
[[ -z $SANITIZE ]] || patience=8
limit=60		# seconds for one command, times patience

# Where tests put their devices, unless they let the program choose.
bdf=0000:e0:00.0
group=77
: "$bdf" "$group"

work=$(mktemp -d "${TMPDIR:-/tmp}/cused-test.XXXXXX")
chmod 755 "$work"
mkdir -m 1777 "$work/tmp" "$work/san"
export TMPDIR=$work/tmp
export CUSED_TEST="${0##*/}-$$-$RANDOM"
export ASAN_OPTIONS="log_path=$work/san/asan:exitcode=99:${ASAN_OPTIONS-}"
export UBSAN_OPTIONS="log_path=$work/san/ubsan:print_stacktrace=1:${UBSAN_OPTIONS-}"
export TSAN_OPTIONS="log_path=$work/san/tsan:exitcode=99:${TSAN_OPTIONS-}"
exec {quiet}<> <(:)
mounts_before=$(</proc/self/mountinfo)

# Between two looks at something: pause SECONDS
pause()
{
	read -r -t "$1" -u "$quiet" _ || :
}

fail()
{
	printf 'failed: %s\n' "$*"
	exit 1
}

skip()
{
	printf 'skip: %s\n' "$*"
	exit 77
}

# For reasons that no set-up can cure.
skip_host()
{
	printf 'skip (host): %s\n' "$*"
	exit 77
}

need()
{
	local program

	for program in "$@"; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

# Processes that this test started and that still run. For use in $(…) alone.
marked()
{
	local mark=CUSED_TEST=$CUSED_TEST

	# Not in the environment of those that search.
	unset CUSED_TEST
	grep -lzsx "$mark" /proc/[0-9]*/environ | sed 's,/proc/\([0-9]*\)/.*,\1,' || :
}

# Wait until none is left: wait_gone SECONDS
wait_gone()
{
	local end=$((SECONDS + $1 * patience))

	while [[ -n $(marked) ]]; do
		((SECONDS < end)) || return 1
		pause 0.05
	done
}

at_end()
{
	local status=$? pid

	trap - EXIT
	set +e
	if ! wait_gone 5; then
		echo "failed: these processes are left:"
		for pid in $(marked); do
			printf '  %s ' "$pid"
			tr '\0' ' ' <"/proc/$pid/cmdline"
			echo
			kill -KILL "$pid"
		done
		wait_gone 5
		((status == 1)) || status=1
	fi
	if [[ $(</proc/self/mountinfo) != "$mounts_before" ]]; then
		echo "failed: the mounts of the host changed"
		diff <(printf '%s\n' "$mounts_before") /proc/self/mountinfo
		status=1
	fi
	# ThreadSanitizer's own start-up makes a file there and unlinks it, long before main():
	# a program that is killed in between leaves it, and no code of ours could not.
	[[ $SANITIZE != thread ]] || rm -f "$work"/tmp/tsan.rodata.+([0-9])
	if [[ -n $(ls -A "$work/tmp") ]]; then
		echo "failed: temporary files are left:"
		ls -lA "$work/tmp"
		status=1
	fi
	if [[ -n $(ls -A "$work/san") ]]; then
		echo "failed: reports of a sanitizer:"
		head -n 60 "$work"/san/*
		status=1
	fi
	rm -rf "$work"
	exit "$status"
}
trap at_end EXIT

# The program, with a deadline.
cused()
{
	timeout -k 5 $((limit * patience)) "$VFIO_CUSED" "$@" </dev/null
}

# expect STATUS COMMAND…: its output goes to $work/out and $work/err.
expect()
{
	local want=$1 is=0

	shift
	"$@" >"$work/out" 2>"$work/err" || is=$?
	if ((is != want)); then
		printf 'failed: status %d, not %d, of:' "$is" "$want"
		printf ' %q' "$@"
		printf '\n'
		tail -n 60 "$work/out" "$work/err"
		exit 1
	fi
}

# has FILE TEXT…: each text is in the file (of $work).
has()
{
	local file=$work/$1 text

	shift
	for text in "$@"; do
		grep -qF -- "$text" "$file" || {
			printf 'failed: "%s" is not in %s:\n' "$text" "${file##*/}"
			tail -n 60 "$file"
			exit 1
		}
	done
}

# Different bytes everywhere: content BYTES, a multiple of 32
content()
{
	awk -v size="$1" 'BEGIN { for (n = 0; n < size; n += 32) printf "byte %-26d\n", n }'
}

# The status of a background process, in $is: wait_status PID
wait_status()
{
	is=0
	wait "$1" 2>/dev/null || is=$?
}

# wait_for SECONDS COMMAND…: until the command succeeds
wait_for()
{
	local end=$((SECONDS + $1 * patience))

	shift
	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || return 1
		pause 0.05
	done
}
