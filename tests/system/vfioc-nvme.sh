#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The client of our own against a drive backed by memory, linked dynamically.
. "$(dirname "$0")/lib.sh"
limit=250

iterations=2000
[[ -z $SANITIZE ]] || iterations=300
cused run --device "nvme,size=16M,bdf=$bdf,group=$group" -- \
	"$SYSTEM_BIN/vfioc" --bdf "$bdf" --group "$group" --iterations $iterations
