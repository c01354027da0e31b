#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A test that fails and leaves a process behind.
tail -f /dev/null &
echo $! >/tmp/left
echo "this one fails"
exit 3
