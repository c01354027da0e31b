#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A test that never ends, and that wants to live.
trap '' TERM INT
echo "this one hangs"
tail -f /dev/null
