#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The rights that the service and its agent keep: the program, the units and the manual name the
# same ones, each has its reason beside what needs it, and systemd's own judgement of the units
# does not get worse.
. "$(dirname "$0")/lib.sh"
program=daemon/transport/confine.c
manual=daemon/man/vfio-cused-serve.8
# "Exposure" by systemd-analyze, times ten, at most.
declare -A exposure=([vfio-cused.service]=25 [vfio-cused-agent@.service]=77)

# of_program NAME: capabilities of the macro, one a line
of_program()
{
	awk -v name="#define $1" 'index($0, name) == 1 { on = 1 } on { print } on && !/\\$/ { exit }' \
		$program | grep -oE 'CAP\([A-Z_]+\)' | sed 's/CAP(\(.*\))/CAP_\1/' | sort
}

# of_unit FILE
of_unit()
{
	awk '/^CapabilityBoundingSet=/ { on = 1 } on { print } on && !/\\$/ { exit }' "systemd/$1.in" |
		grep -oE 'CAP_[A-Z_]+' | sort
}

# of_manual WHO
of_manual()
{
	awk -F '\t' -v who="$1" '$1 ~ /^CAP_/ && index(", " $2 ",", ", " who ",") { print $1 }' \
		$manual | sort
}

# same WHAT A B
same()
{
	[[ -n $2 ]] || finding "$1: nothing found"
	[[ $2 == "$3" ]] || finding "$1:" "$(diff <(echo "$2") <(echo "$3") | grep '^[<>]' | tr '\n' ' ')"
}

service=$(of_program SERVICE_CAPABILITIES)
agent=$(of_program AGENT_CAPABILITIES)
courier=$(of_program COURIER_CAPABILITIES)
same "service, program (<) and unit (>)" "$service" "$(of_unit vfio-cused.service)"
same "service, program (<) and manual (>)" "$service" "$(of_manual service)"
same "agent, program (<) and unit (>)" "$agent" "$(of_unit vfio-cused-agent@.service)"
same "agent, program (<) and manual (>)" "$agent" "$(of_manual agent)"
same "courier, program (<) and manual (>)" "$courier" "$(of_manual courier)"

for capability in $(printf '%s\n' "$service" "$agent" "$courier" | sort -u); do
	grep -rqE "[/* ]$capability: " daemon backends --include='*.c' --exclude=confine.c ||
		finding "$capability: no comment \"$capability: why\" beside what needs it"
done
for unit in "${!exposure[@]}"; do
	for capability in $(of_unit "$unit"); do
		grep -qE "^# .*${capability}[:,]" "systemd/$unit.in" ||
			finding "systemd/$unit.in: no reason for $capability"
	done
	grep -q "^NoNewPrivileges=yes" "systemd/$unit.in" || finding "$unit: NoNewPrivileges= is off"
done

# What systemd does by seccomp, or in another view of the file system.
while IFS= read -r line; do
	finding "systemd/vfio-cused-agent@.service.in: not for an agent: $line"
done < <(grep -E '^(SystemCall|Restrict|LockPersonality|MemoryDeny|Protect|Private|ReadOnly|ReadWrite|Inaccessible)' \
	'systemd/vfio-cused-agent@.service.in' || :)

command -v systemd-analyze >/dev/null || skip "systemd-analyze is not installed: ./bootstrap deps"
for unit in "${!exposure[@]}"; do
	file=$build_dir/systemd/$unit
	[[ -s $file ]] || { finding "there is no $file: is CUSED_SYSTEMD off?"; continue; }
	is=$(systemd-analyze security --offline=true --no-pager "$file" 2>&1 |
		sed -n 's/.*Overall exposure level for .*: \([0-9]*\)\.\([0-9]\) .*/\1\2/p')
	[[ -n $is ]] || { finding "$unit: systemd-analyze says nothing of it"; continue; }
	((10#$is <= ${exposure[$unit]})) ||
		finding "$unit: an exposure of $is tenths, more than ${exposure[$unit]}"
done
verdict
