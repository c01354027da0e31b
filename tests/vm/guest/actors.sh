# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# actors.sh - clients (vm-actor) that a script tells what to do; sourced after lib.sh.

# actor NAME: starts one. NAME is a letter; $actor_program another program, such as vm-actor-32.
actor_program=vm-actor
actor()
{
	rm -f "/tmp/actor-$1.in" "/tmp/actor-$1.out"
	mkfifo "/tmp/actor-$1.in" "/tmp/actor-$1.out"
	$actor_program <"/tmp/actor-$1.in" >"/tmp/actor-$1.out" 2>&1 9>&- &
	eval "actor_$1=$!"
	# Both ends open by ourselves, so that none waits for the other.
	case $1 in
	A) exec 5<>/tmp/actor-A.in 6<>/tmp/actor-A.out ;;
	B) exec 7<>/tmp/actor-B.in 8<>/tmp/actor-B.out ;;
	esac
}

# pid_of NAME
pid_of()
{
	eval "echo \$actor_$1"
}

# ask NAME WORD…: its answer is $answer. On a machine that is busy enough the service loses its
# patience with a courier (ETIMEDOUT, 110): that, and nothing else, is asked again.
ask()
{
	ask_name=$1
	shift
	for _ in 1 2 3 4 5; do
		answer="nothing"
		# shellcheck disable=SC3045
		case $ask_name in
		A) echo "$@" >&5; read -r -t 60 answer <&6 || : ;;
		B) echo "$@" >&7; read -r -t 60 answer <&8 || : ;;
		esac
		[ "$answer" = -110 ] || break
	done
}

# expect ANSWER NAME WORD…
expect()
{
	expect_answer=$1
	shift
	ask "$@"
	[ "$answer" = "$expect_answer" ] || fail "$*: the answer is $answer, not $expect_answer"
}

# ok NAME WORD…
ok()
{
	expect ok "$@"
}

# all of it: takes NAME BDF [C G D]: a container, its group, the device
takes()
{
	ok "$1" container "${3-0}"
	ok "$1" group "${4-0}" "$2"
	ok "$1" attach "${4-0}" "${3-0}"
	ok "$1" iommu "${3-0}"
	ok "$1" device "${5-0}" "${4-0}" "$2"
}

# client PROGRAM BDF [WORD…]: the test client, and again where it was that late. What it said is in
# /tmp/out.
client()
{
	client_program=$1 client_bdf=$2
	shift 2
	for _ in 1 2 3; do
		! $client_program --bdf "$client_bdf" "$@" >/tmp/out 2>&1 || return 0
		grep -q 'is -110' /tmp/out || return 1
	done
	return 1
}

# ends NAME [SIGNAL]
ends()
{
	ends_pid=$(pid_of "$1")
	kill "-${2-TERM}" "$ends_pid"
	wait "$ends_pid" 2>/dev/null || :
}
