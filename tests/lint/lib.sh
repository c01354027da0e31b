# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# lib.sh - what the lint scripts share. Each is run as: SCRIPT SOURCE_DIR BUILD_DIR
# and ends with status 0, 1 (findings, each printed on a line) or 77 (skipped).
set -euo pipefail
source_dir=$1
build_dir=$2
: "$build_dir"
cd "$source_dir"
findings=0

finding()
{
	printf '%s\n' "$*"
	findings=$((findings + 1))
}

verdict()
{
	((findings == 0)) || printf '%d findings\n' "$findings"
	((findings == 0))
}

skip()
{
	printf 'skip: %s\n' "$*"
	exit 77
}

# The files of the project, without what was built: files [FIND EXPRESSION…]
files()
{
	find bootstrap .ci CMakeLists.txt README.md backends daemon include systemd debian tests \
		-type f "$@" 2>/dev/null | sort || :
}

headers()
{
	files -name '*.h' -not -path 'tests/*'
}

# The flags of the build, as far as they decide what a header means.
# shellcheck disable=SC2034
cflags=(-std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Wall -Wextra -Wno-unused-parameter
	-Werror)
