#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What a test in a guest may rely on.
set -e
[ "$(id -u)" = 0 ]
[ -c /dev/cuse ]			# the module that was asked for
[ "$RIG_WORD" = "two words" ]
[ "$(cat /etc/rig-file)" = "content of a file" ]
su user -c 'test "$(id -u)" = 1000 && : >/tmp/of-user'
vfio-cused --version			# a program with libraries
echo "to standard error" >&2
