#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What vm/restart leans on: vm-restart-load has nothing to say where nothing goes wrong, and finds
# each fault that is planted, and a service that stands still. Without a guest, under run.
. "$(dirname "$0")/../system/lib.sh"
load=$(dirname "$VFIO_CUSED")/tests/vm/vm-restart-load
# shellcheck disable=SC2054
workers=(edu=0000:e0:00.0,2 edu=0000:e1:00.0 nvme=0000:e2:00.0 open=0000:e3:00.0 containers)
# shellcheck disable=SC2054
devices=(--device edu,bdf=0000:e0:00.0 --device edu,bdf=0000:e1:00.0
	--device nvme,size=8M,bdf=0000:e2:00.0 --device edu,bdf=0000:e3:00.0)

# with_load COMMAND…: in the presence of the devices
with_load()
{
	"$VFIO_CUSED" run "${devices[@]}" -- "$@" >"$work/out" 2>&1
}

with_load "$load" --seconds 3 --status "$work/status" "${workers[@]}" ||
	{ cat "$work/out"; fail "errors where nothing goes wrong"; }
grep -q '^requests=[1-9].* errors=0 lost=0 .* spurious=0 busy=0 ' "$work/out" || { cat "$work/out"; fail "no such sum"; }
grep -q ' workers=0 requests=[1-9][0-9]* errors=0 waiting_ms=0' "$work/status" || fail "no such status"
# The rate is kept, where the machine is quick enough; what clients begin with comes on top.
made=$(sed -n 's/^requests=\([0-9]*\) .*/\1/p' "$work/out")
((made >= 1000 && made <= 3600)) || fail "$made requests in 3 seconds, at 1000 a second"

# Request, fault, in which of them, and by what it is found
faults=(
	MAP_DMA/error/3 "MAP_DMA.*ENOTCONN"
	MAP_DMA/lost/3 .
	MAP_DMA/twice/1 "MAP_DMA.*EEXIST"
	UNMAP_DMA/lost/5 .
	UNMAP_DMA/twice/3 .
	UNMAP_DMA/wrong/1 "UNMAP_DMA.* byte "
	UNMAP_DMA/forgotten/9 .
	DEVICE_GET_INFO/wrong/2 "DEVICE_GET_INFO.* byte "
	GET_REGION_INFO/wrong/12 "GET_REGION_INFO.* byte "
	GET_IRQ_INFO/wrong/7 "GET_IRQ_INFO.* byte "
	IOMMU_GET_INFO/wrong/2 "IOMMU_GET_INFO.* byte "
	GROUP_GET_STATUS/wrong/2 "GROUP_GET_STATUS.* byte "
	CHECK_EXTENSION/error/2 "CHECK_EXTENSION.*ENOTCONN"
	"write LIVE/lost/2" "LIVE.*register 0x4"
	"read LIVE/wrong/2" "LIVE.*register 0x4"
	"write FACT/lost/2" "FACT.*register 0x8"
	"write config/lost/2" "read config"
	"read config/wrong/3" "read config"
	"write DMA_SRC/lost/2" "DMA_SRC.*register 0x80"
	"write DMA_DST/lost/2" "DMA_DST.*register 0x88"
	"write DMA_COUNT/lost/2" "DMA_COUNT.*register 0x90"
	"write DMA_CMD/lost/4" .
	"DMA content/wrong/3" "DMA content.* byte "
	"DMA interrupt/lost/2" "no interrupt"
	"interrupt/lost/2" "no interrupt"
	"SET_IRQS interrupt/lost/2" "no interrupt"
	"SET_IRQS/lost/1" .
	"write IRQ_RAISE/lost/2" "no interrupt"
	"write IRQ_ACK/lost/2" "IRQ_STATUS.*register 0x24"
	"drive write/lost/40" "drive content"
	"drive content/wrong/3" "drive content"
	"mapped CAP/wrong/2" "mapped CAP"
	"open group/twice/2" "open group.*EBUSY"
	"close group/lost/1" "open group.*EBUSY"
	"close device/lost/1" "UNSET_CONTAINER"
	"close container/error/2" "close container.*ENOTCONN"
	"GET_DEVICE_FD/twice/4" "UNSET_CONTAINER.*EBUSY"
	"GET_DEVICE_FD/error/4" "GET_DEVICE_FD.*ENOTCONN"
	"SET_CONTAINER/lost/2" .
	"SET_IOMMU/twice/2" "SET_IOMMU.*EINVAL"
	"UNSET_CONTAINER/lost/2" "GROUP_GET_STATUS"
)
for ((i = 0; i < ${#faults[@]}; i += 2)); do
	! with_load "$load" --rate 3000 --patience $((1000 * patience)) --seconds $((10 * patience)) \
		--fault "${faults[i]}" "${workers[@]}" || { cat "$work/out"; fail "${faults[i]}: is not found"; }
	grep -q "^error: .*${faults[i + 1]}" "$work/out" ||
		{ cat "$work/out"; fail "${faults[i]}: is not found by ${faults[i + 1]}"; }
done

# More interrupts than were asked for are no error, but told.
with_load "$load" --rate 3000 --seconds 2 --fault "write IRQ_RAISE/twice/2" "${workers[@]}" ||
	{ cat "$work/out"; fail "an interrupt too many is an error"; }
grep -q ' spurious=[1-9]' "$work/out" || fail "an interrupt too many is not counted"

# Nobody answers any more.
"$VFIO_CUSED" run "${devices[@]}" -- "$load" --patience 2000 --status "$work/status" "${workers[@]}" \
	>"$work/out" 2>&1 &
run=$!
wait_for 30 grep -q " workers=6 requests=[1-9][0-9][0-9]" "$work/status" || fail "it does not begin"
kill -STOP $run
stands_still()
{
	local ms

	ms=$(sed -n 's/.*waiting_ms=//p' "$work/status")
	((ms >= 500))
}
stood="" ended=""
! wait_for 30 stands_still || stood=yes
kill -TERM "$(sed 's/pid=\([0-9]*\) .*/\1/' "$work/status")"
! wait_for 30 grep -q '^requests=' "$work/out" || ended=yes
kill -CONT $run
wait_status $run
[[ $stood ]] || fail "nobody waited for an answer"
[[ $ended ]] || fail "it did not end"
[[ $is == 1 ]] || fail "status $is"
grep -q '^lost: .*: no answer for [1-9]' "$work/out" || { cat "$work/out"; fail "it is not lost"; }
! grep -q ' lost=0 ' "$work/out" || { cat "$work/out"; fail "it is not counted"; }
