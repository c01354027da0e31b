#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Restart without loss, in a guest with systemd: see guest/restart.sh. ./bootstrap nightly has more
# of it, with moments drawn anew.
#
#   RESTART_RATE (1000)   requests a second    RESTART_ROUNDS (10)   restarts
#   RESTART_SEED (1)      a number, or "new"   RESTART_KILL_SECONDS (15)
#   RESTART_PAUSE (0)     seconds between restarts, for clients to make up for the last one
#   RESTART_CPUS (1)      of the guest; see systemd.sh
#   RESTART_PACKAGE       a .deb to take, instead of building one
. "$(dirname "$0")/lib.sh"
: "${RESTART_RATE:=1000}" "${RESTART_ROUNDS:=10}" "${RESTART_KILL_SECONDS:=15}" "${RESTART_SEED:=1}"
: "${RESTART_PAUSE:=0}" "${RESTART_CPUS:=1}"
need dpkg-buildpackage dh depmod
[[ -s $VM_DEBIAN ]] || skip "no user space $VM_DEBIAN: run ./bootstrap guest"
[[ $RESTART_SEED != new ]] || RESTART_SEED=$RANDOM

package=${RESTART_PACKAGE-}
if [[ -z $package ]]; then
	"$vm_dir/debian/package.sh" "$work/package" || fail "the package cannot be built"
	package=$(echo "$work"/package/vfio-cused_*.deb)
fi
vm --smp "$RESTART_CPUS" --root "$VM_DEBIAN" --modprobe fuse --modprobe cuse --memory 1024 \
	--seconds $((900 + RESTART_ROUNDS * (20 + RESTART_PAUSE) + RESTART_KILL_SECONDS)) \
	--env RESTART_RATE="$RESTART_RATE" --env RESTART_ROUNDS="$RESTART_ROUNDS" \
	--env RESTART_PAUSE="$RESTART_PAUSE" \
	--env RESTART_SEED="$RESTART_SEED" --env RESTART_KILL_SECONDS="$RESTART_KILL_SECONDS" \
	--program "$(dirname "$VM_INIT")/vm-restart-load" \
	--program "$(dirname "$VM_INIT")/vm-holder" --file "$package:/vm/package.deb" \
	--file "$vm_dir/guest/lib.sh:/vm/lib.sh" --file "$vm_dir/guest/unit-lib.sh:/vm/unit-lib.sh" \
	"$vm_dir/guest/restart.sh"
