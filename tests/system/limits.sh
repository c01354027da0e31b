#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Surroundings in which it cannot work, or only just: each is named, nothing hangs.
. "$(dirname "$0")/lib.sh"

# ---- nested: one listener per chain of filters ----
expect 125 cused run --device edu -- "$VFIO_CUSED" run --device edu -- true
has err "inside" "from outside"
printf 'nested: %s\n' "$(tail -n 1 "$work/err")"

# ---- no user namespaces: inside a namespace of its own, where none may follow ----
if unshare -Ur true 2>/dev/null; then
	# shellcheck disable=SC2016
	expect 125 unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces
		exec setpriv --bounding-set=-all --inh-caps=-all timeout 60 "$0" \
			run --device edu -- true' "$VFIO_CUSED"
	has err "max_user_namespaces"
	printf 'no namespaces: %s\n' "$(tail -n 1 "$work/err")"
else
	printf 'no namespaces: not tried, unshare -Ur does not work here\n'
fi

# ---- the machine removes its own /dev/vfio, as unloading its module does ----
if unshare -Urm true 2>/dev/null; then
	mkdir "$work/dev"
	mkfifo "$work/fifo"
	# shellcheck disable=SC2016
	expect 0 unshare -Urm sh -ec 'mount -t tmpfs tmpfs "$1/dev"
		for name in null zero full random urandom tty; do
			: >"$1/dev/$name"
			mount --bind "/dev/$name" "$1/dev/$name"
		done
		mkdir "$1/dev/vfio"
		mount --rbind "$1/dev" /dev
		timeout 60 "$0" run --device edu -- sh -ec "
			echo up >$1/fifo; read -r word <$1/fifo; ls /dev/vfio/vfio" &
		read -r word <"$1/fifo"
		rmdir /dev/vfio
		echo go >"$1/fifo"
		wait $!' "$VFIO_CUSED" "$work"
	has out /dev/vfio/vfio
else
	printf 'removal of /dev/vfio: not tried, unshare -Urm does not work here\n'
fi

# ---- ulimit -f: a file size limit that the device file exceeds ----
status=0
(ulimit -f 100; cused run --device edu -- "$SYSTEM_BIN/vfioc" \
	--bdf 0000:01:00.0 --list) >"$work/out" 2>"$work/err" || status=$?
case $status in
0) ;;
125) has err "ulimit -f" ;;
*) cat "$work/err"; fail "status $status under ulimit -f" ;;
esac
printf 'ulimit -f: status %s %s\n' "$status" "$(tail -n 1 "$work/err")"

# ---- few descriptors, little locked memory ----
(ulimit -n 64; expect 0 cused run --device edu --device nvme -- true)
(ulimit -l 64; expect 0 cused run --device "edu,bdf=$bdf" -- "$SYSTEM_BIN/vfioc" \
	--bdf "$bdf" --only dma_private)

# ---- a 32-bit client ----
if [[ ! -x $SYSTEM_BIN/client32 ]]; then
	printf '32-bit client: not tried, the compiler cannot make one\n'
else
	status=0
	"$SYSTEM_BIN/client32" || status=$?
	if ((status == 0 || status == 22 || status == 25)); then
		status=0
		cused run --device edu -- "$SYSTEM_BIN/client32" >"$work/out" 2>"$work/err" ||
			status=$?
		printf '32-bit client: status %s %s\n' "$status" "$(tail -n 1 "$work/err")"
		((status != 0)) || fail "a 32-bit client got an answer"
		has err "32-bit"
	else
		printf '32-bit client: not tried, this kernel runs none (status %s)\n' "$status"
	fi
fi
