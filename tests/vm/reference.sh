#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel's VFIO is the judge: the same test client runs in a guest on the kernel's own
# /dev/vfio, with QEMU's edu and NVMe devices behind its emulated IOMMU, and here under
# vfio-cused with devices of the same kinds, each on a bus of its own. Where one of the two answers otherwise than
# the client expects and the other does not, that is a difference: it must be listed in
# known-differences with its reason, and what is listed must be seen.
. "$(dirname "$0")/lib.sh"
limit=200
iterations=100
answers=$(dirname "$VM_INIT")/vm-answers

# ---- both runs ----

truncate -s 16M "$work/drive.img"
vm --smp 2 --seconds 200 --quiet --program "$SYSTEM_BIN/vfioc-static" --program "$answers" \
	--module vfio-pci --module vfio_iommu_type1 --append intel_iommu=on \
	--device intel-iommu,intremap=on \
	--device pcie-root-port,id=port1,chassis=1,addr=10.0 --device edu,bus=port1 \
	--device pcie-root-port,id=port2,chassis=2,addr=11.0 \
	--drive "if=none,id=drive,format=raw,file=$work/drive.img" \
	--device nvme,bus=port2,drive=drive,serial=reference \
	--env "DEVICES=edu=0000:01:00.0 nvme=0000:02:00.0" --env ITERATIONS=$iterations \
	"$vm_dir/guest/reference.sh" >"$work/vm.out" 2>&1 || { cat "$work/vm.out"; fail "the guest"; }

edu=0000:e0:00.0 nvme=0000:e1:00.0
ours()
{
	local run=(cused run --device "edu,bdf=$edu" --device "nvme,size=16M,bdf=$nvme" --)

	printf 'device %s\n' "$1"
	"${run[@]}" "$SYSTEM_BIN/vfioc-static" --bdf "$2" --peer "$3" \
		--iterations $iterations || :
	"${run[@]}" "$answers" "$2"
}
{ ours edu $edu $nvme; ours nvme $nvme $edu; } >"$work/ours.tap" 2>&1
cp "$work/results/reference.out" "$work/kernel.tap"

# ---- comparison ----

# Lines "verdict DEVICE CASE is VERDICT" and "deviates DEVICE CASE is TEXT", by tabs, of
# what the client said. Deviations stand before their case.
read_tap()
{
	awk -v OFS='\t' '
	/^device / { device = $2; n = 0 }
	/^# [^ ]*:[0-9]+: / {
		sub(/^# [^ ]*:[0-9]+: /, "")
		gsub(/ \(0x[0-9a-f]+\)/, "")
		text[n++] = $0
	}
	/^# (deadline passed|killed by signal)/ { sub(/^# /, ""); text[n++] = $0 }
	/^(not )?ok [0-9]/ {
		verdict = /# SKIP/ ? "skipped" : /^ok/ ? "ok" : "deviates"
		sub(/^(not )?ok [0-9]+ /, "")
		print "verdict", device, $1, verdict
		if (verdict != "ok" && !n && verdict == "deviates")
			text[n++] = "failed"
		for (i = 0; i < n; i++)
			if (verdict != "skipped")
				print "deviates", device, $1, text[i]
		n = 0
	}' "$1"
}
read_tap "$work/kernel.tap" >"$work/kernel.lines"
read_tap "$work/ours.tap" >"$work/ours.lines"

printf 'kernel %s\n' "$(head -n 1 "$work/kernel.tap")"
status=0
awk -F '\t' -v kernel="$work/kernel.lines" -v ours="$work/ours.lines" \
	-v known="$vm_dir/known-differences" -f "$vm_dir/compare.awk" || status=$?
if ((status != 0)); then
	echo "-- what the client said on the kernel:"
	grep -v '^ok' "$work/kernel.tap" || :
	echo "-- and under vfio-cused:"
	grep -v '^ok' "$work/ours.tap" || :
	fail "differences that tests/vm/known-differences does not explain"
fi
