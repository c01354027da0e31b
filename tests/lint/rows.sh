#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Each row of the contract (tests/lint/rows) is cited by a test, or stands with a reason in
# tests/lint/rows-not-exercisable, and never both.
#
# A test cites a row by its number in full, CG-044, in its name or in a comment. Cases that
# are known to fail (tests/system/vfioc_gaps.c, tests/vm/known-differences) show nothing.
. "$(dirname "$0")/lib.sh"

cited=$(files -path 'tests/*' -not -path 'tests/lint/*' -not -name vfioc_gaps.c \
	-not -name known-differences -exec \
	grep -hoE '\b(CG|T1|PCI|SD)-[0-9]{3}\b' {} + | sort -u || :)

awk -v cited="$cited" '
	BEGIN {
		n = split(cited, list, "\n")
		for (i = 1; i <= n; i++)
			has_test[list[i]] = 1
	}
	/^#/ || NF == 0 { next }
	FILENAME ~ /rows-not-exercisable$/ {
		# CG-078..082 reason, or CG-078 reason
		family = $1; sub(/-.*/, "", family)
		first = $1; sub(/^[^-]*-/, "", first); sub(/\.\..*/, "", first)
		last = $1; sub(/^[^-]*-/, "", last); sub(/^.*\.\./, "", last)
		reason = $0; sub(/^[^ ]+ +/, "", reason)
		if (NF < 2 || last + 0 < first + 0) {
			print FILENAME ":" FNR ": not of the form ROW reason: " $0
			bad++
		}
		for (i = first + 0; i <= last + 0; i++) {
			id = sprintf("%s-%03d", family, i)
			if (id in excused) {
				print FILENAME ":" FNR ": " id " was excused above"
				bad++
			}
			excused[id] = reason
			unknown[id] = 1
		}
		next
	}
	{
		id = $1; rows++
		delete unknown[id]
		known[id] = 1
		if (id in has_test) {
			tested++
			if (id in excused) {
				print id " has a test, but rows-not-exercisable excuses it"
				bad++
			}
		} else if (!(id in excused)) {
			print "no test cites: " $0
			bad++
		}
	}
	END {
		for (id in unknown) {
			print id " is in rows-not-exercisable, but no such row is known"
			bad++
		}
		for (id in has_test)
			if (!(id in known)) {
				print id " is cited by a test, but no such row is known"
				bad++
			}
		printf "%d rows: %d cited by tests, %d excused, %d findings\n", rows, tested,
			length(excused), bad
		exit bad > 0
	}' tests/lint/rows-not-exercisable tests/lint/rows ||
	findings=1
verdict
