#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Installation and its opposite, into a folder (DESTDIR): what comes is complete, what an
# administrator has changed stays, and nothing else does.
. "$(dirname "$0")/lib.sh"
need cmake ninja
build=$(dirname "$VFIO_CUSED")
export DESTDIR=$work/root
conf=$DESTDIR/etc/vfio-cused.conf

install_it()
{
	cmake --install "$build" >"$work/install.log" 2>&1 || { cat "$work/install.log"; fail "cmake --install"; }
}

uninstall_it()
{
	ninja -C "$build" uninstall >"$work/uninstall.log" 2>&1 ||
		{ cat "$work/uninstall.log"; fail "ninja uninstall"; }
}

left()
{
	[[ ! -d $DESTDIR ]] || find "$DESTDIR" ! -type d
}

# present PATTERN…: there is one file of each
present()
{
	local pattern

	for pattern in "$@"; do
		[[ $(left | grep -cE "/$pattern\$") == 1 ]] ||
			fail "not one file $pattern, but: $(left | grep -E "/$pattern\$" || echo none)"
	done
}

install_it
present bin/vfio-cused system/vfio-cused.service 'system/vfio-cused-agent@.service' \
	system/vfio-cused-agent.socket rules.d/60-vfio-cused.rules \
	modules-load.d/vfio-cused.conf etc/vfio-cused.conf completions/vfio-cused \
	man1/vfio-cused.1 man5/vfio-cused.conf.5 man7/vfio-cused-ctl.7 \
	man7/vfio-cused-backends.7 man8/vfio-cused-serve.8 include/vfio-cused/device.h
# Units start what was installed. (Where a sanitizer is in it, the same.)
program=$(left | grep -E '/bin/vfio-cused$')
for unit in $(left | grep '\.service$'); do
	started=$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$unit")
	[[ $DESTDIR$started == "$program" ]] || fail "$unit starts $started"
	! grep -n '@[A-Z_]*@' "$unit" || fail "$unit was not filled in"
done
# The configuration that comes is a good one, with its example as well.
"$VFIO_CUSED" --config "$conf" --dump-config >"$work/dump" || fail "its configuration is refused"
sed -n 's/^# \(\[.*\|[a-z]* = .*\)$/\1/p' "$conf" >"$work/example"
grep -q '^backend' "$work/example" || fail "there is no example in its configuration"
"$VFIO_CUSED" --config "$work/example" --dump-config >"$work/dump" || fail "its example is refused"
grep -q 'backend = nvme' "$work/dump" || fail "its example says nothing"

# What is there stays, at an installation over it and at the end.
echo '# changed' >>"$conf"
install_it
grep -q '^# changed' "$conf" || fail "the configuration was written over"
uninstall_it
[[ $(left) == "$conf" ]] || fail "left: $(left)"
rm "$conf"
install_it
install_it
uninstall_it
[[ -z $(left) ]] || fail "left: $(left)"
! find "$DESTDIR" -name vfio-cused -type d | grep . || fail "folders are left"
