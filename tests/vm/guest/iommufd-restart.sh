#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Restart without loss with devices of the machine: by SIGKILL and by systemctl in turn, while
# clients have devices open, or have only mapped memory, by file and by courier, or have swapped
# their container for an iommufd; and while one of them ends. Then SIGKILL at random moments, while a
# client is at work. What is mapped is there for the device before and after, and nothing stays
# pinned. $ONE and $TWO are edu devices, alone in their groups.
# shellcheck source=unit-lib.sh
. /vm/unit-lib.sh
# shellcheck source=actors.sh
. /vm/actors.sh
: "${ONE:?}" "${TWO:?}" "${RESTART_SEED:?}" "${RESTART_KILLS:?}"
kinds=(shared private)			# of areas 0 and 1

# configure [LINE…]: both devices, and lines of [service]
configure()
{
	printf '%s\n' '[service]' 'replace = on' "$@" '[device "one"]' 'backend = host' \
		"bdf = $ONE" '[device "two"]' 'backend = host' "bdf = $TWO" >$conf
}

started()
{
	[[ $(show SubState) == running ]] && one_agent
}

# restart HOW: kill or systemctl; then another process serves
restart()
{
	local old

	old=$(main_pid)
	if [[ $1 == kill ]]; then
		kill -KILL "$old"
	else
		systemctl restart $unit || fail "it cannot be restarted"
	fi
	wait_for 60 restarted "$old" || fail "after $1 it is not there again"
	journalctl -o cat -b -u $unit _PID="$(main_pid)" | grep -q 'taken over from the process' ||
		fail "after $1 it begins afresh"
}

# Main is killed at random moments, $RESTART_KILLS times, while the client does all that it can. Time
# itself is what is waited for.
killer()
{
	local n=0 old

	while ((n < RESTART_KILLS)); do
		read -rt "$((RANDOM % 3)).$((RANDOM % 900 + 100))" <>/tmp/never || :
		old=$(main_pid)
		kill -KILL "$old" 2>/dev/null || continue
		n=$((n + 1))
		wait_for 60 restarted "$old" || break
	done
	echo "$n" >/tmp/killed
}

# under_kills: A has neither container nor group
under_kills()
{
	local rounds=0 killer area

	rm -f /tmp/killed /tmp/never
	mkfifo /tmp/never
	RANDOM=$RESTART_SEED
	killer &
	killer=$!
	while [[ ! -e /tmp/killed ]]; do
		takes A "$ONE"
		for area in 0 1; do
			ok A map 0 $area ${kinds[(area + rounds) % 2]}
		done
		ok A dma 0 0 1
		ok A unmap 0 1
		expect wrong A dma 0 0 1
		ok A map 0 1 shared
		ok A dma 0 0 1
		ok A close device 0
		ok A unset 0
		ok A close group 0
		ok A close container 0
		rounds=$((rounds + 1))
	done
	wait $killer
	echo "$(</tmp/killed) kills in $rounds rounds, seed $RESTART_SEED"
	(($(</tmp/killed) == RESTART_KILLS)) ||
		fail "it was not killed $RESTART_KILLS times"
	nothing_left "kills at random"
	! journalctl -o cat -b -u $unit | grep 'begins afresh' || fail "see above"
}

nothing_left()
{
	wait_for 30 nothing_is_pinned || fail "$(pinned) pages are pinned after $*"
}

free_of()
{
	! in_use "$1"
}

for bdf in $ONE $TWO; do
	vfio_bind "$bdf"
done
configure
dpkg --force-confold -i /vm/package.deb >/tmp/dpkg 2>&1 || { cat /tmp/dpkg; fail "no package"; }
systemctl restart $unit || fail "it does not start"
wait_for 60 started || fail "it is not running"
laid=$(mounts)
nothing_left "the start"

step "a client with its device open, and memory that is mapped by each way"
actor A
takes A "$ONE"
ok A map 0 0 shared
ok A map 0 1 private
ok A dma 0 0 1
for how in kill systemctl kill; do
	was=$(pinned)
	((was >= 32)) || fail "only $was pages are pinned"
	restart $how
	[[ $(pinned) == "$was" ]] || fail "$(pinned) pages are pinned after $how, and $was before"
	ok A dma 0 0 1
	ok A look 0
	expect 3 A status 0
	# What was mapped is unmapped, from the device, too; and there can be more.
	for area in 0 1; do
		ok A unmap 0 $area
		expect wrong A dma 0 0 1
		ok A map 0 $area ${kinds[area]}
		ok A dma 0 0 1
	done
	# The same file, as the kernel binds one.
	ok A device 1 0 "$ONE"
	ok A dma 1 1 0
	ok A close device 1
	expect -16 A unset 0
done
ok A close device 0
ok A unset 0
nothing_left "the client has left its container"
ends A

step "a client that has mapped memory, and opens its device after the restart"
actor A
ok A container 0
ok A group 0 "$TWO"
ok A attach 0 0
ok A iommu 0
ok A map 0 0 shared
ok A map 0 1 private
for how in kill systemctl; do
	restart $how
	ok A device 0 0 "$TWO"
	ok A dma 0 0 1
	ok A close device 0
done
ends A
nothing_left "the client has ended"

step "two groups in one container, of which one has its device open"
actor A
takes A "$ONE"
ok A group 1 "$TWO"
ok A attach 1 0
ok A map 0 0 private
ok A map 0 1 shared
restart kill
ok A device 1 1 "$TWO"
ok A dma 1 0 1
ok A dma 0 1 0
ok A close device 0
ok A close group 0
restart systemctl
ok A dma 1 0 1
ends A
nothing_left "both have gone"

step "a client that ends while nobody serves"
actor A
takes A "$ONE"
ok A map 0 0 shared
old=$(main_pid)
kill -KILL "$old" "$(pid_of A)"
wait "$(pid_of A)" 2>/dev/null
wait_for 60 restarted "$old" || fail "it is not there again"
wait_for 30 free_of "$ONE" || fail "its group is in use still"
nothing_left "it has ended"
actor A
takes A "$ONE"
ok A map 0 0 shared
ok A map 0 1 shared
ok A dma 0 0 1
ends A
nothing_left "another one has ended"

step "a client that is at work while main is killed"
actor A
under_kills
ends A

step "containers that are iommufds"
configure 'dma = swap'
systemctl stop $unit
systemctl start $unit || fail "it does not start"
wait_for 60 started || fail "it is not running"
actor A
takes A "$ONE"
ok A map 0 0 private
ok A map 0 1 shared
ok A dma 0 0 1
for how in kill systemctl; do
	restart $how
	ok A dma 0 0 1
	ok A unmap 0 1
	expect wrong A dma 0 0 1
	ok A map 0 1 private
done
# All groups leave, and the client keeps its iommufd over a restart.
ok A close device 0
ok A unset 0
nothing_left "the groups have left"
restart kill
ok A attach 0 0
ok A iommu 0
ok A device 0 0 "$ONE"
ok A map 0 0 private
ok A map 0 1 private
ok A dma 0 0 1
# Another group comes by the iommufd.
ok A group 1 "$TWO"
ok A attach 1 0
ok A device 1 1 "$TWO"
ok A dma 1 0 1
ends A
nothing_left "the client with an iommufd has ended"

step "a client with iommufds that is at work while main is killed"
actor A
under_kills
ends A

systemctl stop $unit || fail "it cannot be stopped"
[[ $(show NFileDescriptorStore) == 0 ]] || fail "files are kept after the stop"
nothing_left "the stop"
! journalctl -o cat -b -u $unit | grep -E 'begins afresh|cannot unmap' || fail "see above"
