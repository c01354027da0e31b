#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Nothing is marked as unfinished; no test waits by the clock; each file says its licence.
. "$(dirname "$0")/lib.sh"

# matches REGEX REASON FILE…
matches()
{
	local regex=$1 reason=$2 line

	shift 2
	(($#)) || return 0
	while IFS= read -r line; do
		finding "$line   <- $reason"
	done < <(grep -HnE "$regex" "$@" /dev/null || :)
}

mapfile -t all < <(files -not -path 'tests/lint/*')
mapfile -t tests < <(files -path 'tests/*' -not -path 'tests/lint/*' \
	-not -path 'tests/bench/*' -not -name '*.md')
mapfile -t code < <(files \( -name '*.[ch]' -o -name '*.sh' \))
mapfile -t permissive < <(files -path 'include/*' -name '*.h')

matches '\b(TODO|FIXME|XXX)\b' "finish it, or take it out" "${all[@]}"
matches '\b(u|nano|clock_nano)?sleep(_for)?[[:space:]]*\(' \
	"wait for the event, with a deadline" "${tests[@]}"
matches '(^|[;&|({[:space:]])sleep[[:space:]]+[0-9.$]' \
	"wait for the event, with a deadline" "${tests[@]}"
for file in "${code[@]}"; do
	head -n 2 "$file" | grep -q 'SPDX-License-Identifier: ' ||
		finding "$file: the first line names no licence (SPDX-License-Identifier)"
done
for file in "${permissive[@]}"; do
	head -n 1 "$file" | grep -q 'SPDX-License-Identifier: MIT ' ||
		finding "$file: public headers are under the MIT licence"
done
verdict
