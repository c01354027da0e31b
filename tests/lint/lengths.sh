#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Reports files of more than 600 lines and lines of more than 92 columns. A longer file
# has two subjects, as a rule; tables are allowed to be long, so this finds no fault.
. "$(dirname "$0")/lib.sh"

mapfile -t code < <(files -name '*.[ch]')
for file in "${code[@]}"; do
	lines=$(wc -l <"$file")
	((lines <= 600)) || printf '%s has %d lines\n' "$file" "$lines"
	expand "$file" | awk -v file="$file" \
		'length($0) > 92 { print file ":" NR " has " length($0) " columns" }'
done
