# SPDX-License-Identifier: GPL-2.0-or-later
# Compares what the test client found on the kernel and on the other side, whose name is in
# "side": see judge.sh.
# A case that is called "left_out" need not have run there.
# Fields are separated by tabs; in known-differences by " | ", see there.

function read_side(file, who,   key)
{
	while ((getline <file) > 0) {
		key = $2 OFS $3
		if ($1 == "verdict") {
			if (!(key in seen)) {
				seen[key] = 1
				cases[n_cases++] = key
			}
			verdict[who, key] = $4
		} else if (!((who, key, $4) in deviation)) {
			deviation[who, key, $4] = 1
			list[who, key] = list[who, key] "\n" $4
		}
	}
	close(file)
}

function read_known(file,   line, f, needed)
{
	while ((getline line <file) > 0) {
		if (line == "" || line ~ /^#/)
			continue
		if (split(line, f, / \| /) != 5) {
			print "known-differences: not five fields: " line
			bad++
			continue
		}
		needed = f[1] !~ /\?$/
		sub(/\?$/, "", f[1])
		# What differs under the service differs where devices cannot be mapped, too.
		if (side == "service-no-mmap" && f[1] == "service") {
			f[1] = side
			needed = 0
		}
		# Both sides are the kernel: only what varies there can differ.
		if (side == "32" && f[1] == "kernel" && !needed)
			f[1] = "either"
		else if (f[1] != side && (side == "32" || f[1] !~ /^(kernel|either)$/))
			continue
		rule_side[n_rules] = f[1]
		rule_needed[n_rules] = needed
		rule_case[n_rules] = f[3]
		rule_text[n_rules] = f[4]
		rule_reason[n_rules] = f[2] ": " f[5]
		rule_line[n_rules++] = line
	}
	close(file)
}

# The reason of a difference, or "".
function reason(who, name, text,   i, want, open)
{
	for (i = 0; i < n_rules; i++) {
		if ((rule_side[i] != who && rule_side[i] != "either") || rule_case[i] != name)
			continue
		want = rule_text[i]
		open = sub(/\*$/, "", want)
		if (open ? index(text, want) == 1 : text == want) {
			used[i] = 1
			return rule_reason[i]
		}
	}
	return ""
}

# Deviations of one side that the other has not.
function differences(who, other, key, name,   texts, n, i, why)
{
	n = split(substr(list[who, key], 2), texts, "\n")
	for (i = 1; i <= n; i++) {
		if ((other, key, texts[i]) in deviation) {
			printf "    both: %s\n", texts[i]
			continue
		}
		why = reason(who, name, texts[i])
		printf "    %s: %s\n        %s\n", who, texts[i],
			why == "" ? "NOT KNOWN" : "known, " why
		if (why == "")
			bad++
		else
			explained++
	}
}

BEGIN {
	OFS = " "
	n_cases = n_rules = explained = bad = 0
	read_known(known)
	read_side(kernel, "kernel")
	read_side(ours, side)
	printf "%-6s %-26s %-10s %s\n", "device", "case", "kernel", side
	for (c = 0; c < n_cases; c++) {
		key = cases[c]
		split(key, part, " ")
		a = verdict["kernel", key]
		b = verdict[side, key]
		printf "%-6s %-26s %-10s %s\n", part[1], part[2], a ? a : "missing",
			b ? b : "missing"
		if (b == "" && part[2] == left_out)
			continue
		if (a == "" || b == "" || (a == "skipped") != (b == "skipped")) {
			why = a == "" || b == "" ? "" : \
				reason(a == "skipped" ? "kernel" : side, part[2], "skipped")
			print "    it ran on one side only: " (why == "" ? "NOT KNOWN" : "known, " why)
			why == "" ? bad++ : explained++
		}
		differences("kernel", side, key, part[2])
		differences(side, "kernel", key, part[2])
	}
	if (!n_cases) {
		print "the client said nothing"
		bad++
	}
	for (i = 0; i < n_rules; i++)
		if (rule_needed[i] && !(i in used)) {
			print "listed in known-differences, but not seen: " rule_line[i]
			bad++
		}
	printf "%d cases, %d known differences, %d others\n", n_cases, explained, bad
	exit bad > 0
}
