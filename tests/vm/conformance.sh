#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The conformance program on the kernel's own VFIO, in a guest, whose answers are the golden
# recording of this run, and the same under `run`, by `serve` in a guest, and in process over
# the core. A step that is answered otherwise is a fault, or stands with its reason in
# tests/conformance/known.
#
# KEEP=FOLDER keeps the recordings there.
. "$(dirname "$0")/lib.sh"
. "$vm_dir/judge.sh"

: "${CONFORMANCE_BIN:=$(dirname "$VM_INIT")/../conformance}"
known=$vm_dir/../conformance/known
edu=0000:e0:00.0 nvme=0000:e1:00.0
programs=() clients=(kernel) services=(root-static)
for program in "$CONFORMANCE_BIN"/conformance-{static,32}; do
	[[ ! -x $program ]] || programs+=(--program "$program")
done
[[ ! -x $CONFORMANCE_BIN/conformance-32 ]] || { clients+=(kernel-32) services+=(root-32); }

# In guests: the kernel's VFIO, then the service.
scripts=()
for client in "${clients[@]}"; do
	cp "$vm_dir/guest/reference.sh" "$work/$client.sh"
	scripts+=("$work/$client.sh")
done
truncate -s 16M "$work/drive.img"
vm --smp 2 --seconds 400 --quiet "${programs[@]}" \
	--module vfio-pci --module vfio_iommu_type1 --append intel_iommu=on \
	--device intel-iommu,intremap=on \
	--device pcie-root-port,id=port1,chassis=1,addr=10.0 --device edu,bus=port1 \
	--device pcie-root-port,id=port2,chassis=2,addr=11.0 \
	--drive "if=none,id=drive,format=raw,file=$work/drive.img" \
	--device nvme,bus=port2,drive=drive,serial=reference \
	--env "DEVICES=edu=0000:01:00.0 nvme=0000:02:00.0" --env CLIENT=conformance \
	"${scripts[@]}" >"$work/vm.out" 2>&1 || { tail -n 60 "$work/vm.out"; fail "the guest"; }
printf 'kernel %s\n' "$(head -n 1 "$work/results/kernel.out")"
mv "$work/results" "$work/golden"
golden=$work/golden/kernel.out
bad=0

# judged SIDE FILE [skips]
judged()
{
	local failures

	echo "-- $1"
	failures=$(grep -A1 -B2 '^not ok' "$2" || :)
	[[ -z $failures ]] || { printf '%s\n' "$failures" | head -n 20; bad=1; }
	# Of the golden recording, the devices that were there.
	awk 'FNR == NR { if (/^device /) there[$2] = 1; next }
		/^device / { keep = $2 in there } keep' "$2" "$golden" >"$work/golden.out"
	judge_recordings "$1" "$work/golden.out" "$2" "$known" "${@:3}" || bad=1
}
[[ ! -e $work/golden/kernel-32.out ]] || judged 32 "$work/golden/kernel-32.out" skips

# both FILE COMMAND…: on edu with nvme as its peer, and the other way round.
both()
{
	local file=$1 pair name at peer

	shift
	for pair in "edu $edu $nvme" "nvme $nvme $edu"; do
		read -r name at peer <<<"$pair"
		printf 'device %s\n' "$name"
		rm -f "$work/record"
		timeout 300 "$@" --bdf "$at" --peer "$peer" --record "$work/record" </dev/null || :
		cat "$work/record"
	done >"$file" 2>&1
}
iommu=(--iommu "sim,memlock=enforce")
run=("$VFIO_CUSED" run "${iommu[@]}" --device "edu,bdf=$edu" --device "nvme,size=16M,bdf=$nvme" --)
for name in conformance conformance-static; do
	both "$work/$name.out" "${run[@]}" "$CONFORMANCE_BIN/$name"
	judged run "$work/$name.out"
done
both "$work/inside.out" "$CONFORMANCE_BIN/conformance-inside"
judged process "$work/inside.out" skips

# Every order of closing: those that the kernel did not go through are compared with the
# core's.
echo "-- every order of closing"
orders=(--only closing_all_copies --only closing_all_two_groups)
both "$work/orders-inside.out" "$CONFORMANCE_BIN/conformance-inside" "${orders[@]}"
both "$work/orders-run.out" "${run[@]}" "$CONFORMANCE_BIN/conformance" "${orders[@]}" \
	--only closing_all_mapped
: >"$work/none"
grep -v '^closing_all_mapped' "$work/orders-run.out" >"$work/orders.out"
judge_recordings run "$work/orders-inside.out" "$work/orders.out" "$work/none" || bad=1

scripts=()
for service in "${services[@]}"; do
	cp "$vm_dir/guest/service-client.sh" "$work/service-$service.sh"
	scripts+=("$work/service-$service.sh")
done
vm --smp 2 --memory 1024 --seconds 900 --quiet --module cuse --module fuse \
	"${programs[@]}" --program "$VFIO_CUSED" --file "$vm_dir/guest/lib.sh:/vm/lib.sh" \
	--env CLIENT=conformance --env "OPTIONS=${iommu[*]}" "${scripts[@]}" \
	>"$work/vm.out" 2>&1 || { tail -n 60 "$work/vm.out"; bad=1; }
for service in "${services[@]}"; do
	judged serve "$work/results/service-$service.out" skips
done
rows_alike "$golden" "$work"/{conformance,inside}.out "$work"/results/*.out
[[ -z ${KEEP-} ]] || cp -r "$work"/{golden,results,*.out} "$KEEP"
((bad == 0)) || fail "differences that tests/conformance/known does not explain"
