#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Restart without loss: clients make RESTART_RATE requests a second and check each answer
# (vm-restart-load), while the unit is restarted RESTART_ROUNDS times, by systemctl and by SIGKILL
# in turn; and then main and agent are killed at random moments, of RESTART_SEED, for
# RESTART_KILL_SECONDS. Nothing is lost, and nothing grows. qemu-img goes on, too. Then the same
# where systemd keeps no files: all is lost, and said so. 0 rounds or seconds leave that part out.
#
# Who watches comes before those who are watched.
[[ ${RESTART_FIRST-} ]] || RESTART_FIRST=yes exec nice -n -5 "$0"
# shellcheck source=unit-lib.sh
. /vm/unit-lib.sh
: "${RESTART_RATE:=1000}" "${RESTART_ROUNDS:=10}" "${RESTART_KILL_SECONDS:=15}" "${RESTART_SEED:=1}"
: "${RESTART_PAUSE:=0}"
dropin=/run/systemd/system/$unit.d
images=/var/lib/vfio-cused
# Where the load's workers have their devices.
edus=(0000:b0:00.0 0000:b1:00.0 0000:b2:00.0 0000:b3:00.0) drive=0000:b8:00.0
memory_drive=0000:b9:00.0
load_status=/tmp/load.status load_out=/tmp/load.out exec_status=/tmp/exec.status exec_out=/tmp/exec.out
load="" exec_load="" qemu=""

# drop_in NAME LINE…: beside the unit
drop_in()
{
	local name=$1

	shift
	mkdir -p "$dropin"
	printf '%s\n' "$@" >"$dropin/$name.conf"
	systemctl daemon-reload
}

# configure: drives and edus, each in a group of its own, of the user
configure()
{
	local i

	printf '%s\n' '[device "disk"]' 'backend = nvme' "image = $images/disk.img" "bdf = $NVME" \
		'group = 7' '[device "load"]' 'backend = nvme' "image = $images/load.img" "bdf = $drive" \
		'group = 20' '[device "memory"]' 'backend = nvme' 'size = 8M' "bdf = $memory_drive" \
		'group = 21' '[group "7"]' 'owner = user' '[group "20"]' 'owner = user' \
		'[group "21"]' 'owner = user'
	for i in "${!edus[@]}"; do
		printf '%s\n' "[device \"edu$i\"]" 'backend = edu' "bdf = ${edus[i]}" \
			"group = $((10 + i))" "[group \"$((10 + i))\"]" 'owner = user'
	done
}

# ---- the load ----

# None of what is looked at again and again starts a process, if that can be: clients have nearly
# all of an emulated processor.

# field FILE WORD: a number of a status -> $value
field()
{
	local line=""

	value=-1
	read -r line 2>/dev/null <"$1" || return
	[[ $line =~ (^| )$2=([0-9]+) ]] && value=${BASH_REMATCH[2]}
}

# fields WORD: of both loads -> $value $exec_value
fields()
{
	field $exec_status "$1"
	exec_value=$value
	field $load_status "$1"
}

loads_run()
{
	fields workers
	((value == workers && exec_value == 1))
}

# start_load RATE [OPTION…]: most of it for clients that have what they need, some for those that
# open and close all the time: by courier, and one in twenty under exec. They come after the service
# where the processor is not enough for all.
start_load()
{
	rate=$1
	shift
	workers=9	# threads
	rm -f $load_status $exec_status
	nice -n 15 "${user[@]}" vm-restart-load --rate $((rate * 19 / 20)) --status $load_status \
		--seed "$RESTART_SEED" "$@" \
		"edu=${edus[0]},3@6" "edu=${edus[1]}@6" "nvme=$drive@2" "nvme=$memory_drive@2" \
		"open=${edus[2]}" containers containers \
		>$load_out 2>&1 &
	load=$!
	nice -n 15 "${user[@]}" vfio-cused exec -- vm-restart-load --rate $((rate / 20)) \
		--status $exec_status --seed "$RESTART_SEED" "$@" "open=${edus[3]}" >$exec_out 2>&1 &
	exec_load=$!
	wait_for 60 loads_run || fail_load "not all clients have begun"
}

# Who runs the client under exec is not the client.
end_load()
{
	fields pid
	((value > 0 && exec_value > 0)) || fail "clients have not even begun"
	kill -TERM "$value" "$exec_value" 2>/dev/null
	wait_for 100 gone $load || fail "the clients do not end"
	wait_for 100 gone $exec_load || fail "the client under exec does not end"
}

fail_load()
{
	echo "the clients: $(cat $load_status)"
	echo "under exec: $(cat $exec_status)"
	end_load
	grep -v '^longest' $load_out $exec_out
	fail "$*"
}

load_mark()
{
	fields requests
	marked=$value exec_marked=$exec_value
}

# load_made N: more requests have been answered since the last load_mark; or one was wrong
load_made()
{
	errors && return
	fields requests
	((value >= marked + $1 * 19 / 20 && exec_value >= exec_marked + $1 / 20))
}

errors()
{
	fields errors
	((value > 0 || exec_value > 0))
}

# All that the load has to say at the end: nothing lost, nothing wrong.
load_is_good()
{
	local out

	end_load
	for out in $load_out $exec_out; do
		grep -q '^requests=.* errors=0 lost=0 ' $out || { cat $load_out $exec_out; fail "$1"; }
	done
	echo "clients: $(grep ^requests= $load_out)"
	echo "clients: $(grep ^longest: $load_out)"
	echo "under exec: $(grep ^requests= $exec_out)"
	echo "under exec: $(grep ^longest: $exec_out)"
}

# The rate at which clients keep up, on a machine that nobody disturbs: RESTART_RATE if it is quick
# enough, else a half, a quarter … of it. Time itself is measured.
calibrate()
{
	rate_kept=$RESTART_RATE
	while :; do
		start_load "$rate_kept"
		load_mark
		pause 5
		! load_made $((rate_kept * 4)) || break
		load_is_good "no restart"
		rate_kept=$((rate_kept / 2))
		((rate_kept >= 100)) || fail "not even $((rate_kept * 2)) requests a second are answered"
	done
	load_is_good "no restart"
}

# ---- qemu-img, again and again ----

# What is written is read back.
qemu_round()
{
	local drive=nvme://$NVME/1 command=(nice -n 5 "${user[@]}" qemu-img convert)

	"${command[@]}" -n -f raw -O raw /tmp/qemu-content "$drive" &&
		"${command[@]}" -f raw -O raw "$drive" /tmp/qemu-back &&
		cmp -n 4194304 /tmp/qemu-content /tmp/qemu-back
}

start_qemu()
{
	rm -f /tmp/qemu-{end,rounds,failed}
	(
		n=0
		while [[ ! -e /tmp/qemu-end ]]; do
			head -c 4M /dev/urandom >/tmp/qemu-content
			qemu_round || { : >/tmp/qemu-failed; break; }
			n=$((n + 1))
			echo $n >/tmp/qemu-rounds
			rm -f /tmp/qemu-back
		done
	) >/tmp/qemu-out 2>&1 &
	qemu=$!
}

qemu_made()
{
	[[ -e /tmp/qemu-failed || $(cat /tmp/qemu-rounds 2>/dev/null || echo 0) -ge $1 ]]
}

qemu_is_good()
{
	: >/tmp/qemu-end
	wait_for 120 gone $qemu || fail "qemu-img does not end"
	[[ ! -e /tmp/qemu-failed ]] || { cat /tmp/qemu-out; fail "qemu-img: see above"; }
	echo "qemu-img: wrote and read 4 MiB $(cat /tmp/qemu-rounds) times"
}

# ---- what the service has ----

fds()
{
	find "/proc/$(main_pid)/fd" -mindepth 1 2>/dev/null | wc -l
}

kept()
{
	show NFileDescriptorStore
}

memory()
{
	sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$(main_pid)/status"
}

# The least of some looks: a client that comes and goes has something at some of them.
measure()
{
	local what n value look

	for what in fds kept memory; do
		n=""
		for ((look = 0; look < 10; look++)); do
			value=$($what)
			[[ -n $n && $n -le $value ]] || n=$value
			pause 0.1
		done
		printf '%s ' "$n"
	done
}

# ---- restarts ----

active()
{
	[[ $(show ActiveState) == active && $(show SubState) == running ]]
}

# Main processes of the agents that there are.
agents_now()
{
	systemctl show -P MainPID 'vfio-cused-agent@*.service' | grep -vx '0\|'
}

laid_now()
{
	local line n=0

	while read -r line; do
		[[ $line != *" - tmpfs vfio-cused "* ]] || n=$((n + 1))
	done </proc/self/mountinfo
	((n == laid))
}

# Another process than $main serves, and all is there again; or a client got a wrong answer.
back_or_wrong()
{
	local word pid="" state="" count

	errors && return
	while IFS='=' read -r word value; do
		case $word in
		MainPID) pid=$value ;;
		SubState) state=$value ;;
		esac
	done < <(systemctl show -p MainPID,SubState $unit)
	[[ $pid != "$main" && $pid != 0 && $state == running ]] && laid_now || return
	count=$(agents_now | wc -l)
	((count <= 1))	# one that was killed is missed when it is needed
}

# after_restart WHAT: it is there again, and the load goes on
after_restart()
{
	wait_for 60 back_or_wrong || fail_load "$1: it was not started again"
	load_mark
	wait_for 60 load_made "$rate" || { errors || fail_load "$1: the clients stand still"; }
	! errors || fail_load "$1: a client got a wrong answer"
}

# restart_rounds N
restart_rounds()
{
	local n main what

	first="" last=""
	for ((n = 1; n <= $1; n++)); do
		main=$(main_pid)
		if ((n % 2)); then
			what="restart $n, by SIGKILL"
			kill -9 "$main"
		else
			what="restart $n, by systemctl"
			systemctl restart $unit || fail_load "$what: systemctl fails"
		fi
		after_restart "$what"
		((RESTART_PAUSE == 0)) || pause "$RESTART_PAUSE"
		((n != 2)) || first=$(measure)
	done
	(($1 < 3)) || last=$(measure)
}

# Of the second and the last of them.
nothing_grows()
{
	echo "after restart 2 and $RESTART_ROUNDS: fds, kept files, KiB: $first, $last"
	# shellcheck disable=SC2086
	set -- $first $last
	(($4 <= $1 + 3)) || fail_load "files of the service: from $1 to $4"
	(($5 <= $2 + 3)) || fail_load "files that systemd keeps: from $2 to $5"
	(($6 <= $3 + $3 / 10 + 1024)) || fail_load "memory of the service: from $3 to $6 KiB"
}

# kill_some PID…: if there are any
kill_some()
{
	((${1:-0})) && kill -9 "$@" 2>/dev/null
}

# Time itself is what is waited for: the moments are to be random.
kill_at_random()
{
	local end=$(($(now) + RESTART_KILL_SECONDS)) kills=0 agent_kills=0 what main

	RANDOM=$RESTART_SEED
	while (($(now) < end || (kills < 2 && $(now) < end + 60))) && ! errors; do
		pause "$((RANDOM % 2)).$((RANDOM % 900 + 100))"
		if ((RANDOM % 3)); then
			kill_some "$(main_pid)" && kills=$((kills + 1))
		fi
		if ((RANDOM % 2)); then
			# shellcheck disable=SC2046
			kill_some $(agents_now) && agent_kills=$((agent_kills + 1))
		fi
	done
	what="main killed $kills times, agents $agent_kills times, seed $RESTART_SEED"
	main=0
	after_restart "$what"
	echo "$what"
	((kills >= 2)) || fail "that is not often enough"
	wait_for 60 one_agent || fail "there are $(agents) agents"
}

# ---- the test ----

[[ $(systemctl is-system-running --wait) == running ]] || fail "the guest itself is not well"
dpkg -i /vm/package.deb >/tmp/dpkg 2>&1 || { cat /tmp/dpkg; fail "it cannot be installed"; }
systemctl stop $unit
before=$(machine)
truncate -s 8M $images/disk.img
truncate -s 8M $images/load.img
configure >$conf
# systemd gives up where a service ends too often; here it does so at our will.
drop_in often '[Unit]' 'StartLimitIntervalSec=0' '[Service]' 'RestartSec=50ms'
systemctl start $unit || fail "it cannot be started"
wait_for 20 one_agent || fail "there are $(agents) agents"
laid=$(mounts)

step "without a restart, $RESTART_RATE requests a second"
calibrate

step "$RESTART_ROUNDS restarts, $rate_kept requests a second"
start_load "$rate_kept"
restart_rounds "$RESTART_ROUNDS"
((RESTART_ROUNDS < 3)) || nothing_grows
load_is_good "restarts"

if ((RESTART_KILL_SECONDS)); then
	step "killed at random for $RESTART_KILL_SECONDS s, seed $RESTART_SEED"
	start_load "$rate_kept"
	kill_at_random
	load_is_good "kills"
fi

# It takes most of an emulated processor: fewer requests.
step "qemu-img, beside $((rate_kept / 5)) requests a second"
start_load $((rate_kept / 5))
start_qemu
wait_for 120 qemu_made 1 || fail_load "qemu-img does not begin"
restart_rounds $((RESTART_ROUNDS < 4 ? RESTART_ROUNDS : 4))
rounds=$(cat /tmp/qemu-rounds)
wait_for 120 qemu_made $((rounds + 1)) || fail_load "qemu-img stands still"
qemu_is_good
load_is_good "qemu-img"

step "stop, under load"
# Of calls that were under way and of later ones, of opens of what is no longer there, of containers
# whose group has gone first, and of devices that say nothing any more.
gone_answers='ENOTCONN|ECONNABORTED|ENODEV|ENOENT|ENXIO|EINVAL|no interrupt|ETIMEDOUT|not done'
hold
start_load "$rate_kept" --patience 20000
systemctl stop $unit || fail "it cannot be stopped"
client_sees 107 107	# ENOTCONN
client_ends
end_load
for out in $load_out $exec_out; do
	grep -q ' lost=0 ' $out || { cat $out; fail "a request was never answered"; }
	! grep '^error' $out | grep -vE "$gone_answers" ||
		fail "that is no answer of a service that has gone"
done
[[ $(show Result) == success ]] || fail "it stopped with $(show Result)"
[[ $(kept) == 0 ]] || fail "systemd still keeps $(kept) files"
wait_for 20 as_before || { machine_now; fail "something is left"; }

step "systemd keeps nothing"
drop_in nothing '[Service]' 'FileDescriptorStoreMax=0'
systemctl start $unit || fail "it cannot be started"
wait_for 20 one_agent || fail "there are $(agents) agents"
hold
main=$(main_pid)
kill -9 "$main"
wait_for 60 restarted "$main" || fail "it was not started again"
client_sees 107 107
client_ends
hold
client_sees 0 0
main=$(main_pid)
systemctl restart $unit || fail "it cannot be restarted"
client_sees 107 107
client_ends
systemctl stop $unit || fail "it cannot be stopped"
wait_for 20 as_before || { machine_now; fail "something is left"; }
step "good"
