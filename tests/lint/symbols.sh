#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Each function that a header declares is defined somewhere in the build.
. "$(dirname "$0")/lib.sh"

[[ $("${CC:-cc}" --version | head -n 1) != *clang* ]] ||
	skip "listing declarations needs gcc, but the compiler is ${CC:-cc}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

find "$build_dir/daemon" "$build_dir/backends" \( -name '*.a' -o -name '*.o' \) \
	-exec nm --defined-only {} + 2>/dev/null |
	awk 'NF == 3 { print $3 }' | sort -u >"$work/defined"
for header in $(headers); do
	"${CC:-cc}" "${cflags[@]}" -Iinclude -Idaemon -I"$build_dir/daemon" -fsyntax-only \
		-aux-info "$work/declarations" -x c "$header" 2>/dev/null || continue
	# Lines such as: /* daemon/core/event.h:35:NC */ extern void event_unref (…);
	sed -n "s|^/\* \(\./\)*$header:[0-9]*:.C \*/ extern [^(]*[ *]\([a-z_0-9]*\) (.*|\2|p" \
		"$work/declarations" | sort -u | comm -23 - "$work/defined" >"$work/missing"
	while IFS= read -r name; do
		finding "$header declares $name(), which is not defined"
	done <"$work/missing"
done
verdict
