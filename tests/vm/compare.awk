# SPDX-License-Identifier: GPL-2.0-or-later
# Compares what a client found on the kernel and on the other side, whose name is in "side":
# see judge.sh. A case that is called "left_out" need not have run there.
# Fields are separated by tabs; in the file of known differences by " | ", see there. Of
# "recordings" (of the conformance program), each line is a deviation, and what is known
# of a side is known of both; "may_skip": that side need not run every case.

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

function read_known(file,   line, f, needed, at)
{
	while ((getline line <file) > 0) {
		if (line == "" || line ~ /^#/)
			continue
		if (split(line, f, / \| /) != 5) {
			print known ": not five fields: " line
			bad++
			continue
		}
		needed = f[1] !~ /\?$/
		sub(/\?$/, "", f[1])
		if (recordings) {
			if (("," f[1] ",") !~ ("," side ",") && (f[1] != "ours" || side ~ /^[0-9]/))
				continue
			f[1] = "either"
		}
		# What differs under the service differs where devices cannot be mapped, too.
		if (side == "service-no-mmap" && f[1] == "service") {
			f[1] = side
			needed = 0
		}
		# Both sides are the kernel: only what varies there can differ.
		if (recordings)
			;
		else if (side == "32" && f[1] == "kernel" && !needed)
			f[1] = "either"
		else if (f[1] != side && (side == "32" || f[1] !~ /^(kernel|either)$/))
			continue
		rule_side[n_rules] = f[1]
		rule_needed[n_rules] = needed
		rule_case[n_rules] = f[3]
		rule_text[n_rules] = rule_other[n_rules] = f[4]
		# "WHAT is THIS => THAT": the kernel says this, the other side that.
		if (recordings && (at = index(f[4], " => "))) {
			rule_text[n_rules] = substr(f[4], 1, at - 1)
			match(f[4], /^.* is /)
			rule_other[n_rules] = substr(f[4], 1, RLENGTH) substr(f[4], at + 4)
		}
		rule_reason[n_rules] = f[2] ": " f[5]
		rule_line[n_rules++] = line
	}
	close(file)
}

# Whether the text is as the pattern, where each "*" stands for anything.
function matches(text, pattern,   part, n, i, at)
{
	n = split(pattern, part, "*")
	if (n < 2)
		return text == pattern
	if (index(text, part[1]) != 1)
		return 0
	text = substr(text, length(part[1]) + 1)
	for (i = 2; i < n; i++) {
		at = index(text, part[i])
		if (!at)
			return 0
		text = substr(text, at + length(part[i]))
	}
	return length(text) >= length(part[n]) &&
		substr(text, length(text) - length(part[n]) + 1) == part[n]
}

# The reason of a difference, or "".
function reason(who, name, text,   i, want)
{
	for (i = 0; i < n_rules; i++) {
		if ((rule_side[i] != who && rule_side[i] != "either") ||
		    !matches(name, full(rule_case[i])))
			continue
		want = who == "kernel" ? rule_text[i] : rule_other[i]
		if (matches(text, want)) {
			used[i] = 1
			return rule_reason[i]
		}
	}
	return ""
}

# What a rule names a case by, with its device.
function full(pattern)
{
	return recordings && pattern !~ /\// ? "*/" pattern : pattern
}

# Whether the other side ran a case of that pattern.
function ran(pattern,   c, key, name)
{
	for (c = 0; c < n_cases; c++) {
		key = cases[c]
		name = key
		sub(/ /, "/", name)
		if (verdict[side, key] == "ok" && matches(name, full(pattern)))
			return 1
	}
	return 0
}

# Deviations of one side that the other has not.
function differences(who, other, key, name,   texts, n, i, why)
{
	n = split(substr(list[who, key], 2), texts, "\n")
	for (i = 1; i <= n; i++) {
		if ((other, key, texts[i]) in deviation) {
			if (!recordings && verdict[who, key] == "deviates")
				printf "    both: %s\n", texts[i]
			same++
			continue
		}
		why = reason(who, name, texts[i])
		if (!recordings || why == "")
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
		before = bad
		if (!recordings || a != b)
			printf "%-6s %-26s %-10s %s\n", part[1], part[2], a ? a : "missing",
				b ? b : "missing"
		if ((b == "skipped" && may_skip) || (b == "" && part[2] == left_out))
			continue
		name = (recordings ? part[1] "/" : "") part[2]
		if (a == "" || b == "" || (a == "skipped") != (b == "skipped")) {
			if (recordings && reason(side, name, "it ran on one side only") != "")
				continue
			why = a == "" || b == "" ? "" : \
				reason(a == "skipped" ? "kernel" : side, part[2], "skipped")
			print "    it ran on one side only: " (why == "" ? "NOT KNOWN" : "known, " why)
			why == "" ? bad++ : explained++
		}
		differences("kernel", side, key, name)
		differences(side, "kernel", key, name)
		if (recordings && bad != before)
			printf "^^^ in %s of %s\n", part[2], part[1]
	}
	if (!n_cases) {
		print "the client said nothing"
		bad++
	}
	for (i = 0; i < n_rules; i++)
		if (rule_needed[i] && !(i in used) && (!recordings || ran(rule_case[i]))) {
			print "listed in " known ", but not seen: " rule_line[i]
			bad++
		}
	if (recordings)
		printf "%d steps, ", same / 2 + explained / 2
	printf "%d cases, %d known differences, %d others\n", n_cases, explained, bad
	exit bad > 0
}
