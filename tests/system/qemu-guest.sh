#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest with Debian's packaged kernel boots in QEMU. Its own nvme driver makes a file
# system on the simulated drive, writes, unmounts, mounts again and reads back.
. "$(dirname "$0")/lib.sh"
need qemu-system-x86_64 busybox cpio mke2fs debugfs
limit=170

[[ -s $GUEST_DIR/vmlinuz && -s $GUEST_DIR/version ]] ||
	skip "no guest kernel in $GUEST_DIR: run ./bootstrap guest"
version=$(<"$GUEST_DIR/version")
root=$work/root
mkdir -p "$root"/{bin,lib,proc,sys,dev,mnt,modules}
cp "$(command -v busybox)" "$root/bin/busybox"

# Copies a program and its libraries.
add_program()
{
	local library

	install -D "$(command -v "$1")" "$root/bin/$1"
	for library in $(ldd "$(command -v "$1")" | grep -o '/[^ ]*'); do
		install -D "$library" "$root$library"
	done
}
add_program mke2fs

# Copies a module after those that it depends on, and says in which order.
add_module()
{
	local name=${1//-/_} file dependency

	! grep -qx "$name" "$work/order" || return 0
	file=$(find "$GUEST_DIR/modules" -name "${name//_/[-_]}.ko*" | head -n 1)
	[[ -n $file ]] || return 0	# built in
	case $file in
	*.xz) xz -dc "$file" ;;
	*.zst) zstd -dcq "$file" ;;
	*.gz) gzip -dc "$file" ;;
	*) cat "$file" ;;
	esac >"$root/modules/$name.ko"
	while read -r dependency; do
		[[ -z $dependency ]] || add_module "$dependency"
	done < <(tr '\0' '\n' <"$root/modules/$name.ko" | sed -n 's/^depends=//p' | tr , '\n')
	echo "$name" >>"$work/order"
}
: >"$work/order"
# ext4 asks for its checksum by name, which no dependency tells
for module in crc32c_generic crc32c_cryptoapi libcrc32c ext4 nvme; do
	add_module $module
done
grep -qx nvme "$work/order" || grep -q '/nvme\.ko' "$GUEST_DIR/modules/modules.builtin" ||
	fail "the guest kernel has no nvme driver"
cp "$work/order" "$root/modules/order"

cat >"$root/init" <<'INIT'
#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
$bb mount -t devtmpfs dev /dev
say() { echo "guest: $*"; }
stop() { say "$*"; $bb sync; $bb poweroff -f; }
# The kernel says when the drive is there.
$bb mkfifo /there
exec 3<>/there
$bb uevent /event &
for module in $($bb cat /modules/order); do
	$bb insmod "/modules/$module.ko" || say "insmod $module: $?"
done
tries=0
until [ -b /dev/nvme0n1 ]; do
	tries=$((tries + 1))
	[ $tries -le 20 ] || stop "no drive"
	# One second, as what it said before uevent listened is not heard.
	read -r -t 1 _ <&3
done
say "drive $($bb cat /sys/block/nvme0n1/size) sectors, $($bb cat /sys/class/nvme/nvme0/model)"
/bin/mke2fs -q -t ext4 -F /dev/nvme0n1 || stop "mke2fs: $?"
$bb mount -t ext4 /dev/nvme0n1 /mnt || stop "mount: $?"
$bb dd if=/dev/urandom of=/mnt/random bs=64k count=64 2>/dev/null
$bb seq 1 100000 >/mnt/numbers
$bb mkdir /mnt/dir
for i in $($bb seq 1 200); do echo "file $i" >"/mnt/dir/$i"; done
cd /mnt
$bb find . -type f | $bb sort | $bb xargs $bb md5sum >/sums
cd /
$bb umount /mnt || stop "umount: $?"
echo 3 >/proc/sys/vm/drop_caches
$bb mount -t ext4 /dev/nvme0n1 /mnt || stop "second mount: $?"
cd /mnt
$bb md5sum -c /sums >/checked 2>&1 && say "sums good: $($bb grep -c OK /checked)" || say "sums bad"
say "numbers $($bb md5sum numbers)"
cd /
$bb umount /mnt || stop "second umount: $?"
$bb grep nvme /proc/interrupts
stop "done"
INIT
cat >"$root/event" <<'EVENT'
#!/bin/busybox sh
[ "$ACTION $DEVNAME" != "add nvme0n1" ] || echo there >/there
EVENT
chmod +x "$root/init" "$root/event"
(cd "$root" && find . | cpio -o -H newc 2>/dev/null | gzip -1) >"$work/initrd"

truncate -s 64M "$work/drive.img"
expect 0 cused run --device "nvme,image=$work/drive.img,bdf=$bdf" -- \
	qemu-system-x86_64 -accel tcg,thread=multi -cpu max,-cx16 -smp 2 -m 512 -machine q35 \
	-nodefaults -no-user-config -display none -no-reboot \
	-serial "file:$work/serial" -kernel "$GUEST_DIR/vmlinuz" -initrd "$work/initrd" \
	-append "console=ttyS0 quiet panic=-1 rdinit=/init tsc=reliable" \
	-device "vfio-pci,host=$bdf"
tr -d '\r' <"$work/serial" >"$work/console"
has console "guest: drive 131072 sectors" "guest: sums good: 202" "guest: done"
printf 'kernel %s\n' "$version"
grep '^guest:' "$work/console"

# The file system is in the image, too, and says the same.
e2fsck=$(command -v e2fsck || echo /sbin/e2fsck)
"$e2fsck" -fn "$work/drive.img" >"$work/fsck" 2>&1 || { cat "$work/fsck"; fail "e2fsck"; }
debugfs -R "dump /numbers $work/numbers" "$work/drive.img" 2>/dev/null
seq 1 100000 | cmp - "$work/numbers" || fail "the image holds other numbers"
has console "guest: numbers $(md5sum <"$work/numbers" | cut -d ' ' -f 1)"
