#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# check says whether run would work: where run works, in surroundings where it does not.
. "$(dirname "$0")/lib.sh"

# agree WHAT COMMAND…: check, started by the command, says what run, started by it, does
agree()
{
	local what=$1 run=0 check=0

	shift
	"$@" "$VFIO_CUSED" run --device edu -- true >"$work/run" 2>&1 </dev/null || run=$?
	"$@" "$VFIO_CUSED" check >"$work/out" 2>&1 </dev/null || check=$?
	printf '%s: run %d, check %d: %s\n' "$what" "$run" "$check" "$(tail -n 1 "$work/out")"
	case $run,$check in
	0,0)
		! grep -q '^missing' "$work/out" || fail "missing, but it works"
		;;
	125,1)
		grep -q '^missing' "$work/out" || fail "nothing is missing, but it does not work"
		grep -q '^         ' "$work/out" || fail "no cure is named"
		;;
	*)
		cat "$work/run" "$work/out"
		fail "check and run do not agree"
		;;
	esac
}

agree "here" env
for need in kernel seccomp proc sysfs namespaces mounts "client memory" "device files"; do
	has out "$need"
done
expect 0 "$VFIO_CUSED" check run
has out "vfio-cused run works here"
expect 125 "$VFIO_CUSED" check walk
has err walk run serve iommufd
expect 125 "$VFIO_CUSED" check run walk
has err walk iommufd
agree "nested" timeout 60 "$VFIO_CUSED" run --device edu --
has out "seccomp notification"
agree "soft limit on file sizes" bash -c 'ulimit -Sf 100; exec "$@"' bash
agree "hard limit on file sizes" bash -c 'ulimit -f 100; exec "$@"' bash
has out "ulimit -Hf"
if unshare -Urpf true 2>/dev/null; then
	agree "/proc of another PID namespace" unshare -Urpf
	has out "mount -t proc"
fi
if unshare -Ur true 2>/dev/null; then
	# shellcheck disable=SC2016
	agree "no namespaces" unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces
		exec setpriv --bounding-set=-all --inh-caps=-all "$@"' sh
	has out "max_user_namespaces"
	if ((EUID == 0)); then
		agree "root, no user namespaces" unshare -Ur sh -c \
			'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"' sh
	fi
fi

# ---- the service's needs: named, each with a cure ----
serve=0
"$VFIO_CUSED" check serve >"$work/out" 2>&1 </dev/null || serve=$?
tail -n 1 "$work/out"
for need in kernel rights sysfs CUSE "FUSE passthrough" "kernel's own vfio" ptrace; do
	has out "$need"
done
missing=$(grep -c '^missing' "$work/out" || :)
case $serve in
0) ((missing == 0)) || fail "missing, but it would work" ;;
1) ((missing > 0)) || fail "nothing is missing, but it would not work" ;;
*) fail "check serve: status $serve" ;;
esac
[[ $(grep -cE '^(missing|limited)' "$work/out" || :) -le $(grep -c '^         ' "$work/out" || :) ]] ||
	fail "no cure is named"
[[ -e /dev/cuse ]] || has out "modprobe cuse"
if unshare -Ur true 2>/dev/null; then
	expect 1 unshare -Ur "$VFIO_CUSED" check serve
	has out "missing  rights" "not tried without these rights"
fi
if ((EUID == 0)) && setpriv --bounding-set=-sys_ptrace true 2>/dev/null; then
	expect 1 setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace "$VFIO_CUSED" check serve
	has out "CAP_SYS_PTRACE"
fi

# ---- forwarding's needs ----
forwarding=0
"$VFIO_CUSED" check iommufd >"$work/out" 2>&1 </dev/null || forwarding=$?
tail -n 1 "$work/out"
for need in iommufd IOMMU "device nodes" "device  " group "node of the device"; do
	has out "$need"
done
case $forwarding,$(grep -c '^missing' "$work/out" || :) in
0,0) has out "forwarding to iommufd works here" ;;
1,[1-9]*) has out "forwarding to iommufd does not work here" "         " ;;
*) fail "check iommufd: status $forwarding" ;;
esac
expect 1 "$VFIO_CUSED" check iommufd 0000:ff:1f.7
has out "0000:ff:1f.7 is not there"
