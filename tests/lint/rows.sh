#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Each row of the contract (tests/lint/rows) is cited by a test, or stands with a reason in
# tests/lint/rows-not-exercisable, and never both: but a row that is not kept, as the reason
# says then, can be cited by the conformance program, which writes down what the kernel does.
#
# A test cites a row by its number in full, CG-044, in its name or in a comment. Cases that
# are known to fail (tests/system/vfioc_gaps.c, tests/vm/known-differences) show nothing. What
# the conformance program (tests/conformance) and the test client (tests/system/vfioc_*.c)
# cite is shown on the kernel's VFIO and on ours, see tests/vm; the rest on ours alone.
. "$(dirname "$0")/lib.sh"

# rows_of [FIND EXPRESSION…]: the rows that these files of tests/ cite
rows_of()
{
	files -path 'tests/*' -not -path 'tests/lint/*' -not -name vfioc_gaps.c \
		-not -name 'known-differences*' -not -path 'tests/conformance/known*' "$@" -exec \
		grep -hoE '\b(CG|T1|PCI|SD)-[0-9]{3}\b' {} + | sort -u || :
}
cited=$(rows_of -not -path 'tests/conformance/*')
recorded=$(rows_of -path 'tests/conformance/*')
judged=$(rows_of \( -path 'tests/conformance/*' -o -name 'vfioc_*.c' \))

awk -v cited="$cited" -v recorded="$recorded" -v judged="$judged" '
	BEGIN {
		n = split(cited, list, "\n")
		for (i = 1; i <= n; i++)
			has_test[list[i]] = 1
		n = split(recorded, list, "\n")
		for (i = 1; i <= n; i++)
			is_recorded[list[i]] = 1
		n = split(judged, list, "\n")
		for (i = 1; i <= n; i++)
			is_judged[list[i]] = 1
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
		kept = !(id in excused)
		if (!kept && (id in has_test || (id in is_recorded && excused[id] !~ /^not kept/))) {
			print id " has a test, but rows-not-exercisable excuses it"
			bad++
		}
		if (id in is_judged && kept)
			both++
		else if (id in is_recorded)
			kernel++
		else if (id in has_test)
			ours++
		else if (kept) {
			print "no test cites: " $0
			bad++
		}
	}
	END {
		for (id in unknown) {
			print id " is in rows-not-exercisable, but no such row is known"
			bad++
		}
		for (id in is_recorded)
			has_test[id] = 1
		for (id in has_test)
			if (id != "" && !(id in known)) {
				print id " is cited by a test, but no such row is known"
				bad++
			}
		printf "%d rows: %d shown on the kernel and on ours, %d on ours only, %d on the " \
			"kernel and not kept, %d not exercisable; %d findings\n", rows, both, ours,
			kernel, length(excused) - kernel, bad
		exit bad > 0
	}' tests/lint/rows-not-exercisable tests/lint/rows ||
	findings=1
verdict
