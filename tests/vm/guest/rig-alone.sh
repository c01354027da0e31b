#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The process that the test before left is gone.
! kill -0 "$(cat /tmp/left)" 2>/dev/null
