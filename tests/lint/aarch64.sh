#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What depends on the processor compiles for aarch64 as well.
. "$(dirname "$0")/lib.sh"

compiler=aarch64-linux-gnu-gcc
command -v $compiler >/dev/null || skip "$compiler is not installed"
for file in daemon/transport/courier*.c; do
	$compiler "${cflags[@]}" -O2 -Iinclude -Idaemon -c "$file" -o /dev/null ||
		finding "$file does not compile for aarch64"
done
verdict
