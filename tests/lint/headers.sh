#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Each header compiles alone; a public one with include/ alone on its path.
. "$(dirname "$0")/lib.sh"

for header in $(headers); do
	path=(-Iinclude -Idaemon -I"$build_dir/daemon")
	[[ $header != include/* ]] || path=(-Iinclude)
	"${CC:-cc}" "${cflags[@]}" "${path[@]}" -fsyntax-only -x c -include "$header" \
		/dev/null || finding "$header does not compile alone"
done
verdict
