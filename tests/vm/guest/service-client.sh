#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The test client on the service's /dev/vfio. The name of this script says which client and
# how: service-USER-CLIENT, with USER root, user (who owns the groups) or exec (that user,
# started by `vfio-cused exec`), and CLIENT a suffix of vfioc or nothing; $CLIENT
# "conformance", that it is the conformance program; $OPTIONS are the service's. What the
# client finds is for the caller to judge.
# shellcheck source=lib.sh
. /vm/lib.sh
rest=${0##*/service-}
user=${rest%%-*}
suffix=${rest#"$user"}
answers=vm-answers
[ "$suffix" != -32 ] || answers=vm-answers-32

# as_client COMMAND…
as_client()
{
	case $user in
	root) "$@" ;;
	user) su user -c "exec $*" ;;
	exec) su user -c "exec vfio-cused exec -- $*" ;;
	esac
}

# shellcheck disable=SC2086
start_service ${OPTIONS-} --device "edu,bdf=$EDU" --device "nvme,size=16M,bdf=$NVME"
for bdf in "$EDU" "$NVME"; do
	[ "$user" = root ] || chown user "/dev/vfio/$(group_of "$bdf")"
done
uname -r
for pair in "edu $EDU $NVME" "nvme $NVME $EDU"; do
	# shellcheck disable=SC2086
	set -- $pair
	# One device for each client: a guest without KVM is slow enough.
	case ${CLIENT-}$suffix-$1 in
	conformance-static-nvme | conformance-32-edu) continue ;;
	esac
	echo "device $1"
	if [ -n "${CLIENT-}" ]; then
		rm -f /tmp/record
		as_client "conformance$suffix" --bdf "$2" --peer "$3" --short \
			--record /tmp/record || :
		cat /tmp/record
		continue
	fi
	# 65535 mappings, each emulated: one minute, so for one client and one device.
	without="--without type1_budget"
	[ "$rest $1" != "user-static edu" ] || without=""
	# shellcheck disable=SC2086
	as_client "vfioc$suffix" --bdf "$2" --peer "$3" --iterations "$ITERATIONS" \
		$without || :
	as_client "$answers" "$2" || fail "$answers as $user"
done >/tmp/tap 2>&1
# What it says is written at the end, because a client that never ends says it to nobody.
cat /tmp/tap
stop_service
