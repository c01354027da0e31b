#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What the watch on the machine's devices tells while $AT_EDU is bound, unbound, taken away and
# found again, in order; and that it says so when it was told more than it could keep.
# shellcheck source=lib.sh
. /vm/lib.sh
: "${AT_EDU:?}"
at=/sys/bus/pci/devices/$AT_EDU

su user -c "exec vm-host-watch $AT_EDU 6" >/tmp/news 2>&1 &
watch=$!
wait_for 20 grep -q ready /tmp/news || { cat /tmp/news; fail "it is not ready"; }
echo vfio-pci >"$at/driver_override"
echo "$AT_EDU" >/sys/bus/pci/drivers_probe
node=$(ls "$at/vfio-dev")
echo "$AT_EDU" >/sys/bus/pci/drivers/vfio-pci/unbind
echo 1 >"$at/remove"
echo 1 >/sys/bus/pci/rescan
status=0
wait $watch || status=$?
printf '%s\n' ready "node added $node" bound "node removed $node" unbound removed added >/tmp/expected
cmp /tmp/expected /tmp/news || { cat /tmp/news; fail "it told something else"; }
[ $status = 0 ] || fail "it ended with $status"

vm-host-watch --lost "$at/uevent" >/tmp/news || { cat /tmp/news; fail "lost"; }
printf '%s\n' ready "lost 1, others are there" >/tmp/expected
cmp /tmp/expected /tmp/news || { cat /tmp/news; fail "it told something else"; }
