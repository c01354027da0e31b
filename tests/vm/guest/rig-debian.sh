#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest with Debian's user space: systemd runs it, nothing has failed, modules are found.
state=$(systemctl is-system-running --wait)
[[ $state == running ]] || {
	echo "failed: the system is $state"
	systemctl --failed --no-pager
	exit 1
}
[[ $(readlink /proc/1/exe) == */systemd ]] || { echo "failed: process 1 is no systemd"; exit 1; }
modprobe cuse && [[ -c /dev/cuse ]] || { echo "failed: no cuse"; exit 1; }
dpkg -s qemu-utils | grep -q '^Status: install ok installed' || exit 1
[[ $RIG_WORD == "two words" ]] || { echo "failed: RIG_WORD is $RIG_WORD"; exit 1; }
tail -f /dev/null &	# that is not waited for
