#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm.sh - boots a kernel in QEMU, without KVM, and runs scripts in it.
#
#   vm.sh [OPTION…] SCRIPT…
#
# Each SCRIPT runs in the guest as root, one after the other in one boot, with busybox's
# tools (or the interpreter that it names, if --program put that there). Its name is its
# file's without ".sh".
# What it printed goes to OUT/NAME.out, its status to OUT/NAME.status (128 + N: signal N;
# 124: its deadline), and both to standard output. Status of vm.sh: 0 all scripts ended
# with 0 or 77 (skipped); 1 one did not, or the guest's kernel complained or did not get
# to the end; 2 usage.
#
#   --kernel DIR     made by ./bootstrap guest (default build/guest-backports)
#   --smp N          CPUs (1)              --memory MIB   (512)
#   --device ARG     for qemu's -device; the same: --drive ARG, --chardev ARG
#   --append WORDS   for the kernel's command line
#   --module NAME    loaded before the tests, after what it depends on
#   --root FILE      a user space made by ./bootstrap guest (build/guest-debian/root.cpio) in
#                    the place of busybox; systemd starts it, and the scripts when it is up
#   --modprobe NAME  what --root's modprobe finds, with what it depends on
#   --program FILE   put into /usr/local/bin, with its libraries (but with --root)
#   --file FILE[:AT] put at the same place, or at AT
#   --env NAME=VALUE in the environment of the scripts
#   --out DIR        default: a folder that is removed at the end
#   --seconds N      deadline of each script (60)
#   --icount         time goes by instructions, the same on any machine; slower
#   --quiet          print only what failed
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${VM_INIT:=$here/../../build/tests/vm/vm-init}"
kernel=${VM_KERNEL:-$here/../../build/guest-backports}
boot_seconds=60		# for the start and the end of the guest, on a busy machine
boots_max=3		# see fault_of_qemu
frozen_looks=${VM_FROZEN_LOOKS:-9}	# see watch_qemu
smp=1 memory=512 seconds=60 append="" out="" quiet="" user_space=""
accel=(-accel "tcg,thread=multi")
qemu_args=() modules=(virtio_pci virtio_console) programs=() files=() env=()
modprobe=()

usage()
{
	printf 'vm.sh: %s\n' "$*" >&2
	exit 2
}

while (($#)); do
	case $1 in
	--quiet) quiet=yes; shift; continue ;;
	--icount)
		accel=(-accel "tcg,thread=single" -icount "shift=0,sleep=off")
		shift
		continue ;;
	--*) (($# > 1)) || usage "$1 needs a value" ;;
	*) break ;;
	esac
	case $1 in
	--kernel) kernel=$2 ;;
	--smp) smp=$2 ;;
	--memory) memory=$2 ;;
	--device | --drive | --chardev) qemu_args+=("${1#-}" "$2") ;;
	--append) append+=" $2" ;;
	--module) modules+=("$2") ;;
	--modprobe) modprobe+=("$2") ;;
	--root) user_space=$(realpath -m "$2") ;;
	--program) programs+=("$2") ;;
	--file) files+=("$2") ;;
	--env) env+=("$2") ;;
	--out) out=$2 ;;
	--seconds) seconds=$2 ;;
	*) usage "unknown option $1" ;;
	esac
	shift 2
done
(($#)) || usage "no script given"
for tool in qemu-system-x86_64 busybox cpio; do
	command -v $tool >/dev/null || usage "$tool is not installed: ./bootstrap deps"
done
[[ -s $kernel/vmlinuz && -s $kernel/version ]] ||
	usage "no kernel in $kernel: run ./bootstrap guest"
[[ -z $user_space || -s $user_space ]] ||
	usage "no user space in $user_space: run ./bootstrap guest"
[[ -x $VM_INIT ]] || usage "$VM_INIT is not built"

work=$(mktemp -d "${TMPDIR:-/tmp}/cused-vm.XXXXXX")
qemu="" watcher=""
at_end()
{
	[[ -z $qemu ]] || kill "$qemu" 2>/dev/null || :
	[[ -z $watcher ]] || kill "$watcher" 2>/dev/null || :
	wait
	rm -rf "$work"
}
trap at_end EXIT
trap 'exit 1' INT TERM HUP
[[ -n $out ]] || out=$work/results
mkdir -p "$out"
root=$work/root

# ---- what the guest finds ----

# put FILE AT
put()
{
	mkdir -p "$root$(dirname "$2")"
	cp -Lf "$1" "$root$2"
}

put_libraries()
{
	local library

	# A user space has its own, or lacks a package.
	[[ -z $user_space ]] || return 0
	for library in $(ldd "$1" 2>/dev/null | grep -o '/[^ ]*'); do
		[[ -e $root$library ]] || put "$library" "$library"
	done
}

# put_module NAME FOLDER LIST: copies a module to FOLDER after those that it depends on, and
# says in LIST in which order.
put_module()
{
	local name=${1//-/_} file dependency target

	! grep -qx "$name" "$3" || return 0
	file=$(find "$kernel/modules" -name "${name//_/[-_]}.ko*" | head -n 1)
	if [[ -z $file ]]; then
		grep -q "/${name//_/[-_]}\.ko" "$kernel/modules/modules.builtin" ||
			usage "kernel $(<"$kernel/version") has no module $1"
		return 0
	fi
	target=$2/$name.ko
	case $file in
	*.xz) xz -dc "$file" ;;
	*.zst) zstd -dcq "$file" ;;
	*.gz) gzip -dc "$file" ;;
	*) cat "$file" ;;
	esac >"$target"
	while read -r dependency; do
		[[ -z $dependency ]] || put_module "$dependency" "$2" "$3"
	done < <(tr '\0' '\n' <"$target" | sed -n 's/^depends=//p' | tr , '\n')
	echo "$name" >>"$3"
}

# A user space of busybox.
put_busybox()
{
	mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,mnt}
	put "$(command -v busybox)" /bin/busybox
	[[ ! -e /etc/ld.so.cache ]] || put /etc/ld.so.cache /etc/ld.so.cache
	printf '%s\n' root:x:0:0::/:/bin/sh user:x:1000:1000::/tmp:/bin/sh >"$root/etc/passwd"
	printf '%s\n' root:x:0: user:x:1000: >"$root/etc/group"
}

# What the other one lacks: vm-init as a service, and modules.
put_service()
{
	local units=$root/etc/systemd/system folder module

	folder=$root/usr/lib/modules/$(<"$kernel/version")
	mkdir -p "$units/multi-user.target.wants" "$folder/kernel"
	printf '%s\n' '[Unit]' 'Description=the tests' '[Service]' 'ExecStart=/init' \
		>"$units/vm-tests.service"
	ln -s ../vm-tests.service "$units/multi-user.target.wants/vm-tests.service"
	: >"$work/modprobe"
	for module in "${modprobe[@]}"; do
		put_module "$module" "$folder/kernel" "$work/modprobe"
	done
	# Of a kernel that has all built in there is one of three, and depmod misses the others.
	touch "$folder"/modules.{order,builtin.modinfo}
	cp "$kernel/modules"/modules.* "$folder"
	/sbin/depmod -b "$root/usr" "$(<"$kernel/version")"
}

mkdir -p "$root"/{usr/local/bin,etc,vm/t,vm/m}
: >"$root/vm/modules"
put "$VM_INIT" /init
for module in "${modules[@]}"; do
	put_module "$module" "$root/vm/m" "$root/vm/modules"
done
if [[ -n $user_space ]]; then
	put_service
else
	put_busybox
fi
for program in "${programs[@]}"; do
	file=$(command -v "$program") || usage "there is no program $program"
	put "$file" "/usr/local/bin/${file##*/}"
	put_libraries "$file"
done
for file in "${files[@]}"; do
	at=${file#*:}
	[[ -e ${file%%:*} ]] || usage "there is no file ${file%%:*}"
	[[ $file == *:* ]] || at=$(realpath -s "$file")
	put "${file%%:*}" "$at"
done
((${#env[@]} == 0)) || printf '%s\n' "${env[@]}" >"$root/vm/env"
[[ -e $root/vm/env ]] || : >"$root/vm/env"
names=()
for script in "$@"; do
	name=$(basename "$script" .sh)
	[[ $name != *[^A-Za-z0-9_.-]* && ! -e $root/vm/t/$name ]] ||
		usage "\"$name\" is no name for a script, or is there twice"
	put "$script" "/vm/t/$name"
	chmod +x "$root/vm/t/$name"
	echo "$seconds $name" >>"$root/vm/tests"
	names+=("$name")
	rm -f "$out/$name.out" "$out/$name.status"
done
# The kernel takes archives one after the other.
(cd "$root" && { [[ -z $user_space ]] || cat "$user_space"; } &&
	find . -mindepth 1 | cpio -o -H newc -R 0:0 --quiet) >"$work/initrd"

# ---- the guest ----

# How long the threads of process $1 have run, in nanoseconds.
ran_ns()
{
	cat "/proc/$1/task"/*/schedstat 2>/dev/null | awk '{ n += $1 } END { printf "%.0f", n }'
}

# QEMU can lose an interrupt that would wake a CPU: then all CPUs halt, no timer is armed, and
# nothing ever happens any more. vm-init wakes up each second, so a process whose threads have
# not run for some looks, five seconds apart, is not a guest that waits for something. It is killed.
watch_qemu()
{
	local pid="" last="" now still=0 quiet

	exec {quiet}<> <(:)
	while kill -0 "$qemu" 2>/dev/null && ((still < frozen_looks)); do
		read -r -t 5 -u "$quiet" _ || :
		# There is no end of line.
		read -r pid _ <"/proc/$qemu/task/$qemu/children" || [[ -n $pid ]] || continue
		now=$(ran_ns "$pid")
		if [[ $now != 0 && $now == "$last" ]]; then
			still=$((still + 1))
		else
			still=0
		fi
		last=$now
	done
	((still == frozen_looks)) || return 0
	: >"$work/frozen"
	kill -KILL "$pid"
}

# boot SCRIPTS: runs the guest to its end. If this shell is killed, so is the guest.
boot()
{
	local status=0

	: >"$work/out"
	: >"$work/end"
	rm -f "$work/frozen"
	setpriv --pdeathsig TERM timeout -k 5 $((boot_seconds + seconds * $1)) \
		setpriv --pdeathsig KILL \
		qemu-system-x86_64 -nodefaults -no-user-config -display none -machine q35 \
		"${accel[@]}" -cpu max,-cx16 -smp "$smp" -m "$memory" -no-reboot \
		-kernel "$kernel/vmlinuz" -initrd "$work/initrd" \
		-append "console=ttyS0 quiet panic=-1 rdinit=/init tsc=reliable no_timer_check$append" \
		-serial "file:$work/console" "${qemu_args[@]}" \
		-device virtio-serial-pci \
		-chardev "file,id=vmout,path=$work/out" \
		-device virtserialport,chardev=vmout,name=vm.out \
		-chardev "file,id=vmend,path=$work/end" \
		-device virtserialport,chardev=vmend,name=vm.end \
		</dev/null >"$work/qemu" 2>&1 &
	qemu=$!
	watch_qemu &
	watcher=$!
	wait $qemu || status=$?
	qemu=""
	kill "$watcher" 2>/dev/null || :
	wait "$watcher" 2>/dev/null || :
	watcher=""
	return $status
}

# QEMU's multi-threaded TCG can run, on one CPU, an instruction that the guest's kernel has
# just replaced on another (a breakpoint for the time of the change, which the kernel no
# longer knows when it is hit): "Oops: int3", nearly always while the kernel starts. No
# program can do that to a kernel, so it says nothing about what is tested, and as long as
# no script has ended the guest is started again. So is one that froze, see watch_qemu.
fault_of_qemu()
{
	if [[ -e $work/frozen ]]; then
		fault="lost an interrupt: the guest has not run for $((frozen_looks * 5)) s"
	else
		fault="ran an instruction that was no longer there (Oops: int3 in the guest's kernel)"
		[[ ! -s $work/end ]] && grep -qa 'Oops: int3' "$work/console"
	fi
}

qemu_status=0
boot $# || qemu_status=$?
for ((boots = 1; boots < boots_max; boots++)); do
	fault_of_qemu || break
	echo "vm.sh: QEMU $fault: once more"
	qemu_status=0
	boot $# || qemu_status=$?
done

# ---- what came back ----

result=0 offset=0 ended="" ran=0
while read -r word name status bytes ms; do
	case $word in
	test)
		tail -c +$((offset + 1)) "$work/out" | head -c "$bytes" >"$out/$name.out" || :
		offset=$((offset + bytes))
		echo "$status" >"$out/$name.status"
		ran=$((ran + 1))
		((status == 0 || status == 77)) || result=1
		if [[ -z $quiet ]] || ((status != 0 && status != 77)); then
			printf -- '-- %s: status %d, %d ms\n' "$name" "$status" "$ms"
			cat "$out/$name.out"
		fi ;;
	bad)
		printf 'vm.sh: in the guest: bad %s %s %s %s\n' "$name" "$status" "$bytes" "$ms"
		result=1 ;;
	end)
		ended=$name ;;
	esac
done <"$work/end"

# From the kernel's first complaint on, whose report can be longer than any fixed number of
# last lines; without one, the last lines.
show_console()
{
	local first

	first=$(grep -n -m 1 -aE 'Kernel panic|BUG:|Oops|WARNING:' "$work/console" |
		cut -d: -f1) || :
	echo "-- the guest's console${first:+, from line $first}:"
	if [[ -n $first ]]; then
		tail -n +"$first" "$work/console" | head -n 120
	else
		tail -n 40 "$work/console"
	fi | tr -d '\r'
}

# The kernel died (bit 7) or warned (bit 9), or the guest did not get to the end.
if [[ -z $ended ]] || ((ended & (1 << 7 | 1 << 9))); then
	result=1
	if [[ -n $ended ]]; then
		echo "vm.sh: the guest's kernel complained (taint $ended)"
	else
		echo "vm.sh: the guest ended in ${names[ran]-its shutdown}; status of qemu" \
			"$qemu_status$( ((qemu_status != 124)) || echo " (deadline)")"
		tail -c +$((offset + 1)) "$work/out"
	fi
	cat "$work/qemu"
	[[ ! -e $work/console ]] || show_console
fi
((ran == $#)) || result=1
exit $result
