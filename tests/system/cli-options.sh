#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The command line: what is shown, what is chosen, what is refused.
. "$(dirname "$0")/lib.sh"

# ---- shown ----
expect 0 "$VFIO_CUSED" --version
has out "vfio-cused "
expect 0 "$VFIO_CUSED" --help
has out "--device" "--iommu" "--dump-config" "  edu" "  nvme" "  sim"
cp "$work/out" "$work/overview"
expect 0 "$VFIO_CUSED" help
cmp "$work/out" "$work/overview" || fail "help and --help differ"
for topic in nvme edu sim run exec check list help device iommu group service; do
	expect 0 "$VFIO_CUSED" help "$topic"
	[[ -s $work/out ]] || fail "nothing about $topic"
	[[ $(awk '{ if (length > n) n = length } END { print n }' "$work/out") -le 92 ]] ||
		fail "help $topic is too wide"
done
expect 125 "$VFIO_CUSED" help nvmee
has err nvmee nvme edu sim device
expect 0 "$VFIO_CUSED" list --device "edu,bdf=$bdf,group=$group,id=mine"
has out "$bdf" "/dev/vfio/$group" "mine" "  nvme" "  sim"
expect 0 "$VFIO_CUSED" list
has out "nvme0"

# ---- chosen ----
expect 0 "$VFIO_CUSED" --dump-config
has out 'backend = nvme' 'size = 64M' 'backend = sim' 'dma_entry_limit = 65535'
cp "$work/out" "$work/dump"
expect 0 "$VFIO_CUSED" run --dump-config
cmp "$work/out" "$work/dump" || fail "the place of --dump-config matters"
expect 0 "$VFIO_CUSED" run --dump-config -- sh -c "echo ran; : >$work/ran"
cmp "$work/out" "$work/dump" || fail "the command changes the configuration"
[[ ! -e $work/ran ]] || fail "--dump-config ran the command"
# What is dumped can be loaded, and what it says can be made.
truncate -s 1M "$work/drive.img"
for device in nvme "nvme,image=$work/drive.img" nvme,size=1M,size2=2M edu; do
	expect 0 "$VFIO_CUSED" --device "$device" --dump-config
	cp "$work/out" "$work/dumped.conf"
	expect 0 "$VFIO_CUSED" run --config "$work/dumped.conf" -- true
done
expect 0 "$VFIO_CUSED" -d "edu,id=a,delay=0x10" run -i sim,aperture=48,memlock=enforce \
	-d "edu,bdf=$bdf,group=$group" --dump-config
has out '[device "a"]' 'delay = 16' "bdf = $bdf" "group = $group" 'aperture = 48' \
	'memlock = enforce'
# What is dumped can be given again, and gives the same.
read -r chosen_bdf chosen_group < <(awk '/^bdf/ && b == "" { b = $3 }
	/^group/ && g == "" { g = $3 }
	END { print b, g }' "$work/out")
cp "$work/out" "$work/dump"
expect 0 "$VFIO_CUSED" --dump-config -i sim,aperture=48,memlock=enforce,reserved=none \
	-i sim,aperture=48,memlock=enforce -d "edu,delay=16,group=$chosen_group,id=a,bdf=$chosen_bdf" \
	-d "edu,id=edu0,group=$group,bdf=$bdf"
cmp "$work/out" "$work/dump" || fail "not the same configuration again"

# The same by a file.
expect 0 "$VFIO_CUSED" --dump-config --config "$work/dump"
cmp "$work/out" "$work/dump" || fail "not the same configuration from its file"
expect 0 "$VFIO_CUSED" serve -c "$work/dump" -g "$group,mode=0660" -s memory=retry --dump-config
has out 'mode = 0660' 'memory = retry' 'aperture = 48' '[device "a"]'
cp "$work/out" "$work/dump"
expect 0 "$VFIO_CUSED" -c "$work/dump" --dump-config
cmp "$work/out" "$work/dump" || fail "not the same configuration from its file, with rights"
# Words with everything in them that means something somewhere else.
odd="$work/a,b;c # [d] = \"e\" 'f'"
expect 0 "$VFIO_CUSED" -d "nvme,size=1M,image=${odd//,/,,}" --dump-config
has out "image = $odd"
cp "$work/out" "$work/dump"
expect 0 "$VFIO_CUSED" -c "$work/dump" --dump-config
cmp "$work/out" "$work/dump" || fail "not the same configuration from its file, with odd words"
# run takes its devices from a file, and options stand over them.
printf '[device "one"]\nbackend = edu\nbdf = %s\ngroup = %s\n' "$bdf" "$group" >"$work/conf"
expect 0 "$VFIO_CUSED" run -c "$work/conf" -- sh -c "echo \$VFIO_CUSED_BDF"
has out "$bdf"
expect 0 "$VFIO_CUSED" run -c "$work/conf" -d edu,id=one -d edu,id=two --dump-config
[[ $(grep -c '^.device' "$work/out") == 2 ]] || fail "not two devices: $(<"$work/out")"
! grep -qF "group = $group" "$work/out" || fail "a device that was replaced is there"
# No file, and no device, by itself.
: >"$work/empty"
expect 0 "$VFIO_CUSED" -c "$work/empty" --dump-config
! grep -q device "$work/out" || fail "a device out of an empty file"

# ---- refused ----
# refuse WORD… -- ARGUMENT…: one line on standard error with each word
refuse()
{
	local words=()

	while [[ $1 != -- ]]; do
		words+=("$1")
		shift
	done
	shift
	expect 125 "$VFIO_CUSED" "$@"
	has err "vfio-cused: " "${words[@]}"
	[[ $(wc -l <"$work/err") == 1 ]] || fail "more than a line: $(<"$work/err")"
	[[ ! -s $work/out ]] || fail "something on standard output: $(<"$work/out")"
}

refuse "no command" run check list help --
refuse walk run -- walk
refuse serves run -- serves
refuse --service "leave it out" -- run --service memory=retry -- true
refuse memory=x retry -- serve --service memory=x
refuse colour memory courier sysfs prefix replace -- serve --service colour=red
refuse --prefix "leave it out" -- run --prefix vfio-2 -- true
for prefix in "" /dev/ . .. /tmp a/b "a b" "$(printf 'x%.0s' {1..33})"; do
	refuse --prefix "one directory of /dev" vfio-simulated -- serve --prefix "$prefix"
	[[ -z $prefix ]] || refuse prefix= "one directory of /dev" -- serve --service "prefix=$prefix"
done
# The longest, in either form; not refused, and so the end of the dump.
for prefix in "$(printf 'x%.0s' {1..32})" "/dev/$(printf 'x%.0s' {1..32})"; do
	expect 0 "$VFIO_CUSED" serve --service prefix=other --prefix "$prefix" --dump-config
	has out "prefix = $(printf 'x%.0s' {1..32})"
done
expect 0 "$VFIO_CUSED" serve --service prefix=/dev/other --dump-config
has out "prefix = other"
refuse --group "leave it out" -- run --group 7 -- true
refuse --config "leave" -- check -c "$work/conf"
refuse "--config needs an argument" -- --config
refuse /no/file "No such file" -- run -c /no/file -- true
refuse "$work" "regular file" -- run -c "$work" -- true
refuse "no device" "$work/empty" -- run -c "$work/empty" -- true
printf '[device "one"]\nbackend = edu\ndelay = 1\ncolor = 2\n' >"$work/bad"
refuse "$work/bad:4" color delay -- run -c "$work/bad" -- true
refuse "$work/bad:4" color delay -- serve -c "$work/bad"
head -c 10000 /dev/urandom >"$work/bad"
refuse "$work/bad:" -- run -c "$work/bad" -- true
refuse 'mode=9' 0660 -- serve -g 7,mode=9
refuse "group 7" "group=7" -- serve -g 7,mode=0660 -d edu,group=8 --dump-config
refuse "agent" serve "by hand" -- agent
refuse --devise --device -- --devise
refuse --devise --device -- run --devise edu -- true
refuse -x --device -- -x
refuse -x -- run -vx
refuse "--device needs an argument" -- run --device
refuse "-d needs an argument" -- run -d
refuse "--version=3" -- --version=3
refuse "no command to run" "CMD" -- run
refuse "no command to run" -- run --device edu --
refuse surplus -- list surplus
refuse surplus -- check surplus
refuse surplus -- help nvme surplus
refuse check --device -- check --device edu
refuse "key=value" fast -- run -d edu,fast -- true
refuse "given twice" delay -- run -d edu,delay=1,delay=2 -- true
refuse "delay=10000001" "10000000" -- run -d edu,delay=10000001 -- true
refuse "memlock=maybe" enforce off -- run -i sim,memlock=maybe -- true
refuse "id=a b" -- run -d "edu,id=a b" -- true
refuse "id=x" -- run -d edu,id=x -d edu,id=x -- true
refuse noiommu unsafe_noiommu=on -- run -d edu,noiommu=on -- true
refuse "$bdf" "bdf" -- run -d "edu,bdf=$bdf" -d "edu,bdf=$bdf" -- true
own=$(ls /sys/bus/pci/devices 2>/dev/null | head -n 1)
[[ -z $own ]] || refuse "$own" "this machine" -- run -d "edu,bdf=$own" -- true
own=$(ls /sys/kernel/iommu_groups 2>/dev/null | head -n 1)
[[ -z $own ]] || refuse "group=$own" "this machine" -- run -d "edu,group=$own" -- true

# ---- output that cannot be written ----
if [[ -w /dev/full ]]; then
	is=0
	"$VFIO_CUSED" --help >/dev/full 2>"$work/err" || is=$?
	((is == 125)) || fail "status $is with a full standard output"
	has err "standard output"
fi
