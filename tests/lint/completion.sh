#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The completion for bash offers what the help text lists, and nothing else: options, commands,
# the words of ctl, models and keys.
. "$(dirname "$0")/lib.sh"
program=$build_dir/vfio-cused
[[ -x $program ]] || skip "vfio-cused is not built"

compopt() { :; }
complete() { :; }
. daemon/completion/vfio-cused.bash

# What is offered behind these words, sorted, a line each: offered WORD… LAST
offered()
{
	COMP_WORDS=("$program" "$@")
	COMP_CWORD=$#
	_vfio_cused
	printf '%s\n' "${COMPREPLY[@]}" | sort -u
}

# compare WHAT WANTED IS: lines in any order
compare()
{
	local line

	[[ -n $2 ]] || finding "$1: nothing in the help text"
	while IFS= read -r line; do
		finding "$1: $line"
	done < <(diff <(sort -u <<<"$2") <(printf '%s\n' "$3") |
		sed -n 's/^< /in help, not offered: /p; s/^> /offered, not in help: /p')
}

overview=$("$program" --help)
commands=$(sed -n 's/^  vfio-cused \([a-z]*\).*/\1/p' <<<"$overview")
models=$(sed -n '/^Devices/,/^$/s/^  \([a-z0-9]*\) .*/\1/p' <<<"$overview")
iommus=$(sed -n '/^IOMMU backends/,/^$/s/^  \([a-z0-9]*\) .*/\1/p' <<<"$overview")

# keys TOPIC PREFIX
keys()
{
	"$program" help "$1" | sed -n "s/^  \([a-z0-9_]*=\)  .*/$2\1/p"
}

compare options "$(grep -oE '^  (-., )?--[a-z-]+' <<<"$overview" | sed 's/.*--/--/')" \
	"$(offered -)"
compare commands "$commands" "$(offered "")"
compare "commands behind an option" "$commands" "$(offered --device edu "")"
compare "words of ctl" "$(sed -n 's/^  vfio-cused ctl \[OPTION\]\.\.\. //p' <<<"$overview" |
	tr '|' '\n' | sed 's/ .*//')" "$(offered ctl "")"
compare "topics of help" "$commands
$models
$iommus
device
group
iommu
log
service" "$(offered help "")"
compare "what is checked" "$(sed -n 's/^  vfio-cused check \[\(.*\)\]$/\1/p' <<<"$overview" |
	tr '|' '\n' | sed 's/ .*//')" "$(offered check "")"
compare models "$models" "$(offered run --device "")"
compare "models of ctl add" "$models" "$(offered ctl add "")"
compare "IOMMU backends" "$iommus" "$(offered run -i "")"
compare "keys of the service" "$(keys service "")" "$(offered serve --service "")"
compare "modules of the log" "$(keys log "")" "$(offered serve --log "")"
compare "keys of groups" "$(keys group 7,)" "$(offered serve --group 7,)"
compare "further keys of the service" "$(keys service courier=off,)" \
	"$(offered serve --service courier=off,)"
for name in $models; do
	compare "keys of $name" "$(keys "$name" "$name,")" "$(offered run -d "$name,")"
done
for name in $iommus; do
	compare "keys of $name" "$(keys "$name" "$name,")" "$(offered run -i "$name,")"
done
# Behind "--" stands another program.
COMPREPLY=(something)
COMP_WORDS=("$program" run -- qemu-img -) COMP_CWORD=4
_vfio_cused
[[ ${#COMPREPLY[@]} == 0 ]] || finding "options of another program: ${COMPREPLY[*]}"
verdict
