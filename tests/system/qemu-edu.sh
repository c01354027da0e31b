#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# QEMU assigns the educational device to a guest: firmware gives its BAR an address and
# the monitor shows it. Then the same inside QEMU's own seccomp sandbox.
. "$(dirname "$0")/lib.sh"
need qemu-system-x86_64

assigned='BAR0: 32 bit memory at 0xf[0-9a-f]{7} \[0xf[0-9a-f]{7}\]'

# The monitor's answer once the firmware is through with PCI.
monitor()
{
	{
		for ((i = 0; i < 100; i++)); do
			pause 0.2
			echo 'info pci' || break
			[[ ! -e $work/enough ]] || break
		done
		echo quit || :
	} 2>/dev/null | timeout -k 5 $((limit * patience)) "$VFIO_CUSED" run \
		--device "edu,bdf=$bdf" -- \
		qemu-system-x86_64 -accel tcg -cpu max,-cx16 -m 256 -nodefaults \
		-no-user-config -display none -monitor stdio \
		-device "vfio-pci,host=$bdf" "$@" 2>"$work/err" |
		while IFS= read -r line; do
			printf '%s\n' "$line"
			[[ ! $line =~ $assigned ]] || : >"$work/enough"
		done >"$work/out"
	rm -f "$work/enough"
}

for sandbox in off on; do
	monitor -sandbox $sandbox || { cat "$work/err"; fail "qemu, sandbox $sandbox"; }
	has out "PCI device 1234:11e8"
	grep -qE "$assigned" "$work/out" ||
		{ cat "$work/out" "$work/err"; fail "no BAR was assigned, sandbox $sandbox"; }
done
