#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# QEMU in the guest assigns the service's device to a guest of its own: the monitor shows it,
# with the address that firmware gave its BAR.
# shellcheck source=lib.sh
. /vm/lib.sh

start_service --device "edu,bdf=$EDU"
chown user "/dev/vfio/$(group_of "$EDU")"
: >/tmp/monitor
chmod 666 /tmp/monitor

assigned()
{
	grep -qE 'BAR0: 32 bit memory at 0xf[0-9a-f]{7} ' /tmp/monitor
}

mkfifo /tmp/commands
su user -c "exec timeout 150 qemu-system-x86_64 -L /vm/firmware -accel tcg -cpu max,-cx16 \
	-m 32 -nodefaults -no-user-config -display none -monitor stdio \
	-device vfio-pci,host=$EDU" </tmp/commands >/tmp/monitor 2>&1 &
qemu=$!
exec 8>/tmp/commands
n=0
until assigned; do
	running $qemu || { cat /tmp/monitor; fail "qemu ended"; }
	n=$((n + 1))
	[ $n -lt 280 ] || { tail -n 20 /tmp/monitor; fail "no BAR was assigned"; }
	echo 'info pci' >&8
	pause 0.5
done
echo "assigned after $n looks: $(grep -m 1 -E 'BAR0: 32 bit memory at 0xf[0-9a-f]{7} ' /tmp/monitor)"
grep -q 'PCI device 1234:11e8' /tmp/monitor || { cat /tmp/monitor; fail "no edu"; }
echo quit >&8
exec 8>&-
status=0
wait $qemu || status=$?
[ $status = 0 ] || { cat /tmp/monitor; fail "qemu ended with $status"; }
stop_service
