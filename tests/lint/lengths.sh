#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Reports files of more than 600 lines (a longer one has two subjects, as a rule) and lines
# that are far beyond 92 columns. Tables are allowed to be long, so this finds no fault.
. "$(dirname "$0")/lib.sh"

mapfile -t code < <(files -name '*.[ch]')
for file in "${code[@]}"; do
	lines=$(wc -l <"$file")
	((lines <= 600)) || printf '%s has %d lines\n' "$file" "$lines"
	expand "$file" | LC_ALL=C.UTF-8 sed -n '/^.\{101,\}/=' |
		while IFS= read -r line; do
			printf '%s:%s is longer than 100 columns\n' "$file" "$line"
		done
done
