#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Random sequences of operations (../random/random.c), the same on the kernel's own VFIO in a
# guest, under `vfio-cused run` here, and on `vfio-cused serve` in a guest without an IOMMU.
# The answers are compared; a difference that ../random/known-differences does not list is
# shrunk to a sequence from which nothing can be left out, which is shown with both answers.
#
#   RANDOM_SEED  the first seed (1), or "new" for one that is drawn and shown
#   RANDOM_OPS   operations on each side (5000), in sequences of 250, one per seed
#   RANDOM_REPLAY  a file of sequences to run instead, "seq NAME" and operations
#
# A guest stays up for the whole test: its vfio-random is fed through a virtio port.
. "$(dirname "$0")/lib.sh"
: "${RANDOM_SEED:=1}" "${RANDOM_OPS:=5000}" "${RANDOM_REPLAY:=}"
random=$(dirname "$VM_INIT")/../random/vfio-random
lists=$vm_dir/../random
per_sequence=250
shrunk_at_most=3		# differences of one side that are shrunk
seconds=$((300 + RANDOM_OPS / 20))
limit=$seconds
[[ $RANDOM_SEED != new ]] || RANDOM_SEED=$((RANDOM << 15 | RANDOM))$((RANDOM % 10000))
printf 'seed %s, %d operations\n' "$RANDOM_SEED" "$RANDOM_OPS"

# ---- the sides ----

declare -A guests=()

# start_guest NAME [OPTION OF vm.sh…]: the guest's vfio-random reads $work/NAME.in
start_guest()
{
	local name=$1

	mkfifo "$work/$name.in" "$work/$name.out"
	cp "$vm_dir/guest/random.sh" "$work/random-$name.sh"
	vm --seconds $seconds --quiet --program "$random" --out "$work/$name" \
		--file "$vm_dir/guest/lib.sh:/vm/lib.sh" \
		--device virtio-serial-pci,id=random \
		--chardev "pipe,id=random,path=$work/$name" \
		--device virtserialport,bus=random.0,chardev=random,name=vm.random \
		"${@:2}" "$work/random-$name.sh" >"$work/$name.log" 2>&1 &
	guests[$name]=$!
}

# Its end is part of the test: the service has to stop, the kernel must not have complained.
stop_guest()
{
	local name=$1

	timeout 10 tee "$work/$name.in" <<<quit >/dev/null || :
	wait_status "${guests[$name]}"
	unset "guests[$name]"
	((is == 0)) || { cat "$work/$name.log"; return 1; }
}

kill_guests()
{
	local name

	for name in "${!guests[@]}"; do
		kill "${guests[$name]}" 2>/dev/null || :
		wait_status "${guests[$name]}"
	done
}
trap 'status=$?; set +e; kill_guests; (exit $status); at_end' EXIT

# ask SIDE INPUT OUTPUT: runs the sequences of a file
ask()
{
	local side=$1 reader
	local bdfs=(--bdf 0000:e0:00.0 --peer 0000:e1:00.0)

	if [[ $side == run ]]; then
		cused run --device "edu,bdf=${bdfs[1]}" \
			--device "nvme,size=16M,msi=0,msix=65,bdf=${bdfs[3]}" -- \
			"$random" "${bdfs[@]}" --replay "$2" >"$3"
		return
	fi
	timeout $seconds sed -u '/^== ran$/q' <"$work/$side.out" >"$3" &
	reader=$!
	{ cat "$2" && echo run; } >"$work/$side.in" &
	while kill -0 $reader 2>/dev/null; do
		kill -0 "${guests[$side]}" 2>/dev/null || { kill $reader; break; }
		pause 0.1
	done
	wait $reader || :
	! grep -q '^== ran$' "$3" || { sed -i '/^== ran$/d' "$3"; return 0; }
	cat "$work/$side.log"
	return 1
}

# ask_all INPUT SIDE…: their outputs are in $work/SIDE.answers
ask_all()
{
	local input=$1 side bad=0
	local -A asked=()

	for side in "${@:2}"; do
		ask "$side" "$input" "$work/$side.answers" >"$work/$side.said" 2>&1 &
		asked[$side]=$!
	done
	for side in "${@:2}"; do
		wait_status "${asked[$side]}"
		((is == 0)) || { cat "$work/$side.said"; bad=1; }
	done
	((bad == 0)) || fail "not all sides ran all of it"
}

# compare SIDE [ASSIGNMENT FOR compare.awk…]
compare()
{
	local more=() word

	for word in "${@:2}"; do
		more+=(-v "$word")
	done
	awk -v kernel="$work/kernel.answers" -v ours="$work/$1.answers" -v side="$1" \
		-v known="$lists/known-differences" "${more[@]}" -f "$lists/compare.awk"
}

# ---- shrinking ----

# The operations of a sequence, one a line: operations NAME
operations()
{
	local word seed n

	read -r word seed n <<<"$1"
	if [[ $word == seed ]]; then
		"$random" --generate --seed "$seed" --ops "$n" | tail -n +2
	else
		awk -v name="seq $1" '/^seq / { on = $0 == name; next } on' "$RANDOM_REPLAY"
	fi
}

# What makes a difference the same as another: the operation's word, and those of the answers
# signature OPERATION ANSWER ANSWER
signature()
{
	printf '%s: %s, %s' "${1%% *}" "${2%% *}" "${3%% *}"
}

# The first of the candidates that still shows the difference: its name and how many
# operations it needs. still_shown SIDE SIGNATURE
still_shown()
{
	local name number operation a b

	while IFS=$'\t' read -r name number operation a b; do
		[[ $(signature "$operation" "$a" "$b") == "$2" ]] || continue
		echo "${name#candidate } $number"
		return
	done < <(compare "$1" brief=1)
}

# Delta debugging: leaves out one of $n parts at a time, all attempts in one batch; goes on
# with the first that still shows it, or with smaller parts.
# shrink SIDE NAME NUMBER OPERATION ANSWER ANSWER
shrink()
{
	local side=$1 name=$2 number=$3 want n=2 part i hit batches=0
	local ops=() rest=()

	want=$(signature "$4" "$5" "$6")
	mapfile -t ops < <(operations "$name")
	[[ $4 == "the end" ]] || ops=("${ops[@]:0:number + 1}")
	while ((${#ops[@]} > 1 && batches++ < 60)); do
		((n <= ${#ops[@]} - 1)) || n=$((${#ops[@]} - 1))
		part=$(((${#ops[@]} - 1 + n - 1) / n))
		for ((i = 0; i * part < ${#ops[@]} - 1; i++)); do
			rest=("${ops[@]:0:i * part}" "${ops[@]:(i + 1) * part < ${#ops[@]} - 1 ?
				(i + 1) * part : ${#ops[@]} - 1}")
			printf '%s\n' "seq candidate $i" "${rest[@]}"
		done >"$work/candidates"
		ask_all "$work/candidates" kernel "$side"
		hit=$(still_shown "$side" "$want")
		if [[ -n $hit ]]; then
			read -r i number <<<"$hit"
			ops=("${ops[@]:0:i * part}" "${ops[@]:(i + 1) * part < ${#ops[@]} - 1 ?
				(i + 1) * part : ${#ops[@]} - 1}")
			[[ $4 == "the end" ]] || ops=("${ops[@]:0:number + 1}")
			((n <= 2)) || n=$((n - 1))
		elif ((part == 1)); then
			break
		else
			n=$((2 * n))
		fi
	done
	printf -- '-- %s of %s, %d operations are enough (%d batches):\n' "$want" "$name" \
		${#ops[@]} $batches
	{ echo "seq shrunk"; printf '%s\n' "${ops[@]}"; } >"$work/candidates"
	ask_all "$work/candidates" kernel "$side"
	awk -v side="$side" 'NR == FNR { kernel[FNR] = $0; next }
		/^== / { next }
		$0 == kernel[FNR] { print "  " $0; next }
		{ print "  " kernel[FNR]; sub(/.* = /, ""); printf "    %s: %s\n", side, $0 }' \
		"$work/kernel.answers" "$work/$side.answers"
}

# One of each kind; the list is read first, because shrinking overwrites the answers.
# shrink_all SIDE
shrink_all()
{
	local side=$1 line name number operation a b key left=$shrunk_at_most
	local lines=()
	local -A done_with=()

	mapfile -t lines < <(compare "$side" brief=1)
	for line in "${lines[@]}"; do
		IFS=$'\t' read -r name number operation a b <<<"$line"
		key=$(signature "$operation" "$a" "$b")
		[[ -z ${done_with[$key]-} ]] || continue
		done_with[$key]=1
		((left-- > 0)) || { echo "-- not shrunk: $key of $name"; continue; }
		shrink "$side" "$name" "$number" "$operation" "$a" "$b"
	done
}

# ---- the test ----

truncate -s 16M "$work/drive.img"
start_guest kernel --module vfio-pci --module vfio_iommu_type1 --append intel_iommu=on \
	--device intel-iommu,intremap=on \
	--device pcie-root-port,id=port1,chassis=1,addr=10.0 --device edu,bus=port1 \
	--device pcie-root-port,id=port2,chassis=2,addr=11.0 \
	--drive "if=none,id=drive,format=raw,file=$work/drive.img" \
	--device nvme,bus=port2,drive=drive,serial=random \
	--env "DEVICES=0000:01:00.0 0000:02:00.0"
start_guest serve --smp 2 --memory 1024 --module cuse --module fuse --program "$VFIO_CUSED"

if [[ -n $RANDOM_REPLAY ]]; then
	cp "$RANDOM_REPLAY" "$work/input"
else
	for ((i = 0; i * per_sequence < RANDOM_OPS; i++)); do
		echo "seed $((RANDOM_SEED + i)) $per_sequence"
	done >"$work/input"
fi
ask_all "$work/input" kernel run serve
bad=0 differing=()
for side in run serve; do
	echo "-- kernel and $side"
	[[ -n $RANDOM_REPLAY || $RANDOM_SEED != 1 ]] && rules=0 || rules=1
	compare $side complete=$rules || { bad=1; differing+=("$side"); }
done
cp "$work/kernel.answers" "$work/kernel.first"
for side in "${differing[@]}"; do
	cp "$work/kernel.first" "$work/kernel.answers"
	shrink_all "$side"
done
for name in kernel serve; do
	stop_guest $name || bad=1
done
((bad == 0)) || fail "seed $RANDOM_SEED: see above"
