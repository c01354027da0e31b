#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The service's parts on the guest's CUSE; nothing of it stays behind.
set -e
vm-service-test
[ ! -e /dev/vfio/1 ]
[ -z "$(ls /sys/class/cuse 2>/dev/null)" ]
