#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Two devices: in groups of their own on one bus, on two buses, and in one group.
. "$(dirname "$0")/lib.sh"

cases=()
for name in peer_shared_container peer_own_container peer_same_group peer_hot_reset; do
	cases+=(--only "$name")
done

# pair BDF OF THE PEER, GROUP OF THE PEER, CASES THAT MUST RUN…
pair()
{
	local peer=$1 peer_group=$2 name

	shift 2
	expect 0 cused run --device "edu,bdf=$bdf,group=$group" \
		--device "edu,bdf=$peer,group=$peer_group" -- \
		"$SYSTEM_BIN/vfioc" --bdf "$bdf" --peer "$peer" "${cases[@]}"
	for name in "$@"; do
		grep -E "^ok .* $name \\(" "$work/out" || {
			cat "$work/out"
			fail "$name did not run with the peer at $peer in group $peer_group"
		}
	done
}

pair 0000:e0:01.0 78 peer_shared_container peer_own_container peer_hot_reset
pair 0000:e1:00.0 78 peer_shared_container peer_own_container
pair 0000:e0:00.1 "$group" peer_same_group
