#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Looks like QEMU's fault that vm.sh starts the guest again for, whenever it is run.
echo "<2>Oops: int3, as this test says" >/dev/kmsg
echo c >/proc/sysrq-trigger
