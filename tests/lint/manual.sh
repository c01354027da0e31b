#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The manual and the help text, which is made of the tables that parsing uses, agree: each
# option, command, model and key of the one is in the other, with the same default. The
# version in the manual is the program's.
. "$(dirname "$0")/lib.sh"
program=$build_dir/vfio-cused
[[ -x $program ]] || skip "vfio-cused is not built"
one=daemon/man/vfio-cused.1
five=daemon/man/vfio-cused.conf.5
seven=daemon/man/vfio-cused-backends.7

# section FILE NAME: the text of a .SS or .SH
section()
{
	awk -v name="$2" '/^\.S[SH] / { on = substr($0, 5) == name } on' "$1"
}

# Keys as "KEY DEFAULT" lines; DEFAULT is empty if there is none. A default may hold blanks.
help_keys()	# TITLE, of standard input
{
	sed -n "/^$1\$/,/^\$/s/^  \([a-z0-9_]*\)=  (\(.*\))\$/\1 \2/p" |
		sed 's/^\([^ ]*\) .*default \(.*\)$/\1 \2/; t; s/ .*/ /'
}

manual_keys()	# of standard input
{
	awk '
	function flush(i) {
		# Of several keys in one paragraph only the first has it.
		for (i = 1; i <= n; i++)
			print key[i] " " (i == 1 ? preset : "")
		n = 0; preset = ""
	}
	/^\.(TP|SS|SH)/ { flush(); next }
	/^\\fB[a-z0-9_]+=/ {
		rest = $0
		while (match(rest, /\\fB[a-z0-9_]+=/)) {
			key[++n] = substr(rest, RSTART + 3, RLENGTH - 4)
			rest = substr(rest, RSTART + RLENGTH)
		}
		next
	}
	match($0, /default [^;,)]*/) {
		preset = substr($0, RSTART + 8, RLENGTH - 8)
		sub(/\.$/, "", preset)
	}
	END { flush() }'
}

# compare WHAT HELP MANUAL
compare()
{
	local line

	[[ -n $2 ]] || finding "$1: nothing in the help text"
	while IFS= read -r line; do
		finding "$1: $line"
	done < <(diff <(sort <<<"$2") <(sort <<<"$3") |
		sed -n 's/^< /in help, not in the manual: /p; s/^> /in the manual, not in help: /p')
}

overview=$("$program" --help)

compare options "$(grep -oE '^  (-., )?--[a-z-]+' <<<"$overview" | sed 's/.*--/--/')" \
	"$(section $one OPTIONS | sed 's/\\-/-/g' | grep -oE '^(\\fB-.\\fR, )?\\fB--[a-z-]+' |
		sed 's/.*--/--/')"
compare commands "$(sed -n 's/^  vfio-cused \([a-z]*\).*/\1/p' <<<"$overview")" \
	"$(section $one COMMANDS | sed -n 's/^\\fB\([a-z]*\)\\fR.*/\1/p; s/^\.B \([a-z]*\)$/\1/p' |
		grep -xE 'run|check|list|help|serve|agent|exec|ctl' | sort -u)"
models=$(sed -n '/^Devices/,/^$/s/^  \([a-z0-9]*\) .*/\1/p' <<<"$overview")
iommus=$(sed -n '/^IOMMU backends/,/^$/s/^  \([a-z0-9]*\) .*/\1/p' <<<"$overview")
compare models "$models" \
	"$(awk '/^\.SH/ { on = /DEVICE MODELS/ } on && /^\.SS/ { print $2 }' $seven)"
compare "IOMMU backends" "$iommus" \
	"$(awk '/^\.SH/ { on = /IOMMU BACKENDS/ } on && /^\.SS/ { print $2 }' $seven)"
compare "keys of devices" "$("$program" help device | help_keys "Keys of every device:")" \
	"$(section $one "Keys of every device" | manual_keys)"
compare "keys of IOMMUs" "$("$program" help iommu | help_keys "Keys of every IOMMU:")" \
	"$(section $one "Keys of every IOMMU" | manual_keys)"
compare "keys of the service" "$("$program" help service | help_keys "Keys of --service:")" \
	"$(section $one 'Keys of \\-\\-service' | manual_keys)"
compare "modules of the log" "$("$program" help log | help_keys "Keys of --log:")" \
	"$(section $one 'Keys of \\-\\-log' | manual_keys)"
# Whoever speaks can be given a level; backends have theirs by their names.
compare "modules that speak" "$(grep -rhoE '(cused_log|log_about)\([^"]*CUSED_LOG_[A-Z]*, "[a-z]+"' \
	daemon --include='*.c' | sed 's/.*"\(.*\)"/\1/' | grep -vxE 'exec|agent' | sort -u)" \
	"$("$program" help log | help_keys "Keys of --log:" | sed 's/ .*//' |
		grep -vxF "all"$'\n'"$(grep -vx host <<<"$models")")"
compare "keys of groups" "$("$program" help group | help_keys "Keys of --group:")" \
	"$(section $one 'Keys of \\-\\-group' | manual_keys)"
for name in $models; do
	# One without keys has none in the manual.
	if ! "$program" help "$name" | grep -q '^Keys of this model:'; then
		[[ -z $(section $seven "$name" | manual_keys) ]] ||
			finding "$name: keys in the manual, none in help"
		continue
	fi
	compare "$name" "$("$program" help "$name" | help_keys "Keys of this model:")" \
		"$(section $seven "$name" | manual_keys)"
done
for name in $iommus; do
	compare "$name" "$("$program" help "$name" | help_keys "Keys of this backend:")" \
		"$(section $seven "$name" | manual_keys)"
done
# What is refused is told which sections there are.
scrap=$(mktemp)
trap 'rm -f "$scrap"' EXIT
printf '[nothing]\n' >"$scrap"
compare "sections of the file" "$({ "$program" -c "$scrap" --dump-config 2>&1 || :; } |
	sed 's/.*known are//' | grep -oE '\[[a-z]+( "[A-Z]+")?\]')" \
	"$(sed -n '/^\.SS \[/{ s/^\.SS //; s/"""\\fI/"/; s/\\fB""/"/; p }' $five)"
# The words of ctl, and the limits of its protocol with their values.
ctl=daemon/man/vfio-cused-ctl.7
compare "words of ctl" "$(sed -n 's/^  vfio-cused ctl \[OPTION\]\.\.\. //p' <<<"$overview" |
	tr '|' '\n' | sed 's/ .*//')" \
	"$(awk '/^\.SH/ { on = /DESCRIPTION/ } on' $ctl |
		sed -n 's/^\\fB\([a-z]*\)\\fR .*/\1/p; s/^\.B \([a-z]*\)$/\1/p' |
		grep -xE 'status|watch|add|remove|stop' | sort -u)"
compare "limits of ctl" "$(sed -n 's/^#define \(CTL_[A-Z]*_M[AXS]*\)[[:space:]]*\([0-9]*\)u.*/\1 \2/p' \
		daemon/ctl.h | grep -v CTL_TICK_MS | sed '/_MS/s/000$//')" \
	"$(sed -n 's/^\(CTL_[A-Z]*_M[AXS]*\)\t\([0-9]*\).*/\1 \2/p' $ctl)"
for file in $one $five $seven $ctl daemon/man/vfio-cused-serve.8; do
	grep -q "\"$("$program" --version)\"" "$file" || finding "$file: not the version of the program"
	if command -v groff >/dev/null; then
		# As on paper: as one long page, a table at the wrong place is complained of.
		while IFS= read -r line; do
			finding "$line"
		done < <(groff -t -man -ww -rcR=0 -Tutf8 -K utf8 "$file" 2>&1 >/dev/null)
	fi
done
verdict
