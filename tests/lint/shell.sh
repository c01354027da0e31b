#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The project: shellcheck warns of nothing in the project's shell scripts.
. "$(dirname "$0")/lib.sh"

command -v shellcheck >/dev/null || skip "shellcheck is not installed"
scripts=()
while IFS= read -r file; do
	[[ $(head -c 64 "$file" | head -n 1 | tr -d '\0') =~ ^#!.*[/\ ](ba|da)?sh ||
		$file == *.sh ]] && scripts+=("$file")
done < <(files -not -name '*.[ch]' -not -name '*.md' -size -200k)
shellcheck -S warning -x -P SCRIPTDIR "${scripts[@]}" || finding "shellcheck has findings, see above"
verdict
