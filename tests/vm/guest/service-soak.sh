#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Clients that come and go for $SOAK_SECONDS: $SOAK_CLIENTS at a time on $SOAK_GROUPS groups. What
# the service and its agent have of memory, fds and threads is looked at every $SOAK_LOOK
# seconds; it does not grow.
# shellcheck source=lib.sh disable=SC3045
. /vm/lib.sh
: "${SOAK_SECONDS:=10}" "${SOAK_CLIENTS:=200}" "${SOAK_GROUPS:=24}" "${SOAK_LOOK:=30}"

# status PID FIELD
status()
{
	sed -n "s/^$2:[^0-9]*\([0-9]*\).*/\1/p" "/proc/$1/status"
}

fds()
{
	find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l
}

agent()
{
	for status_of in /proc/[0-9]*/status; do
		grep -q "^PPid:[^0-9]*$service\$" "$status_of" 2>/dev/null || continue
		basename "$(dirname "$status_of")"
		return
	done
}

look()
{
	printf '%5s s: service %6s KiB %4s fds %4s threads, agent %6s KiB %4s fds\n' $(($(now) - began)) \
		"$(status "$service" VmRSS)" "$(fds "$service")" "$(status "$service" Threads)" \
		"$(status "$(agent)" VmRSS)" "$(fds "$(agent)")"
}

devices="" bdfs=""
n=0
while [ $n -lt "$SOAK_GROUPS" ]; do
	bdf=0000:$(printf '%02x' $((0xa0 + n))):00.0
	devices="$devices --device edu,bdf=$bdf,group=$((100 + n))"
	bdfs="$bdfs $bdf"
	n=$((n + 1))
done
ulimit -n 8192
# shellcheck disable=SC2086
start_service $devices
[ -n "$(agent)" ] || fail "no agent"
began=$(now)
look
# shellcheck disable=SC2086
vm-soak "$SOAK_CLIENTS" "$SOAK_SECONDS" $bdfs >/tmp/soak 2>&1 &
soak=$!
next=$SOAK_LOOK first=""
while running $soak; do
	! wait_for "$SOAK_LOOK" gone $soak || break
	[ $(($(now) - began)) -ge "$next" ] || continue
	next=$((next + SOAK_LOOK))
	look
	# When all that is kept for later has been made once.
	[ -n "$first" ] || [ $(($(now) - began)) -lt 120 ] || first=$(status "$service" VmRSS)
	last=$(status "$service" VmRSS)
done
wait $soak || { cat /tmp/soak; fail "a client has got what it must not"; }
cat /tmp/soak
grep -q ' used=[1-9].* killed=[1-9]' /tmp/soak || fail "nobody had a device, or nobody was killed"
at_rest()
{
	# Threads that are remembered keep two each, 256 of them in either process.
	[ "$(fds "$service")" -le 700 ] && [ "$(fds "$(agent)")" -le 600 ]
}
wait_for 30 at_rest || { look; fail "fds have grown"; }
look
# Threads come and go, some of 20 KiB each.
[ -z "$first" ] || [ "$last" -le $((first + first / 20 + 1024)) ] ||
	fail "memory has grown from $first KiB after two minutes to $last KiB"
# shellcheck disable=SC2086
for bdf in $bdfs; do
	vfioc-static --bdf "$bdf" --only dma_private >/tmp/tap || { cat /tmp/tap; fail "$bdf afterwards"; }
done
stop_service
