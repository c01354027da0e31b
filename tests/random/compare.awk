# SPDX-License-Identifier: GPL-2.0-or-later
# Compares what vfio-random wrote on the kernel (file "kernel") and on another side ("ours"),
# whose name is in "side", with the list "known": see there.
#
# An answer "more bits" of ours in the list stands for one that differs from the kernel's by
# bits of a bitmap which only that has.
# Prints "difference SEQUENCE: NUMBER OPERATION", with both answers below it, for the first
# one of each sequence that is not known: what comes after it may only be its effect. With
# "brief", lines of fields that are separated by tabs: SEQUENCE, NUMBER, OPERATION, the
# kernel's answer, ours.
# With "complete", each rule of the list must have been used.

function read_known(file,   line, f)
{
	while ((getline line <file) > 0) {
		if (line == "" || line ~ /^#/)
			continue
		if (split(line, f, / \| /) != 6) {
			print "known: not six fields: " line
			bad++
			continue
		}
		rule_needed[n_rules] = f[1] !~ /\?$/
		sub(/\?$/, "", f[1])
		if (f[1] != "kernel" && f[1] != "both" && f[1] != side)
			continue
		rule_op[n_rules] = "^(" f[3] ")$"
		rule_kernel[n_rules] = "^(" f[4] ")$"
		rule_ours[n_rules] = "^(" f[5] ")$"
		rule_line[n_rules++] = line
	}
	close(file)
}

function digit(text, at)
{
	return index("0123456789abcdef", substr(text, at, 1)) - 1
}

# Whether the answers differ in bits of a bitmap alone that only the kernel has, in words of
# which ours has lower ones.
function more_bits(a, b,   n, i, j, x, y, lowest, from)
{
	n = length(a)
	if (n != length(b) || !match(a, /bits=/) || substr(a, 1, RSTART) != substr(b, 1, RSTART))
		return 0
	from = RSTART + 5
	for (i = from; i <= n; i += 16) {
		lowest = 0
		for (j = 0; j < 16; j++) {
			# The low digit of a byte is the second.
			x = digit(a, i + (j % 2 ? j - 1 : j + 1))
			y = digit(b, i + (j % 2 ? j - 1 : j + 1))
			if (x != y && (!covers(x, y) || (!lowest && !y)))
				return 0
			lowest = lowest || y
		}
	}
	return 1
}

function covers(x, y)
{
	while (y) {
		if (y % 2 > x % 2)
			return 0
		x = int(x / 2)
		y = int(y / 2)
	}
	return 1
}

function is_known(op, a, b,   i)
{
	for (i = 0; i < n_rules; i++)
		if (op ~ rule_op[i] && a ~ rule_kernel[i] &&
		    (rule_ours[i] == "^(more bits)$" ? more_bits(a, b) : b ~ rule_ours[i])) {
			used[i]++
			return 1
		}
	return 0
}

# The next line of one side; "" at its end.
function next_line(file,   line)
{
	return (getline line <file) > 0 ? line : ""
}

function report(number, op, a, b)
{
	if (seen_in[sequence]++)
		return
	differences++
	if (brief)
		printf "%s\t%s\t%s\t%s\t%s\n", sequence, number, op, a, b
	else
		printf "difference %s: %s %s\n    kernel: %s\n    %s: %s\n", sequence, number,
			op, a, side, b
}

function answer(line)
{
	return match(line, / = /) ? substr(line, RSTART + 3) : line
}

function operation(line)
{
	sub(/ = .*/, "", line)
	sub(/^[0-9]+ /, "", line)
	return line
}

# Both are at the same operation, or one of them ended early.
function compare(x, y,   op)
{
	if (x ~ /^== / || y ~ /^== /) {
		if (x != y)
			report(0, "the end", x, y)
		else if (x ~ /^== (end|ran)/)
			return
		else if (x ~ /^== died/)
			report(0, "the end", x, y)
		else
			sequence = substr(x, 4)
		return
	}
	operations++
	if (x == y)
		return
	op = operation(x)
	if (op == operation(y) && is_known(op, answer(x), answer(y)))
		explained++
	else if (!seen_in[sequence])
		report(x + 0, op, answer(x), op == operation(y) ? answer(y) : y)
}

# After an early end of one side: on to where both begin the next sequence.
function align(file, line)
{
	while (line != "" && line !~ /^== (end|died|ran)/)
		line = next_line(file)
	return line
}

BEGIN {
	n_rules = bad = operations = explained = differences = 0
	read_known(known)
	for (;;) {
		x = next_line(kernel)
		y = next_line(ours)
		if (x == "" && y == "")
			break
		if ((x ~ /^== /) != (y ~ /^== /)) {
			compare(x, y)
			x = align(kernel, x)
			y = align(ours, y)
			continue
		}
		compare(x, y)
	}
	for (i = 0; i < n_rules && complete; i++)
		if (rule_needed[i] && !(i in used)) {
			print "listed, but not seen: " rule_line[i]
			bad++
		}
	if (!brief)
		printf "%d operations, %d known differences, %d sequences with others\n",
			operations, explained, differences
	exit differences + bad > 0
}
