#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The Debian package and its units on a guest with systemd: see guest/systemd.sh.
. "$(dirname "$0")/lib.sh"
need dpkg-buildpackage dh depmod fakeroot
[[ -s $VM_DEBIAN ]] || skip "no user space $VM_DEBIAN: run ./bootstrap guest"

"$vm_dir/debian/package.sh" "$work/package" || fail "the package cannot be built"
old=$(echo "$work"/package/vfio-cused_*.deb)
# The same as a newer one.
dpkg-deb -R "$old" "$work/new"
sed -i 's/^Version: .*/Version: 0.1.0+new/' "$work/new/DEBIAN/control"
fakeroot dpkg-deb -b "$work/new" "$work/new.deb" >/dev/null
# One CPU: of several, QEMU can run instructions that are no longer there (see vm.sh), at any time
# that systemd switches something on in the kernel.
vm --root "$VM_DEBIAN" --modprobe fuse --modprobe cuse --memory 1024 --seconds 500 \
	--program "$SYSTEM_BIN/vfioc-static" \
	--program "$(dirname "$VFIO_CUSED")/tests/vm/vm-holder" \
	--file "$old:/vm/old.deb" --file "$work/new.deb:/vm/new.deb" \
	--file "$vm_dir/guest/lib.sh:/vm/lib.sh" --file "$vm_dir/guest/unit-lib.sh:/vm/unit-lib.sh" \
	"$vm_dir/guest/systemd.sh"
