#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# coverage.sh BUILD_DIR - run the tests of a build made with -DCUSED_COVERAGE=ON and print
# the line and branch coverage of core and proto, file by file.
set -euo pipefail
build=$(cd "$1" && pwd)
top=$(cd "$(dirname "$0")/.." && pwd)
options=(--quiet --rc lcov_branch_coverage=1)

lcov "${options[@]}" --directory "$build" --zerocounters
status=0
# A static client does not bear gcov's runtime, which the linker adds to all programs.
(cd "$build" && ctest -j "$(nproc)" -L 'unit|device|system' -LE 'plain|no-tsan' \
	-E vfioc-static --output-on-failure) </dev/null ||
	status=$?
lcov "${options[@]}" --directory "$build" --capture --output-file "$build/all.info" \
	2>"$build/lcov.log" || { cat "$build/lcov.log"; exit 1; }
lcov "${options[@]}" --output-file "$build/coverage.info" \
	--extract "$build/all.info" "$top/daemon/core/*" "$top/daemon/proto/*"

# lcov's own listing rounds away what matters; the records are simple.
awk -F '[:,]' '
	function percent(part, whole) { return whole ? 100 * part / whole : 100 }
	function line(name, lh, lf, bh, bf) {
		printf "%-32s %5d lines %5.1f %%   %5d branches %5.1f %%\n", name, lf,
			percent(lh, lf), bf, percent(bh, bf)
	}
	/^SF:/ { name = $2; sub(/.*\/daemon\//, "", name); lh = lf = bh = bf = 0 }
	/^LF:/ { lf = $2 } /^LH:/ { lh = $2 } /^BRF:/ { bf = $2 } /^BRH:/ { bh = $2 }
	/^end_of_record/ {
		line(name, lh, lf, bh, bf)
		LH += lh; LF += lf; BH += bh; BF += bf
	}
	END { line("core and proto", LH, LF, BH, BF) }' "$build/coverage.info"
exit $status
