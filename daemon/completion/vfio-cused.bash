# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Completion of vfio-cused for bash. Words and models are asked of the program itself; a test
# compares commands and options with its help.

# The names under a heading of the overview: _vfio_cused_names HEADING
_vfio_cused_names()
{
	"${COMP_WORDS[0]}" --help 2>/dev/null |
		sed -n "/^$1/,/^\$/s/^  \([a-z0-9]*\) .*/\1/p"
}

# The keys of what `vfio-cused help` tells about: _vfio_cused_keys TOPIC
_vfio_cused_keys()
{
	"${COMP_WORDS[0]}" help "$1" 2>/dev/null | sed -n 's/^  \([a-z0-9_]*=\)  .*/\1/p'
}

# NAME[,KEY=VALUE]…: a name first, then keys: _vfio_cused_list NAMES TOPIC
_vfio_cused_list()
{
	local cur=$3 head keys

	if [[ $cur != *,* && -n $1 ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
	else
		head=${cur%,*},
		[[ $cur == *,* ]] || head=
		keys=$(_vfio_cused_keys "${2:-${cur%%,*}}")
		mapfile -t COMPREPLY < <(compgen -P "$head" -W "$keys" -- "${cur##*,}")
	fi
	compopt -o nospace
}

_vfio_cused()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev="" command="" word="" i
	local commands="run exec serve ctl agent check list help"
	local options="--config --device --iommu --service --group --log --dump-config --socket --prefix
		--json --revoke
		--verbose --help --version"
	local words="status watch add remove stop"

	COMPREPLY=()
	((COMP_CWORD == 0)) || prev=${COMP_WORDS[COMP_CWORD - 1]}
	# The command, and for ctl its word; what stands behind "--" is another program's.
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--) compopt -o default; return ;;
		-c | --config | -d | --device | -i | --iommu | -s | --service | -g | --group | \
			-l | --log | \
			--socket | --prefix) i=$((i + 1)) ;;
		-*) ;;
		*)
			if [[ -z $command ]]; then
				command=${COMP_WORDS[i]}
			elif [[ -z $word ]]; then
				word=${COMP_WORDS[i]}
			fi ;;
		esac
	done
	case $prev in
	-d | --device) _vfio_cused_list "$(_vfio_cused_names Devices)" "" "$cur"; return ;;
	-i | --iommu) _vfio_cused_list "$(_vfio_cused_names 'IOMMU backends')" "" "$cur"; return ;;
	-s | --service) _vfio_cused_list "" service "$cur"; return ;;
	-l | --log) _vfio_cused_list "" log "$cur"; return ;;
	-g | --group)
		[[ $cur != *,* ]] || _vfio_cused_list "" group "$cur"
		return ;;
	-c | --config | --socket | --prefix) compopt -o default; return ;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
	elif [[ -z $command ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
	elif [[ $command == ctl && -z $word ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	elif [[ $command == ctl && $word == add ]]; then
		_vfio_cused_list "$(_vfio_cused_names Devices)" "" "$cur"
	elif [[ $command == check && -z $word ]]; then
		mapfile -t COMPREPLY < <(compgen -W "run serve iommufd" -- "$cur")
	elif [[ $command == help && -z $word ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$commands device iommu service group log
			$(_vfio_cused_names Devices) $(_vfio_cused_names 'IOMMU backends')" -- "$cur")
	else
		compopt -o default
	fi
}

complete -F _vfio_cused vfio-cused
