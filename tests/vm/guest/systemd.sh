#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The Debian package on a machine with systemd, from installation to purge: the service is
# enabled, used by an ordinary user, reloaded, killed, upgraded, stopped.
# shellcheck source=unit-lib.sh
. /vm/unit-lib.sh
image=/var/lib/vfio-cused/disk.img

# reload STATUS: and wait for that
reload()
{
	systemctl reload $unit || fail "it cannot be reloaded"
	wait_for 20 status "$1" || fail "its status is $(show StatusText), not $1"
}

# configure [LINE…]: the drive, and what else there is to be
configure()
{
	cat >$conf <<-END
	[device "disk"]
	backend = nvme
	image = $image
	bdf = $NVME
	group = 7

	[group "7"]
	mode = 0600
	owner = user
	END
	[[ $# == 0 ]] || printf '%s\n' "$@" >>$conf
}

# How often the journal tells of a mistake in the configuration
complaints()
{
	journalctl -o cat -u $unit | grep -c 'stays as it was' || :
}

complained()
{
	[[ $(complaints) -gt $1 ]]
}

use_drive()
{
	as_user qemu-img info "nvme://$NVME/1" >/tmp/info 2>&1 || { cat /tmp/info; fail "qemu-img info"; }
	grep -q '^virtual size: 4 MiB' /tmp/info || { cat /tmp/info; fail "not the drive's size"; }
	head -c 1M /dev/urandom >/tmp/content
	as_user qemu-img convert -n -f raw -O raw /tmp/content "nvme://$NVME/1" ||
		fail "qemu-img cannot write"
	as_user qemu-img convert -f raw -O raw "nvme://$NVME/1" /tmp/back || fail "qemu-img cannot read"
	cmp -n 1048576 /tmp/content /tmp/back || fail "what was read back is not what was written"
	rm /tmp/back
}

[[ $(systemctl is-system-running --wait) == running ]] || fail "the guest itself is not well"
before=$(machine)

step "installation"
dpkg -i /vm/old.deb >/tmp/dpkg 2>&1 || { cat /tmp/dpkg; fail "it cannot be installed"; }
! grep -i warning /tmp/dpkg || { cat /tmp/dpkg; fail "dpkg has warnings"; }
systemctl is-enabled -q $unit || fail "it is not enabled"
wait_for 20 systemctl is-active -q $unit || fail "it was not started"
status "/dev/vfio/vfio, 0 groups, 0 devices" || fail "its status is $(show StatusText)"
[[ $(stat -c '%a %U' /dev/vfio/vfio) == "666 root" ]] || fail "no /dev/vfio/vfio for everybody"
# udev, asked again, leaves it so.
udevadm trigger --settle /dev/vfio/vfio
[[ $(stat -c '%a %U' /dev/vfio/vfio) == "666 root" ]] || fail "udev has changed /dev/vfio/vfio"

step "a configuration"
truncate -s 4M $image
configure '[device "two"]' 'backend = edu' "bdf = $EDU" 'group = 8'
reload "/dev/vfio/vfio, 2 groups, 2 devices"
[[ $(stat -c '%a %U' /dev/vfio/7) == "600 user" ]] || fail "group 7 is not the user's"
udevadm trigger --settle /dev/vfio/7
[[ $(stat -c '%a %U' /dev/vfio/7) == "600 user" ]] || fail "udev has changed group 7"
[[ $(cat "/sys/bus/pci/devices/$EDU/vendor") == 0x1234 ]] || fail "edu is not in sysfs"
laid=$(mounts)
[[ $laid != 0 ]] || fail "nothing is laid over /sys"

step "an ordinary user"
use_drive
# Each way in which the two processes reach a client: its memory, private and shared, its
# eventfds, its descriptors, mapped registers; a client that may not be looked at by others, and
# one that has a seccomp filter, by which its courier must not be hindered.
cases=()
for case in group_status group_get_device_names type1_map dma_private dma_memfd \
	dma_interrupt irq_intx_delivery irq_msi_delivery share_fork share_not_dumpable \
	share_own_filter; do
	cases+=(--only "$case")
done
vfioc-static --bdf "$EDU" "${cases[@]}" >/tmp/tap 2>&1 || { grep '^not' /tmp/tap; fail "vfioc, as root"; }
as_user vfioc-static --bdf "$NVME" --only group_status --only nvme_polled --only nvme_memfd \
	--only nvme_msix >/tmp/tap 2>&1 || { grep '^not' /tmp/tap; fail "vfioc, as a user"; }
! as_user vfioc-static --bdf "$EDU" --only group_status >/tmp/tap 2>&1 ||
	fail "a user can open a group that is not his"
! journalctl -o cat -b | grep -iE 'denied|not permitted|not supported|not followed' || fail "something was not permitted"

step "another configuration, while the first is in use"
hold
configure
reload "/dev/vfio/vfio, 1 group, 1 device"
# Outside of its own view, too.
[[ ! -e /dev/vfio/8 && ! -e /sys/bus/pci/devices/$EDU ]] || fail "edu is still there"
client_sees 0 0
echo nonsense >>$conf
systemctl reload $unit
systemctl is-active -q $unit || fail "a mistake in the configuration ended it"
wait_for 10 eval "journalctl -o cat -u $unit | grep -q 'stays as it was.*$conf'" ||
	fail "the journal does not say what is wrong"
configure

step "main is killed"
main=$(main_pid)
kill -9 "$main"
wait_for 30 restarted "$main" || fail "it was not started again"
client_sees 0 0			# a restart that clients do not notice: more of it in restart.sh
client_ends
use_drive

step "the agent is killed"
kill -9 "$(agent_pids "/usr/bin/vfio-cused agent")"
use_drive
one_agent || fail "there are $(agents) agents"

step "the clock jumps"
main=$(main_pid)
for by in 86400 -172800 86400; do
	hold
	date -s "@$(($(date +%s) + by))" >/dev/null || fail "the clock cannot be set"
	client_sees 0 0
	client_ends
	use_drive
done
[[ $(main_pid) == "$main" ]] || fail "a jump of the clock ended it"

step "the journal is full"
journal=$(systemctl show -P MainPID systemd-journald)
kill -STOP "$journal"
# A sender may have some hundred entries under way; so it is full for one that has none.
perl -MSocket -e '
	for (1..64) {
		my ($socket, $n) = (undef, 0);
		socket($socket, PF_UNIX, SOCK_DGRAM, 0) or die $!;
		connect($socket, sockaddr_un("/run/systemd/journal/socket")) or die $!;
		$n++ while defined send($socket, "MESSAGE=full\n", MSG_DONTWAIT);
		exit 0 if $n == 0;
	}
	exit 1' || fail "the journal takes whatever comes"
hold
# It has something to say about each of these.
echo nonsense >>$conf
systemctl reload $unit
configure '[device "two"]' 'backend = edu' "bdf = $EDU" 'group = 8'
reload "/dev/vfio/vfio, 2 groups, 2 devices"
configure
reload "/dev/vfio/vfio, 1 group, 1 device"
vfio-cused ctl status >/dev/null || fail "it cannot be asked while the journal is full"
client_sees 0 0
client_ends
use_drive
[[ $(systemctl show -P MainPID systemd-journald) == "$journal" ]] &&
	grep -q '^State:.T' "/proc/$journal/status" || fail "somebody else has read the journal"
said=$(complaints)
kill -CONT "$journal"
wait_for 20 complained "$said" || fail "what it said while the journal was full is lost"
[[ $(main_pid) == "$main" ]] || fail "a full journal ended it"

step "main hangs"
mkdir -p /run/systemd/system/$unit.d
printf '[Service]\nWatchdogSec=3\n' >/run/systemd/system/$unit.d/watchdog.conf
systemctl daemon-reload
systemctl restart $unit || fail "it cannot be started again"
main=$(main_pid)
wait_for 30 one_agent || fail "there are $(agents) agents"
# It lives through several of them. (The time itself is what is waited for.)
pause 8
[[ $(main_pid) == "$main" ]] || fail "the watchdog ended a service that lives"
hold
kill -STOP "$main"
wait_for 60 restarted "$main" || fail "the watchdog let it hang"
journalctl -o cat -u $unit | grep -q -i watchdog || fail "it was not the watchdog"
client_sees 0 0
client_ends
use_drive

step "an upgrade"
hold
main=$(main_pid)
dpkg -i /vm/new.deb >/tmp/dpkg 2>&1 || { cat /tmp/dpkg; fail "it cannot be upgraded"; }
[[ $(main_pid) == "$main" ]] || fail "the upgrade has restarted it"
client_sees 0 0
[[ $(dpkg-query -W -f '${Version}' vfio-cused) == 0.1.0+new ]] || fail "it is not upgraded"
grep -q "$image" $conf || fail "the upgrade has changed the configuration"

step "stop"
systemctl stop $unit || fail "it cannot be stopped"
client_sees 107 107
client_ends
[[ $(show Result) == success ]] || fail "it stopped with $(show Result)"
wait_for 20 as_before || { machine_now; fail "something is left"; }
[[ -z $(systemctl list-units --plain --no-legend --state=failed) ]] || fail "a unit has failed"
systemctl start $unit || fail "it cannot be started"
use_drive

step "purge"
dpkg -P vfio-cused >/tmp/dpkg 2>&1 || { cat /tmp/dpkg; fail "it cannot be purged"; }
! grep -q 'not removed\|not empty' <(grep -v /var/lib/vfio-cused /tmp/dpkg) || { cat /tmp/dpkg; fail "it is not gone"; }
wait_for 20 as_before || { machine_now; fail "after the purge, something is left"; }
[[ -e $image ]] || fail "the purge has taken an image"
left=$(find / -xdev -name '*vfio-cused*' ! -path '/proc/*' ! -path '/sys/*' ! -path '/vm/*' \
	! -path '/var/lib/vfio-cused' ! -path '/run/systemd/*' ! -path '/tmp/*')
[[ -z $left ]] || fail "left: $left"
step "good"
