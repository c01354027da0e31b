#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The rig itself: what tests in guests rely on, and that it tells each way to fail.
. "$(dirname "$0")/lib.sh"

scripts=()
for name in good fails alone signal hangs; do
	scripts+=("$vm_dir/guest/rig-$name.sh")
done
printf 'content of a file' >"$work/file"
expect 1 vm --module cuse --program "$VFIO_CUSED" --file "$work/file:/etc/rig-file" \
	--env "RIG_WORD=two words" --seconds 12 "${scripts[@]}"
cat "$work/out"

# status NAME STATUS
status()
{
	local is

	is=$(<"$work/results/rig-$1.status")
	[[ $is == "$2" ]] || fail "status of rig-$1 is $is, not $2"
}
status good 0
status fails 3
status alone 0
status signal 139
status hangs 124
has results/rig-good.out "vfio-cused" "to standard error"
has results/rig-fails.out "this one fails"
has results/rig-hangs.out "this one hangs"
# And where.
has results/rig-hangs.out " tail  S; "

expect 1 vm --seconds 60 "$vm_dir/guest/rig-panic.sh" "$vm_dir/guest/rig-alone.sh"
has out "the guest ended in rig-panic" "sysrq triggered crash"
[[ ! -e $work/results/rig-panic.status ]] || fail "a test that never ended has a status"

# QEMU's own fault: started again, but not for ever, and not when a script has ended.
expect 1 vm --seconds 60 "$vm_dir/guest/rig-int3.sh"
[[ $(grep -c "once more$" "$work/out") == 2 ]] || fail "not three boots"
has out "the guest ended in rig-int3" "as this test says"
expect 1 vm --seconds 60 "$vm_dir/guest/rig-alone.sh" "$vm_dir/guest/rig-int3.sh"
! grep -q "once more$" "$work/out" || fail "a script that had ended was run again"

# A guest that stands still, as when QEMU has lost an interrupt, is started again. What waits for
# a long time only is not.
qemu_of_ours()
{
	local process

	for process in /proc/[0-9]*; do
		if tr '\0' ' ' 2>/dev/null <"$process/cmdline" |
			grep -q "^qemu-system-x86_64 .*$work/.*rdinit=/init"; then
			qemu_pid=${process#/proc/}
			return
		fi
	done
	return 1
}
VM_FROZEN_LOOKS=2 vm --seconds 60 --env RIG_SECONDS=25 \
	--file "$vm_dir/guest/lib.sh:/vm/lib.sh" "$vm_dir/guest/rig-waits.sh" \
	>"$work/out" 2>&1 &
vm=$!
wait_for 60 qemu_of_ours || fail "no guest"
kill -STOP "$qemu_pid"
wait_status $vm
[[ $is == 0 ]] || { cat "$work/out"; fail "a guest that stood still was not started again"; }
[[ $(grep -c "once more$" "$work/out") == 1 ]] || { cat "$work/out"; fail "not two boots"; }

# A user space in the place of busybox.
expect 0 vm --root "$VM_DEBIAN" --modprobe cuse --memory 1024 --seconds 100 \
	--env "RIG_WORD=two words" "$vm_dir/guest/rig-debian.sh"
expect 2 vm --root "$work/none" "$vm_dir/guest/rig-alone.sh"
has err "no user space in $work/none: run ./bootstrap guest"

expect 2 vm --module no_such_module "$vm_dir/guest/rig-alone.sh"
has err "has no module no_such_module"
expect 2 vm --kernel "$work" "$vm_dir/guest/rig-alone.sh"
has err "no kernel in $work: run ./bootstrap guest"
expect 2 vm --program no-such-program "$vm_dir/guest/rig-alone.sh"
expect 2 vm --no-such-option 1 "$vm_dir/guest/rig-alone.sh"
expect 2 vm
