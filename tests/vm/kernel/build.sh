#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# build.sh - makes a guest's kernel from Debian's packaged source.
#
#   build.sh PACKAGE CONFIG DIR
#
# PACKAGE is a file linux-source-VERSION_….deb, CONFIG what is switched on beyond allnoconfig.
# DIR gets what ./bootstrap guest puts beside it: vmlinuz, modules/modules.builtin, version;
# and config, for who wonders. It appears when all of that is there, or not at all.
# The source is unpacked beside DIR, some 1 GiB, and removed at the end.
set -euo pipefail
shopt -s inherit_errexit

(($# == 3)) || { echo "usage: build.sh PACKAGE CONFIG DIR" >&2; exit 2; }
package=$(realpath "$1") config=$(realpath "$2") dir=$(realpath -m "$3")
work=$dir.new
log=$dir.log
start=$SECONDS

die()
{
	printf 'build.sh: %s\n' "$*" >&2
	exit 1
}

compiler=""
at_end()
{
	[[ -z $compiler ]] || kill "$compiler" 2>/dev/null || :
	wait
	rm -rf "$work"
}
trap at_end EXIT
trap 'exit 1' INT TERM HUP
rm -rf "$work"
mkdir -p "$work/out/modules"

# Nothing says who built it, where or when: the same input makes the same kernel.
export KBUILD_BUILD_USER=cused KBUILD_BUILD_HOST=cused KBUILD_BUILD_TIMESTAMP="1970-01-01"
make=(nice make -C "$work/source" -j "$(nproc)")

# Code of drivers that no guest has is half of the source. Its Kconfig files are needed.
dpkg-deb --fsys-tarfile "$package" | tar -xf - -C "$work" --strip-components=3 \
	--wildcards './usr/src/*.tar.xz'
mkdir "$work/source"
nice tar -xJf "$work"/linux-source-*.tar.xz -C "$work/source" --strip-components=1 --wildcards \
	--exclude='*/drivers/gpu/*.[ch]' --exclude='*/sound/*.[ch]' \
	--exclude='*/drivers/media/*.[ch]' --exclude='*/drivers/staging/*.[ch]' \
	--exclude='*/drivers/net/*/*.[ch]' --exclude='*/tools/testing/*' \
	--exclude='*/Documentation/*.rst'
rm "$work"/linux-source-*.tar.xz

KCONFIG_ALLCONFIG=$config "${make[@]}" allnoconfig >"$log" 2>&1 ||
	{ tail -n 20 "$log"; die "the configuration failed, see $log"; }
while IFS= read -r line; do
	[[ $line == CONFIG_* ]] || continue
	grep -qxF -e "$line" "$work/source/.config" ||
		die "$config asks for $line, but the kernel's configuration has" \
			"$(grep -F -e "${line%%=*}=" -e "${line%%=*} is" "$work/source/.config" ||
				echo "no ${line%%=*}"): is something missing that it depends on?"
done <"$config"

# A signal is heeded while bash waits, not while it runs a command.
"${make[@]}" bzImage >>"$log" 2>&1 &
compiler=$!
wait "$compiler" ||
	{ grep -m 5 -B 2 -A 6 -E ' error: | \*\*\* ' "$log" || tail -n 20 "$log"
	die "the build failed, see $log"; }
compiler=""
cp "$work/source/arch/x86/boot/bzImage" "$work/out/vmlinuz"
cp "$work/source/modules.builtin" "$work/out/modules/"
cp "$work/source/.config" "$work/out/config"
"${make[@]}" -s --no-print-directory kernelrelease >"$work/out/version"
chmod -R a+rX "$work/out"
rm -rf "$dir"
mv "$work/out" "$dir"
printf 'kernel %s is in %s, built in %d min %d s\n' "$(<"$dir/version")" "$3" \
	$(((SECONDS - start) / 60)) $(((SECONDS - start) % 60))
