#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `vfio-cused serve` in a guest that has CUSE and no IOMMU: its start and end, the test
# client in several ways, each compared with what the kernel's VFIO answers (record.sh),
# clients that do not behave, qemu-img, and QEMU with an assigned device.
. "$(dirname "$0")/lib.sh"
. "$vm_dir/judge.sh"
need qemu-img strace

programs=()
for program in "$VFIO_CUSED" "$SYSTEM_BIN"/vfioc{,-static,-32} "$answers"{,-32} qemu-img \
	qemu-system-x86_64 strace; do
	[[ $program != */* || -x $program ]] || skip "$program is not there: ./bootstrap deps"
	programs+=(--program "$program")
done

# QEMU looks for its parts beside itself, or where -L says.
qemu_files()
{
	local file folder

	for file in bios-256k.bin kvmvapic.bin; do
		for folder in /usr/share/seabios /usr/share/qemu; do
			[[ ! -e $folder/$file ]] || printf '%s\n' --file "$folder/$file:/vm/firmware/$file"
		done
	done
	for file in /usr/lib/*/qemu/accel-tcg-x86_64.so; do
		[[ ! -e $file ]] || printf '%s\n' --file "$file:${file/#\/usr/\/usr\/local}"
	done
}
mapfile -t files < <(qemu_files)

# The same script, told by its name what to do.
clients=(user-static root exec-static user-32) client_scripts=()
for client in "${clients[@]}"; do
	cp "$vm_dir/guest/service-client.sh" "$work/service-$client.sh"
	client_scripts+=("$work/service-$client.sh")
done

# boot KERNEL [OPTION OF vm.sh…] SCRIPT…
boot()
{
	vm --kernel "$1" --memory 2048 --seconds 500 --quiet --module cuse \
		--module fuse "${programs[@]}" "${files[@]}" \
		--file "$vm_dir/guest/lib.sh:/vm/lib.sh" --env ITERATIONS=$iterations "${@:2}"
}

bad=0
boot "$VM_KERNEL" --smp 2 "$vm_dir"/guest/service-{life,clients,qemu-img,qemu}.sh || bad=1
# With one processor a call is answered within one time slice: less than half the time.
boot "$VM_KERNEL" "${client_scripts[@]}" || bad=1
for client in "${clients[@]}"; do
	[[ $(<"$work/results/service-$client.status") == 0 ]] 2>/dev/null || continue
	recording=kernel
	[[ $client != *-32 ]] || recording=kernel-32
	echo "-- $client"
	judge service $recording "$work/results/service-$client.out" type1_budget || bad=1
done

# The kernel's own vfio has the name.
boot "$VM_KERNEL" --module vfio "$vm_dir/guest/service-taken.sh" || bad=1

# An older kernel, where devices cannot be mapped.
if [[ -s $GUEST_DIR/vmlinuz && ! $GUEST_DIR -ef $VM_KERNEL ]]; then
	boot "$GUEST_DIR" "$vm_dir/guest/service-life.sh" "$work/service-root.sh" \
		"$vm_dir/guest/service-qemu.sh" || bad=1
	[[ $(<"$work/results/service-root.status") != 0 ]] ||
		judge service-no-mmap kernel "$work/results/service-root.out" \
			type1_budget || bad=1
fi
((bad == 0)) || fail "see above"
