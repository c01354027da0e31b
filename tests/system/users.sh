#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Anyone may run it: a user without any right or home, and root.
. "$(dirname "$0")/lib.sh"
need setpriv qemu-img

cp "$VFIO_CUSED" "$SYSTEM_BIN/vfioc" "$work/"
chmod 755 "$work/vfio-cused" "$work/vfioc"
mkdir -m 1777 "$work/home"
truncate -s 8M "$work/home/drive.img"
chmod 666 "$work/home/drive.img"
content 8388608 >"$work/content.raw"
chmod 644 "$work/content.raw"

# shellcheck disable=SC2016
script='
	cd "$HOME"
	id -u
	"$WORK/vfio-cused" run --device "nvme,image=$HOME/drive.img,bdf=$BDF" -- \
		qemu-img convert -n -f raw -O raw "$WORK/content.raw" "nvme://$BDF/1"
	"$WORK/vfio-cused" run --device "edu,bdf=$BDF" -- "$WORK/vfioc" --bdf "$BDF" \
		--only dma_private --only irq_msi_delivery --only group_no_fd_left
	"$WORK/vfio-cused" run --device edu -- id -u
'
as()
{
	timeout -k 5 $((limit * patience)) env HOME="$work/home" WORK="$work" BDF="$bdf" \
		"$@" sh -ec "$script"
}

if ((EUID == 0)); then
	expect 0 as setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
		--bounding-set=-all
	[[ $(head -n 1 "$work/out") == 65534 ]] || fail "not run as user 65534"
	cmp "$work/content.raw" "$work/home/drive.img" || fail "the user's image differs"
	: >"$work/home/drive.img"
	truncate -s 8M "$work/home/drive.img"
fi
expect 0 as env
[[ $(head -n 1 "$work/out") == "$EUID" && $(tail -n 1 "$work/out") == "$EUID" ]] ||
	fail "the client has another user: $(<"$work/out")"
cmp "$work/content.raw" "$work/home/drive.img" || fail "image differs"
