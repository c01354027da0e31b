#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# qemu-img and qemu-io drive a simulated drive through nvme:// and VFIO.
. "$(dirname "$0")/lib.sh"
need qemu-img qemu-io

mib=16
truncate -s ${mib}M "$work/drive.img"
content $((mib << 20)) >"$work/content.raw"
device=(--device "nvme,image=$work/drive.img,bdf=$bdf")
url=nvme://$bdf/1

expect 0 cused run "${device[@]}" -- qemu-img info "$url"
has out "virtual size: $mib MiB"

expect 0 cused run "${device[@]}" -- qemu-img convert -n -f raw -O raw \
	"$work/content.raw" "$url"
cmp "$work/content.raw" "$work/drive.img" || fail "the image differs from what was written"
expect 0 cused run "${device[@]}" -- qemu-img convert -f raw -O raw "$url" "$work/back.raw"
cmp "$work/content.raw" "$work/back.raw" || fail "what was read differs"

# a drive in memory: both ways in one run, since it ends with it
expect 0 cused run --device "nvme,size=${mib}M,bdf=$bdf" -- sh -ec "
	qemu-img convert -n -f raw -O raw '$work/content.raw' $url
	qemu-img convert -f raw -O raw $url '$work/back2.raw'"
cmp "$work/content.raw" "$work/back2.raw" || fail "memory keeps other bytes than written"

expect 0 cused run "${device[@]}" -- qemu-img bench -c 2000 -d 32 -f raw -t none "$url"
expect 0 cused run "${device[@]}" -- qemu-img bench -w -c 1000 -d 8 -s 64k -f raw -t none "$url"

# patterns, an unaligned write, zeroes, discard, flush
expect 0 cused run "${device[@]}" -- qemu-io -f raw -n \
	-c 'write -P 0x5a 1M 256k' -c 'read -P 0x5a 1M 256k' \
	-c 'write -P 0x11 4097 513' -c 'read -P 0x11 4097 513' \
	-c 'write -z 2M 64k' -c 'read -P 0 2M 64k' \
	-c 'discard 3M 64k' -c 'flush' -c 'aio_write -P 0x77 5M 1M' -c 'aio_flush' \
	-c 'read -P 0x77 5M 1M' "$url"
! grep -q 'verification failed' "$work/out" || fail "a pattern came back changed"
cmp -n 1 -i 1048576:0 "$work/drive.img" <(printf '\x5a') || fail "0x5a is not in the image"
