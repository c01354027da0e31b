#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The service's configuration: a file, rights of groups, and SIGHUP.
# shellcheck source=lib.sh
. /vm/lib.sh
conf=/tmp/service.conf

# device ID BDF GROUP [LINE…]: a section
device()
{
	printf '[device "%s"]\nbackend = edu\nbdf = %s\ngroup = %s\n' "$1" "$2" "$3"
	shift 3
	[ $# = 0 ] || printf '%s\n' "$@"
}

# mode NODE WANTED
mode()
{
	[ -c "/dev/vfio/$1" ] || fail "no node $1"
	is=$(stat -c '%a %u:%g' "/dev/vfio/$1")
	[ "$is" = "$2" ] || fail "node $1 is $is, not $2"
}

no_node()
{
	[ ! -e "/dev/vfio/$1" ]
}

in_sysfs()
{
	[ "$(cat "/sys/bus/pci/devices/$1/vendor" 2>/dev/null)" = 0x1234 ]
}

not_in_sysfs()
{
	[ ! -e "/sys/bus/pci/devices/$1" ]
}

# hold NAME ARGUMENT…: a holder whose output goes to /tmp/NAME.out
hold()
{
	hold_name=$1
	shift
	vm-holder "$@" >"/tmp/$hold_name.out" 2>&1 </dev/null 8>&- &
	holder=$!
	wait_for 20 grep -q open "/tmp/$hold_name.out" || fail "$hold_name does not open: $*"
}

uid=$(su user -c 'id -u')

# ---- the file, and rights ----
{
	device one "$EDU" 7
	device two "$NVME" 8
	printf '[group "7"]\nmode = 0640\nowner = user\n[group "8"]\nmode = 0660\ngroup = 4000\n'
} >$conf
start_service -c $conf
mode 7 "640 $uid:0"
mode 8 "660 0:4000"
mode vfio "666 0:0"
su user -c "echo | vm-holder $EDU 7 look" >/tmp/out || { cat /tmp/out; fail "its owner"; }
grep -q '^group 0 device 0$' /tmp/out || { cat /tmp/out; fail "the owner is refused"; }
! su user -c "exec vm-holder $NVME 8 look" >/tmp/out || fail "not the owner"
grep -q '^open 13$' /tmp/out || { cat /tmp/out; fail "not the owner: not EACCES"; }
# Root opens it; who gets the file is judged by the rules.
vm-holder "$EDU" 7 as "$uid" >/tmp/out
grep -q '^group 0 device 0$' /tmp/out || { cat /tmp/out; fail "passed on to the owner"; }
vm-holder "$EDU" 7 as 12345 >/tmp/out
grep -q '^group 13 device 13$' /tmp/out || { cat /tmp/out; fail "passed on to another"; }

# ---- a mistake changes nothing ----
cp $conf /tmp/good.conf
echo 'colour = red' >>$conf
reload "stays as it was: $conf:15: .*colour"
printf '\001\002' >$conf
reload "stays as it was: $conf:1: "
rm $conf
reload "stays as it was: .*$conf"
mode 7 "640 $uid:0"
in_sysfs "$EDU" || fail "a mistake took a device away"
cp /tmp/good.conf $conf
reload "reloaded: /dev/vfio/vfio, 2 groups, 2 devices"

# ---- one goes and one comes, while a third is used ----
mkfifo /tmp/ask
vm-holder "$EDU" 7 look >/tmp/look.out 2>&1 </tmp/ask &
looker=$!
exec 8>/tmp/ask
wait_for 20 grep -q open /tmp/look.out || fail "the looker does not open"
hold closes "$NVME" 8 close
closer=$holder
{
	device one "$EDU" 7
	device three "$EDU2" 9
	printf '[group "7"]\nmode = 0640\nowner = user\n[group "9"]\nowner = user\n'
} >$conf
reload "reloaded: .* 2 devices"
wait_for 20 gone "$closer" || fail "the client was not asked to close"
wait "$closer" || fail "the client that was asked: $?"
grep -q asked /tmp/closes.out || fail "no REQ interrupt"
wait_for 20 no_node 8 || fail "group 8 is still there"
wait_for 20 not_in_sysfs "$NVME" || fail "its device is still in sysfs"
mode 9 "600 $uid:0"
in_sysfs "$EDU2" || fail "the new device is not in sysfs"
su user -c "exec vfioc-static --bdf $EDU2 --only device_info" >/tmp/tap ||
	{ cat /tmp/tap; fail "the new device"; }
echo >&8
wait_for 20 grep -q '^group 0 device 0$' /tmp/look.out ||
	{ cat /tmp/look.out; fail "the reload touched another client's device"; }

# ---- rights of one that is open ----
kill "$looker"
wait "$looker" 2>/dev/null || :
su user -c "exec vm-holder $EDU 7 look" >/tmp/look.out 2>&1 </tmp/ask 8>&- &
looker=$!
wait_for 20 grep -q open /tmp/look.out || fail "the user's looker does not open"
sed -i 's/^mode = 0640/mode = 0600/; s/^owner = user/owner = 0/' $conf
reload "reloaded"
mode 7 "600 0:0"
echo >&8
wait_for 20 grep -q '^group 13 device 13$' /tmp/look.out ||
	{ cat /tmp/look.out; fail "a user who was taken out may go on"; }
sed -i 's/^owner = 0/owner = user/' $conf
reload "reloaded"
echo >&8
wait_for 20 grep -q '^group 0 device 0$' /tmp/look.out ||
	{ cat /tmp/look.out; fail "the user is not let in again"; }
exec 8>&-
wait_for 20 gone "$looker" || fail "the looker stays"

# ---- a client that does not let go, and what is wanted in its place ----
hold keeps "$EDU2" 9 keep
keeper=$holder
{
	device one "$EDU" 7
	device four "$EDU2" 10
} >$conf
reload "reloaded: .* others that leave"
wait_for 20 grep -q works /tmp/keeps.out || { cat /tmp/keeps.out; fail "it lost its device"; }
no_node 10 || fail "two devices have one address"
vm-holder "$EDU2" 9 look >/tmp/out 2>&1 </dev/null && fail "the group is opened twice"
# Another reload does not hurry it.
reload "reloaded: .* others that leave"
running "$keeper" || fail "the client was killed"
kill -KILL "$keeper"
wait "$keeper" 2>/dev/null || :
wait_for 20 test -c /dev/vfio/10 || fail "what was wanted in its place does not come"
wait_for 20 no_node 9 || fail "group 9 is still there"
vfioc-static --bdf "$EDU2" --only device_info >/tmp/tap || { cat /tmp/tap; fail "device four"; }

# ---- all of them, and back; a device that cannot be made ----
: >$conf
# The release of what the last client closed may be on its way still.
reload "reloaded: /dev/vfio/vfio, [01] groups*, 0 devices"
wait_for 20 no_node 7 || fail "group 7 is still there"
wait_for 20 no_node 10 || fail "group 10 is still there"
wait_for 20 not_in_sysfs "$EDU" || fail "device one is still in sysfs"
{
	device one "$EDU" 7
	printf '[device "none"]\nbackend = nvme\nimage = /no/such/file\n'
} >$conf
reload "device none cannot be made: .*/no/such/file"
wait_for 20 in_sysfs "$EDU" || fail "one device's mistake is another's"
vfioc-static --bdf "$EDU" --only device_info >/tmp/tap || { cat /tmp/tap; fail "device one"; }
# Lines of one module more, at once, and no more.
errors()
{
	lines "debug: call: .* of process"
}
fails_calls="vfioc-static --bdf $EDU --only container_other_commands"
$fails_calls >/tmp/tap || { cat /tmp/tap; fail "calls that fail"; }
[ "$(errors)" = 0 ] || fail "a call that fails has a line, but nobody asked for it"
printf '[log]\ncall = debug\nserve = warning\n' >>$conf
kill -HUP "$service"
some_errors()
{
	$fails_calls >/tmp/tap
	[ "$(errors)" != 0 ]
}
wait_for 20 some_errors || fail "the level of a module has not changed"
before=$(lines "reloaded")
sed -i '/^serve = /d; /^call = /d' $conf
reload "reloaded: .* 1 device"
[ "$(lines "reloaded")" = $((before + 1)) ] || fail "serve spoke while it was to be quiet"
echo '[service]
memory = retry' >>$conf
reload "take effect when the service is started again"

# ---- one leaves a group as another comes into it, with other rights ----
hold before "$EDU" 7 keep
{
	device six "$NVME" 7
	printf '[group "7"]\nowner = user\n'
} >$conf
reload "reloaded: .* 1 device, and others that leave"
wait_for 20 in_sysfs "$NVME" || fail "the second device of the group does not come"
mode 7 "600 $uid:0"
echo look | vm-holder "$EDU" 7 look >/tmp/out 2>&1 && fail "a group with two owners"
kill -KILL "$holder"
wait "$holder" 2>/dev/null || :
wait_for 20 not_in_sysfs "$EDU" || fail "device one does not go"
mode 7 "600 $uid:0"
vfioc-static --bdf "$NVME" --only device_info >/tmp/tap || { cat /tmp/tap; fail "device six"; }

# ---- with devices that leave, it ends as always ----
hold last "$NVME" 7 keep
: >$conf
reload "others that leave"
stop_service
kill -KILL "$holder"
wait "$holder" 2>/dev/null || :
no_processes || fail "left: $(processes)"
no_node 7 || fail "a node is left"
not_in_sysfs "$NVME" || fail "a device is left in sysfs"

# ---- what it says, to a journal ----
mkdir -p /run/systemd/journal
vm-journal /run/systemd/journal/socket >/tmp/journal.out 2>&1 </dev/null &
journal=$!
wait_for 20 test -S /run/systemd/journal/socket || fail "no journal"
{
	device one "$EDU" 7
	printf '[group "7"]\nowner = user\n'
} >$conf
: >/tmp/stream
JOURNAL_STREAM=$(stat -c %d:%i /tmp/stream) vfio-cused serve -c $conf </dev/null 2>/tmp/stream &
service=$!
wait_for 20 grep -q '^MESSAGE=ready' /tmp/journal.out || { cat /tmp/stream; fail "not in the journal"; }
vm-holder "$EDU" 7 as 12345 >/tmp/out &
holder=$!
wait "$holder"
wait_for 20 grep -q "^MESSAGE=process $holder of user 12345 may not use group 7" /tmp/journal.out ||
	{ cat /tmp/journal.out; fail "who is refused is not in the journal"; }
for field in PRIORITY=6 SYSLOG_IDENTIFIER=vfio-cused CUSED_MODULE=access CUSED_GROUP=7 \
	"OBJECT_PID=$holder"; do
	grep -qx "$field" /tmp/journal.out || { cat /tmp/journal.out; fail "no field $field"; }
done
# A journal that reads nothing keeps nobody waiting; its socket takes some 10 entries.
kill -STOP "$journal"
holders=0
while [ $holders -lt 30 ]; do
	timeout 20 vm-holder "$EDU" 7 as 12345 >/tmp/out || [ $? != 143 ] ||
		fail "a client waits for the journal"
	holders=$((holders + 1))
done
vfio-cused ctl status >/tmp/out || fail "ctl waits for the journal: $?"
kill -CONT "$journal"
all_told()
{
	[ "$(grep -o "^MESSAGE=process .* of user 12345 may not use" /tmp/journal.out |
		sort -u | wc -l)" = 31 ]
}
wait_for 20 all_told || { cat /tmp/journal.out; fail "lines of that time were lost"; }
stop_service
[ ! -s /tmp/stream ] || { cat /tmp/stream; fail "lines beside the journal"; }
# Without a journal they are not lost.
kill "$journal"
wait "$journal" 2>/dev/null || :
rm /run/systemd/journal/socket
JOURNAL_STREAM=$(stat -c %d:%i /tmp/stream) vfio-cused serve -c $conf </dev/null 2>/tmp/stream &
service=$!
wait_for 20 grep -q ready /tmp/stream || fail "lines are lost where there is no journal"
stop_service
