#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A client without any library: the same cases, linked statically, with a drive that is
# backed by a file and an educational device in a group of its own.
. "$(dirname "$0")/lib.sh"
limit=250

iterations=500
[[ -z $SANITIZE ]] || iterations=200
other=0000:e1:00.0
truncate -s 16M "$work/drive.img"
devices=(--device "edu,bdf=$bdf" --device "nvme,image=$work/drive.img,bdf=$other")
client=$SYSTEM_BIN/vfioc-static
! ldd "$client" >/dev/null 2>&1 || fail "$client is not static"
for at in $bdf $other; do
	cused run "${devices[@]}" -- "$client" --bdf $at --iterations $iterations
done
