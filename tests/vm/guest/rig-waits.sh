#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Waits for $RIG_SECONDS, and does nothing.
# shellcheck source=lib.sh
. /vm/lib.sh
pause "$RIG_SECONDS"
