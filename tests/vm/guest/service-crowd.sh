#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Many clients and many containers at a time, and a service that is itself out of fds: each
# client has its answer, and afterwards the service is as before.
# shellcheck source=lib.sh disable=SC3045
. /vm/lib.sh

fds()
{
	find "/proc/$service/fd" -mindepth 1 | wc -l
}

memory()
{
	sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$service/status"
}

crowd()
{
	vm-crowd "$@" >/tmp/crowd || { cat /tmp/crowd; fail "vm-crowd $*"; }
	echo "$*: $(cat /tmp/crowd), $(fds) fds, $(memory) KiB"
}

fds_at_most()
{
	[ "$(fds)" -le "$1" ]
}

ulimit -n 8192
start_service --device "edu,bdf=$EDU" --device "nvme,size=16M,bdf=$NVME"
echo "at first: $(fds) fds, $(memory) KiB"
crowd clients 1000
grep -q short=0 /tmp/crowd || fail "the service is short of files"
# What is remembered of clients is bounded: 256 threads, with an address space each.
wait_for 20 fds_at_most 600 || fail "$(fds) fds after 1000 clients"
known=$(fds)
crowd clients 1000
wait_for 20 fds_at_most $((known + 20)) || fail "fds grow: $known, then $(fds)"
crowd containers 4000
wait_for 20 fds_at_most $((known + 20)) || fail "fds grow: $known, then $(fds)"
resident=$(memory)
crowd containers 1000
[ "$(memory)" -le $((resident + resident / 4)) ] || fail "memory grows: $resident KiB, then $(memory)"
vfioc-static --bdf "$EDU" --only dma_private >/tmp/tap || { cat /tmp/tap; fail "the service afterwards"; }
stop_service

# The service's own limit. An interrupt's eventfd is one of its fds for as long as it is set.
ulimit -n 36
start_service --device "edu,bdf=$EDU" --device "nvme,size=16M,bdf=$NVME"
ulimit -n 1024
before=$(fds)
crowd vectors "/dev/vfio/$(group_of "$NVME")" "$NVME" 1 32
grep -q 'error=24$' /tmp/crowd || fail "32 eventfds and $before fds fit into 36, or not EMFILE (24)"
# Either answer is good for a call in the crowd; what counts is that each has one.
crowd clients 100
vfioc-static --bdf "$EDU" --only dma_private >/tmp/tap ||
	{ cat /tmp/tap; fail "another client beside those that it had no fds for"; }
# Two for each thread that is remembered, up to the limit; none of the interrupts.
crowd vectors "/dev/vfio/$(group_of "$NVME")" "$NVME" 1 4
grep -q 'vectors=4 error=0$' /tmp/crowd || fail "the fds of the interrupts are lost"
stop_service
