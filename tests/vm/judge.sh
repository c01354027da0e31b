# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# judge.sh - the kernel's VFIO as the judge; sourced after lib.sh.
#
# For conformance.sh the clients are the conformance program, and what is compared is its
# recordings: judge_recordings.
#
# record.sh runs the test client in a guest on the kernel's own /dev/vfio, as a 64-bit and
# as a 32-bit program, and writes down what it said: in $VM_RECORDING, kernel.tap and
# kernel-32.tap. The tests compare with that what the client says on another /dev/vfio.
: "${VM_RECORDING:=$(dirname "$VM_INIT")/recording}" "${work:?}" "${vm_dir:?}"
iterations=100
answers=$(dirname "$VM_INIT")/vm-answers
: "$iterations" "$answers"

# Lines "verdict DEVICE CASE is VERDICT" and "deviates DEVICE CASE is TEXT", by tabs, of
# what the client said. Deviations stand before their case.
read_tap()
{
	awk -v OFS='\t' '
	/^device / { device = $2; n = 0 }
	/^# [^ ]*:[0-9]+: / {
		sub(/^# [^ ]*:[0-9]+: /, "")
		gsub(/ \(0x[0-9a-f]+\)/, "")
		text[n++] = $0
	}
	/^# (deadline passed|killed by signal)/ { sub(/^# /, ""); text[n++] = $0 }
	/^(not )?ok [0-9]/ {
		verdict = /# SKIP/ ? "skipped" : /^ok/ ? "ok" : "deviates"
		sub(/^(not )?ok [0-9]+ /, "")
		print "verdict", device, $1, verdict
		if (verdict != "ok" && !n && verdict == "deviates")
			text[n++] = "failed"
		for (i = 0; i < n; i++)
			if (verdict != "skipped")
				print "deviates", device, $1, text[i]
		n = 0
	}' "$1"
}

# The same lines of what the conformance program said and recorded. A step that is done
# several times in a case is several deviations.
read_recording()
{
	awk -v OFS='\t' '
	/^device / { device = $2 }
	/^not ok [0-9]/ { print "deviates", device, $4, "it did not end" }
	/^[a-z0-9_]+ skip \| / { print "verdict", device, $1, "skipped" }
	/^[a-z0-9_]+\.[0-9]+ [A-Z]/ {
		split($0, field, / \| /)
		name = $1
		sub(/\..*/, "", name)
		if (!((device, name) in seen)) {
			seen[device, name] = 1
			print "verdict", device, name, "ok"
		}
		what = field[2]
		n = ++times[device, name, what]
		print "deviates", device, name, what (n > 1 ? " (" n ")" : "") " is " field[3] \
			(4 in field ? ", " field[4] : "")
	}' "$1"
}

# judge_recordings SIDE RECORDING FILE KNOWN [skips]: a step that was answered otherwise in
# one file than in the other must be listed in KNOWN, and what is listed must be seen. With
# "skips" the side need not have run every case.
judge_recordings()
{
	read_recording "$2" >"$work/kernel.lines"
	read_recording "$3" >"$work/ours.lines"
	awk -F '\t' -v kernel="$work/kernel.lines" -v ours="$work/ours.lines" -v side="$1" \
		-v known="$4" -v recordings=1 -v may_skip="${5:+1}" -f "$vm_dir/compare.awk"
}

# How many rows have a step that was answered alike in the recording and in one of the files:
# rows_alike RECORDING FILE…
rows_alike()
{
	awk '
	/^device / { device = $2 }
	!/^[a-z0-9_]+\.[0-9]+ [A-Z]/ { next }
	{
		name = $1
		sub(/\..*/, "", name)
		step = substr($0, index($0, " | "))
		if (FNR == NR) {
			answers[device, name, step] = 1
			for (i = 2; $i != "|"; i++)
				recorded[$i] = 1
		} else if ((device, name, step) in answers) {
			for (i = 2; $i != "|"; i++)
				alike[$i] = 1
		}
	}
	END {
		printf "%d rows have answers that are alike, of %d recorded on the kernel\n",
			length(alike), length(recorded)
	}' "$@"
}

# judge SIDE RECORDING FILE [CASE]: a difference between what the client said in the recording and
# in the file must be listed in known-differences, as one of SIDE or of the kernel, and what
# is listed must be seen. The case need not have run. Status 1 if not; both are then shown.
# $VM_KNOWN is another list.
judge()
{
	local side=$1 recording=$VM_RECORDING/$2.tap file=$3 status=0

	[[ -s $recording ]] || fail "there is no $recording: run vm/record.sh first"
	read_tap "$recording" >"$work/kernel.lines"
	read_tap "$file" >"$work/ours.lines"
	printf 'kernel %s\n' "$(head -n 1 "$recording")"
	awk -F '\t' -v kernel="$work/kernel.lines" -v ours="$work/ours.lines" -v side="$side" \
		-v left_out="${4-}" -v known="${VM_KNOWN:-$vm_dir/known-differences}" \
		-f "$vm_dir/compare.awk" || status=$?
	((status != 0)) || return 0
	echo "-- what the client said on the kernel:"
	grep -v '^ok' "$recording" || :
	echo "-- and on the other side, $side:"
	grep -v '^ok' "$file" || :
	return 1
}
