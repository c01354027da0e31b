#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What cannot be done ends with status 125 and a sentence naming the thing, the value and
# the cure; the command does not run.
. "$(dirname "$0")/lib.sh"

# refuse WORDS ARGUMENT…: each word (separated by |) is in the message
refuse()
{
	local words

	IFS='|' read -r -a words <<<"$1"
	shift
	expect 125 cused run "$@" -- sh -c "echo ran; : >$work/ran"
	[[ ! -e $work/ran ]] || fail "the command ran in spite of: $*"
	has err "vfio-cused" "${words[@]}"
	printf '%-40s %s\n' "$*" "$(head -n 1 "$work/err")"
}

truncate -s 1M "$work/good.img"
truncate -s 1000 "$work/odd.img"
: >"$work/empty.img"

refuse 'nvmee|nvme|edu' --device nvmee
refuse 'colour|nvme|image|size' --device nvme,colour=red
refuse 'size|12parsec' --device nvme,size=12parsec
refuse 'bdf|0000:zz:00.0' --device edu,bdf=0000:zz:00.0
refuse 'bdf|0000:e0:20.0' --device edu,bdf=0000:e0:20.0
refuse 'group|-3' --device edu,group=-3
refuse "$bdf" --device "edu,bdf=$bdf" --device "nvme,bdf=$bdf"
refuse "$work/missing.img" --device "nvme,image=$work/missing.img"
refuse "$work/odd.img|1000|512" --device "nvme,image=$work/odd.img"
refuse "$work/empty.img|is empty|truncate" --device "nvme,image=$work/empty.img"
refuse "$work" --device "nvme,image=$work"
refuse 'simm|sim' --iommu simm
refuse 'aperture|999' --iommu sim,aperture=999
refuse 'depth' --iommu sim,depth=2
chmod 0 "$work/good.img"
((EUID == 0)) || refuse "$work/good.img" --device "nvme,image=$work/good.img"
chmod 644 "$work/good.img"

# options of the program itself
expect 125 "$VFIO_CUSED" run --devise edu -- true
has err --devise
expect 125 "$VFIO_CUSED" run --device edu --
expect 125 "$VFIO_CUSED" run --device edu
expect 125 "$VFIO_CUSED" walk
has err walk

# an image that another run uses, or another device, or namespace, of the same
mkfifo "$work/go"
cused run --device "nvme,image=$work/good.img" -- sh -c ": >$work/up; read -r word <$work/go" &
wait_for 20 test -e "$work/up" || fail "the other run did not start"
refuse "$work/good.img|in use" --device "nvme,image=$work/good.img"
refuse "$work/good.img|in use" --device "nvme,image=$work/good.img,readonly=on"
echo end >"$work/go"
wait_status $!
[[ $is == 0 ]] || fail "the other run: status $is"
refuse "$work/good.img|in use" --device "nvme,image=$work/good.img" \
	--device "nvme,image=$work/good.img"
refuse "$work/good.img|in use" --device "nvme,image=$work/good.img,image2=$work/good.img"
expect 0 cused run --device "nvme,image=$work/good.img" -- true
expect 0 cused run --device "nvme,image=$work/good.img,readonly=on" \
	--device "nvme,image=$work/good.img,readonly=on" -- true
