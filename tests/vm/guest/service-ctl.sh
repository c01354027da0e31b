#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The control socket of the service: status with a client, devices that are added and removed
# while it runs, with and without clients, who may do so, and its two ways to stop.
# shellcheck source=lib.sh
. /vm/lib.sh

ctl()
{
	vfio-cused ctl "$@" >/tmp/ctl 2>&1
}

# has TEXT…: each is in the last answer
has()
{
	for has_text in "$@"; do
		grep -qF -- "$has_text" /tmp/ctl || {
			cat /tmp/ctl
			fail "\"$has_text\" is not in the answer"
		}
	done
}

ok()
{
	ctl "$@" || { cat /tmp/ctl; fail "ctl $*: status $?"; }
}

# refused STATUS TEXT ARGUMENT…
refused()
{
	refused_status=0
	refused_want=$1
	refused_text=$2
	shift 2
	ctl "$@" || refused_status=$?
	[ "$refused_status" = "$refused_want" ] || {
		cat /tmp/ctl
		fail "ctl $*: status $refused_status, not $refused_want"
	}
	has "$refused_text"
}

# Starts a client that has the device at $1 open: $holder, its words in /tmp/holder
hold()
{
	for hold_try in 1 2 3; do
		: >/tmp/holder
		holder "$1" "$(group_of "$1")" "$2" >/tmp/holder 2>&1 &
		holder=$!
		wait_for 20 begun || { cat /tmp/holder; fail "the client does not begin"; }
		! said open || return 0
		# A courier that was too slow on a busy machine, and nothing else, is tried again.
		grep -q "timed out" /tmp/holder || break
		wait "$holder" || echo "try $hold_try: $(cat /tmp/holder)"
	done
	cat /tmp/holder
	fail "the client does not begin"
}

begun()
{
	grep -q -e '^open$' -e '^cannot' /tmp/holder
}

said()
{
	grep -qx "$1" /tmp/holder
}

hears()
{
	wait_for 20 said "$1" || { cat /tmp/holder; fail "the client does not hear: $1"; }
}

serve()
{
	start_service --device "edu,bdf=$EDU,group=21" --device "nvme,size=16M,bdf=$NVME,group=22" \
		"$@"
}

visible()
{
	[ -e "/sys/bus/pci/devices/$1" ]
}

hidden()
{
	[ ! -e "/sys/bus/pci/devices/$1" ]
}

before=$(cut -d' ' -f4- /proc/self/mountinfo)
: >"$service_log"
refused 125 /run/vfio-cused/ctl status
serve

# ---- status ----
[ "$(stat -c '%a %u:%g' /run/vfio-cused/ctl)" = "600 0:0" ] || fail "mode of the socket"
ok status
has "No clients" "$EDU  edu0" "21     closed"
hold "$EDU" polite
ok status
has "21     attached  1" "$EDU  edu0   21     open" "type1" "4096B" "holder"
grep -Eq "^ +$holder +holder +0 +1 +21 +$EDU\$" /tmp/ctl || { cat /tmp/ctl; fail "the client"; }
ok --json status
has '"pid":'"$holder" '"name":"holder"' '"mappings":1' '"request_event":true' \
	'"device_files":1' '"stopping":false'

# ---- who may ----
su user -c "vfio-cused ctl status" >/tmp/ctl 2>&1 && fail "anybody may ask"
has "Permission denied"

# ---- add ----
ok add "edu,bdf=$EDU2"
has "$EDU2  /dev/vfio/0"
[ -c /dev/vfio/0 ] || fail "no node of an added group"
visible "$EDU2" || fail "an added device is not in /sys"
visible "$EDU" || fail "adding a device takes another out of /sys"
running "$holder" || fail "adding a device ends a client of another"
said "info 0" && fail "the client of another device noticed"
vfioc-static --bdf "$EDU2" --only group_status --only device_info >/tmp/tap ||
	{ cat /tmp/tap; fail "an added device does not work"; }
refused 1 "$EDU2" add "edu,bdf=$EDU2"
refused 1 "known are" add nosuch
refused 1 "image" add "nvme,image=/nosuch"
refused 1 colour add "edu,colour=red"
ok add "edu,bdf=0000:e3:00.0,group=21,id=second"
has "0000:e3:00.0  /dev/vfio/21"
ok status
has "second" "21     attached  1          2"

# ---- remove ----
refused 1 "no such device" remove nosuch
refused 1 "no such group" remove group=99
ok remove second
hidden 0000:e3:00.0 || fail "a removed device is in /sys"
[ -c /dev/vfio/21 ] || fail "the node went with one of two devices"
ok remove "$EDU2"
[ ! -e /dev/vfio/0 ] || fail "the node stays"
# Its client is asked, and closes.
ok remove edu0
wait "$holder" || fail "the polite client: status $?"
said asked || fail "the client was not asked"
[ ! -e /dev/vfio/21 ] || fail "the node stays"
hidden "$EDU" || fail "it is in /sys"
ok status
! grep -q "$EDU" /tmp/ctl || fail "a removed device is listed"
# It can come again, with the same names.
ok add "edu,bdf=$EDU,group=21"
vfioc-static --bdf "$EDU" --only device_info >/tmp/tap || { cat /tmp/tap; fail "the second life"; }

# A client that does not close: the removal waits, and others are served meanwhile.
hold "$EDU" stubborn
vfio-cused ctl remove edu0 >/tmp/waits 2>&1 &
waits=$!
hears asked
hears "again ENODEV"
ok status
has "leaving"
running "$waits" || fail "the removal does not wait"
said "info ENODEV" && fail "a device that is waited for is gone"
vfioc-static --bdf "$NVME" --only device_info >/tmp/tap || { cat /tmp/tap; fail "meanwhile"; }
# Revoked: the contract's answer for what has vanished. Both removals end by it.
ok remove "$EDU" --revoke
hears "info ENODEV"
hears "read ENODEV"
hears "status ENODEV"
wait "$waits" || fail "the first removal: $(cat /tmp/waits)"
[ ! -e /dev/vfio/21 ] || fail "the node stays"
running "$holder" || fail "the client was killed"
# The same device anew, beside the client that has the old one.
ok add "edu,bdf=$EDU,group=31"
vfioc-static --bdf "$EDU" --only device_info >/tmp/tap || { cat /tmp/tap; fail "beside the old one"; }
kill -KILL "$holder"
wait "$holder" 2>/dev/null || :
ok add "edu,bdf=0000:e4:00.0,group=21"
vfioc-static --bdf 0000:e4:00.0 --only device_info >/tmp/tap || { cat /tmp/tap; fail "group 21"; }

# Over and over: nothing is used up.
# Without what is kept of processes that were clients, which has a limit of its own.
files_of()
{
	for fd in /proc/"$service"/fd/*; do
		readlink "$fd"
	done | grep -v -e pidfd -e '^/proc/[0-9]*/m'
}
ok add "edu,bdf=0000:e5:00.0,group=40"
ok remove 0000:e5:00.0
settled()
{
	[ "$(files_of | wc -l)" -le "$files" ]
}
files=$(files_of | wc -l)
for round in 1 2 3 4 5; do
	ok add "edu,bdf=0000:e5:00.0,group=4$round"
	hold 0000:e5:00.0 polite
	ok remove "group=4$round"
	wait "$holder" || fail "round $round: status $?"
done
wait_for 10 settled || {
	files_of
	fail "more than $files files are open"
}

# ---- one service, one socket ----
vfio-cused serve --device edu --socket /run/vfio-cused/agent2 >/tmp/second 2>&1 &&
	fail "a second service"
grep -q "another vfio-cused serve" /tmp/second || { cat /tmp/second; fail "no reason"; }

# ---- stop ----
ok stop
wait "$service" || fail "stop: status $?"
service=""
[ ! -e /run/vfio-cused/ctl ] || fail "the socket stays"
[ "$(cut -d' ' -f4- /proc/self/mountinfo)" = "$before" ] || fail "mounts stay"

# It waits for a client, refuses new ones, and ends with it.
serve
hold "$EDU" stubborn
vfio-cused ctl stop >/tmp/waits 2>&1 &
waits=$!
hears asked
vfioc-static --bdf "$NVME" --only device_info >/tmp/tap 2>&1 && fail "a new client"
refused 1 "stopping" add edu
ok status
has stopping
running "$service" || fail "it does not wait"
kill -KILL "$holder"
wait "$holder" 2>/dev/null || :
wait_for 20 gone "$service" || fail "it does not end with its last client"
wait "$waits" || fail "ctl stop: $(cat /tmp/waits)"
wait "$service" || fail "stop with a client: status $?"

# It takes the devices away: the contract's answer first, then the end.
serve
hold "$EDU" stubborn
ok stop --revoke
gone "$service" || fail "ctl stop returns before the end"
wait "$service" || fail "stop --revoke: status $?"
service=""
hears "info ENODEV"
hears "info ENOTCONN"
kill -KILL "$holder"
wait "$holder" 2>/dev/null || :
[ -z "$(processes)" ] || fail "left: $(processes)"
[ ! -e /dev/vfio/21 ] || fail "the node stays"
[ "$(cut -d' ' -f4- /proc/self/mountinfo)" = "$before" ] || fail "mounts stay"

# ---- what was changed by hand, and a new configuration ----
conf=/tmp/service.conf
printf '[device "one"]\nbackend = edu\nbdf = %s\ngroup = 21\n' "$EDU" >$conf
start_service -c $conf
# reload WHAT: and wait until the service says WHAT (once more)
said_more()
{
	[ "$(grep -c "$1" "$service_log")" -gt "$2" ]
}
reload()
{
	reload_before=$(grep -c "$1" "$service_log" || :)
	kill -HUP "$service"
	wait_for 20 said_more "$1" "$reload_before" || fail "after SIGHUP it does not say: $1"
}
ok add "edu,bdf=$EDU2,group=22,id=two"
ok remove one
hidden "$EDU" || fail "device one stays"
# The configuration has the last word: two is not in it, one is.
reload "reloaded: .* 1 device"
wait_for 20 hidden "$EDU2" || fail "an added device outlives a reload that does not name it"
wait_for 20 visible "$EDU" || fail "a removed device does not come back by a reload"
vfioc-static --bdf "$EDU" --only device_info >/tmp/tap || { cat /tmp/tap; fail "it is back"; }
# One that is added and then named stays, and its client with it.
ok add "edu,bdf=$EDU2,group=22,id=two"
hold "$EDU2" stubborn
printf '[device "two"]\nbackend = edu\nbdf = %s\ngroup = 22\n' "$EDU2" >>$conf
reload "reloaded: .* 2 devices"
ok status
has "$EDU2  two  22     open"
# What a reload lets go is what ctl remove lets go: asked first, and taken if need be.
printf '[device "one"]\nbackend = edu\nbdf = %s\ngroup = 21\n' "$EDU" >$conf
reload "reloaded: .* 1 device, and others that leave"
hears asked
said "info ENODEV" && fail "a device that is waited for is gone"
ok status
has "leaving"
ok remove two --revoke
hears "info ENODEV"
hears "status ENODEV"
kill -KILL "$holder"
wait "$holder" 2>/dev/null || :
ok status
! grep -q "leaving" /tmp/ctl || fail "something is leaving still"
stop_service
# A client that stalls the device's DMA by its memory: whoever revokes it waits, nobody else
# does, and the service ends nevertheless.
serve
hold "$EDU" stalling
vfio-cused ctl remove edu0 --revoke >/tmp/waits 2>&1 &
waits=$!
hears "info ENODEV"
ok status
has "busy" "revoked"
vfioc-static --bdf "$NVME" --only device_info >/tmp/tap || { cat /tmp/tap; fail "beside a stalled one"; }
ok add "edu,bdf=$EDU2"
vfioc-static --bdf "$EDU2" --only device_info >/tmp/tap || { cat /tmp/tap; fail "added meanwhile"; }
running "$waits" || fail "revoked in spite of DMA under way: $(cat /tmp/waits)"
ok stop --revoke
wait "$service" || fail "stop beside a stalled client: status $?"
service=""
wait "$waits" || fail "the removal: $(cat /tmp/waits)"
wait_for 20 no_processes || fail "left: $(processes)"
wait_for 10 test ! -e /dev/vfio/21 || fail "the node stays"
[ ! -e /run/vfio-cused/ctl ] || fail "the socket stays"
[ "$(cut -d' ' -f4- /proc/self/mountinfo)" = "$before" ] || fail "mounts stay"
kill -KILL "$holder"
wait "$holder" 2>/dev/null || :

# ---- another socket, for others ----
echo "other:x:4242:4242:other:/tmp:/bin/sh" >>/etc/passwd
serve --service "ctl=/run/other,ctl_mode=0666,ctl_owner=user,sysfs=off"
[ "$(stat -c '%a %U' /run/other)" = "666 user" ] || fail "mode and owner"
su other -c "vfio-cused ctl --socket /run/other status" >/tmp/ctl 2>&1 ||
	{ cat /tmp/ctl; fail "who may ask cannot"; }
has "$EDU"
su other -c "vfio-cused ctl --socket /run/other remove edu0" >/tmp/ctl 2>&1 &&
	fail "who may ask can change"
has "root and the owner"
su user -c "vfio-cused ctl --socket /run/other remove edu0" >/tmp/ctl 2>&1 ||
	{ cat /tmp/ctl; fail "the owner cannot"; }
ok --socket /run/other status
! grep -q "$EDU" /tmp/ctl || fail "it is there"
# A service that is killed leaves a socket to nobody, which the next one replaces.
kill -KILL "$service"
wait "$service" 2>/dev/null || :
wait_for 20 no_processes || fail "left: $(processes)"
[ ! -e /run/other ] || fail "the socket of a killed service stays"
serve --service ctl=off
[ ! -e /run/vfio-cused/ctl ] || fail "a socket in spite of off"
stop_service
