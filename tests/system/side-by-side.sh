#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Several runs at once, with the same addresses and groups, never meet.
. "$(dirname "$0")/lib.sh"
need qemu-img

n=4
for ((i = 0; i < n; i++)); do
	truncate -s 8M "$work/$i.img"
	content 8388608 | tr b "$i" >"$work/$i.raw"
	mkfifo "$work/$i.go"
	# shellcheck disable=SC2016
	cused run --device "nvme,image=$work/$i.img,bdf=$bdf,group=$group" -- sh -ec '
		: >"$0.up"
		read -r word <"$0.go"
		qemu-img convert -n -f raw -O raw "$0.raw" "$1"
		qemu-img convert -f raw -O raw "$1" "$0.back"' "$work/$i" "nvme://$bdf/1" \
		>"$work/$i.out" 2>&1 &
	pids[i]=$!
done
for ((i = 0; i < n; i++)); do
	wait_for 30 test -e "$work/$i.up" || fail "run $i did not start"
done
for ((i = 0; i < n; i++)); do
	timeout $((30 * patience)) sh -c 'echo go >"$0"' "$work/$i.go"
done
for ((i = 0; i < n; i++)); do
	wait_status "${pids[i]}"
	[[ $is == 0 ]] || { cat "$work/$i.out"; fail "run $i: status $is"; }
	cmp "$work/$i.raw" "$work/$i.img" || fail "image $i"
	cmp "$work/$i.raw" "$work/$i.back" || fail "what run $i read"
done
