#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# qemu-img of an ordinary user, on a drive of the service with an image behind it.
# shellcheck source=lib.sh
. /vm/lib.sh
mib=8
url=nvme://$NVME/1

# Different bytes everywhere, $1 of them
content()
{
	awk -v size="$1" 'BEGIN { for (n = 0; n < size; n += 32) printf "byte %-26d\n", n }'
}

# as_user NAME COMMAND: as the owner of the group
as_user()
{
	name=$1
	shift
	timeout 100 su user -c "exec $*" >/tmp/out 2>&1 || { cat /tmp/out; fail "$name"; }
}

content $((mib << 20)) >/tmp/content.raw
dd if=/dev/zero of=/tmp/drive.img bs=1M count=$mib 2>/dev/null
start_service --device "nvme,image=/tmp/drive.img,bdf=$NVME"
chown user "/dev/vfio/$(group_of "$NVME")"
as_user info qemu-img info "$url"
grep -q "virtual size: $mib MiB" /tmp/out || { cat /tmp/out; fail "info"; }
as_user "to the drive" qemu-img convert -n -f raw -O raw /tmp/content.raw "$url"
cmp /tmp/content.raw /tmp/drive.img || fail "the image differs from what was written"
as_user "from the drive" qemu-img convert -f raw -O raw "$url" /tmp/back.raw
cmp /tmp/content.raw /tmp/back.raw || fail "what was read differs"
rm /tmp/back.raw
as_user bench qemu-img bench -c 1000 -d 32 -f raw -t none "$url"
grep completed /tmp/out
as_user "bench, writing" qemu-img bench -w -c 300 -d 8 -s 64k -f raw -t none "$url"
grep completed /tmp/out
as_user "from the drive, under exec" vfio-cused exec -- \
	qemu-img convert -f raw -O raw "$url" /tmp/back.raw
cmp /tmp/drive.img /tmp/back.raw || fail "what was read under exec differs"
stop_service
