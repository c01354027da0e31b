#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# make.sh - makes a Debian user space, for guests, from packages; without root.
#
#   make.sh FILE PACKAGE…
#
# FILE is an archive of cpio, for vm.sh --root: a system that systemd starts, in memory, with
# dpkg's record of the PACKAGEs as installed ones. They are unpacked only; what their scripts
# would have made and a guest needs is made here. Documentation and translations are left out.
# FILE appears when it is whole, or not at all.
set -euo pipefail
shopt -s inherit_errexit

(($# >= 2)) || { echo "usage: make.sh FILE PACKAGE…" >&2; exit 2; }
file=$(realpath -m "$1")
shift
work=$file.new
root=$work/root
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
rm -rf "$work"
mkdir -p "$root"/{usr/{bin,sbin,lib,lib32,lib64,libx32},var/lib/dpkg/{info,updates},etc}
umask 022

# As usrmerge leaves it; packages of this release still have files in both places.
for folder in bin sbin lib lib32 lib64 libx32; do
	ln -s "usr/$folder" "$root/$folder"
done

left_out=(--exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/info/*'
	--exclude='./usr/share/locale/*' --exclude='./usr/share/lintian' --exclude='./usr/share/i18n/*'
	--exclude='./lib/udev/hwdb.d/*' --exclude='./usr/lib/udev/hwdb.d/*'
	--exclude='./usr/lib/x86_64-linux-gnu/gconv/*' --exclude='./usr/share/zoneinfo/*')

for package in "$@"; do
	dpkg-deb --fsys-tarfile "$package" | tar -x -p -C "$root" --keep-directory-symlink \
		--no-same-owner "${left_out[@]}"
	# shellcheck disable=SC2016
	{ read -r name && read -r architecture && read -r multi; } < <(dpkg-deb -W \
		--showformat '${Package}\n${Architecture}\n${Multi-Arch}\n' "$package")
	[[ $multi != same ]] || name+=:$architecture
	dpkg-deb --fsys-tarfile "$package" | tar -t | sed 's/^\.//; s/\/$//; s/^$/\/./' \
		>"$root/var/lib/dpkg/info/$name.list"
	# Its description may have many lines, and is the last field that a control file has
	# to have; the status may stand anywhere.
	{
		echo "Status: install ok installed"
		dpkg-deb -f "$package"
		echo
	} >>"$root/var/lib/dpkg/status"
done
: >"$root/var/lib/dpkg/available"

# What scripts of base-passwd, base-files, mawk, systemd and PAM make.
cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
echo 'user:x:1000:1000::/tmp:/bin/sh' >>"$root/etc/passwd"
echo 'user:x:1000:' >>"$root/etc/group"
echo 'root::19000::::::' >"$root/etc/shadow"
ln -sf mawk "$root/usr/bin/awk"
ln -sf bash "$root/usr/bin/sh.distrib"
[[ -e $root/usr/bin/sh ]] || ln -s dash "$root/usr/bin/sh"
[[ -e $root/etc/os-release ]] || ln -s ../usr/lib/os-release "$root/etc/os-release"
echo guest >"$root/etc/hostname"
# One that has it is not at its first start, where all units would be set anew.
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
ln -sf /usr/lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
# Nobody logs in, and an emulated machine takes its time for each unit.
for unit in systemd-logind getty.target systemd-hwdb-update systemd-networkd \
	systemd-timesyncd systemd-resolved systemd-update-utmp systemd-update-utmp-runlevel \
	systemd-pcrphase systemd-pcrphase-sysinit apt-daily.timer fstrim.timer \
	e2scrub_all.timer dpkg-db-backup.timer systemd-firstboot; do
	[[ $unit == *.* ]] || unit+=.service
	ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
# No limit of a log that is in memory, no forwarding to a console that is slow.
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\nForwardToSyslog=no\nRateLimitBurst=0\n' \
	>"$root/etc/systemd/journald.conf.d/guest.conf"
mkdir -p "$root"/{dev,proc,sys,run,tmp,var/{log,cache,tmp}}
chmod 1777 "$root/tmp" "$root/var/tmp"

(cd "$root" && find . -mindepth 1 | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) >"$work/cpio"
mv "$work/cpio" "$file"
