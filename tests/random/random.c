/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vfio-random - random sequences of VFIO operations, run and written down.
 *
 *     vfio-random --generate --seed N --ops N
 *     vfio-random --bdf B --peer B [--dir DIR] --seed N --ops N [--sequences N]
 *     vfio-random --bdf B --peer B [--dir DIR] --replay FILE
 *     vfio-random --bdf B --peer B [--dir DIR] --serve FILE
 *
 * A sequence is run in a process of its own, which begins with nothing open; so what it
 * does depends on itself alone. Output: "== NAME", a line for each operation (exec.h), and
 * "== end", or "== died of signal N". The same input gives the same operations whatever
 * the answers are.
 *
 * Input of --replay, lines:
 *
 *     seed N OPS       the sequence of a seed
 *     seq NAME         a sequence that follows, operations as op.h says
 *     run              runs what came; "== ran" is written behind it
 *
 * With --serve, input comes from a port that output goes to as well, until its end or a
 * line "quit".
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec.h"
#include "sys.h"

#define SECONDS 120			/* for a sequence */

static struct {
	const char *dir, *bdf[DEVICES], *replay, *serve;
	uint64_t seed;
	size_t ops, sequences;
	bool generate;
} options = { .dir = "/dev/vfio", .ops = 250, .sequences = 1 };

static FILE *out;

static void die(const char *what)
{
	fprintf(stderr, "vfio-random: %s\n", what);
	exit(2);
}

static void run(const char *name, const struct op *ops, size_t n)
{
	int status;
	pid_t pid;

	fprintf(out, "== %s\n", name);
	fflush(out);
	pid = fork();
	if (pid < 0)
		die("cannot fork");
	if (!pid) {
		struct exec_sys *sys = sys_new(options.dir, options.bdf[DEVICE_A],
					       options.bdf[DEVICE_B]);

		if (!sys)
			die("no arena, or a device without an IOMMU group");
		alarm(SECONDS);
		exec_run(sys, ops, n, out);
		fflush(out);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		fprintf(out, "== died of signal %d\n", WTERMSIG(status));
	else
		fprintf(out, "== end\n");
	fflush(out);
}

static void run_seed(uint64_t seed, size_t n)
{
	struct op *ops = op_generate(seed, n);
	char name[64];

	if (!ops)
		die("out of memory");
	snprintf(name, sizeof(name), "seed %" PRIu64 " %zu", seed, n);
	run(name, ops, n);
	free(ops);
}

static void generate(void)
{
	struct op *ops = op_generate(options.seed, options.ops);
	char text[512];

	if (!ops)
		die("out of memory");
	printf("seq seed-%" PRIu64 "\n", options.seed);
	for (size_t i = 0; i < options.ops; i++) {
		op_print(&ops[i], text, sizeof(text));
		printf("%s\n", text);
	}
	free(ops);
}

/* ---- sequences from a file ---- */

static struct {
	char name[128];			/* "": none begun */
	struct op *ops;
	size_t n, room;
} sequence;

static void flush_sequence(void)
{
	if (sequence.name[0])
		run(sequence.name, sequence.ops, sequence.n);
	sequence.name[0] = 0;
	sequence.n = 0;
}

static void add_op(const char *line)
{
	struct op op;

	if (!sequence.name[0] || !op_parse(line, &op)) {
		fprintf(stderr, "vfio-random: no operation: %s\n", line);
		exit(2);
	}
	if (sequence.n == sequence.room) {
		sequence.room = sequence.room ? 2 * sequence.room : 256;
		sequence.ops = realloc(sequence.ops, sequence.room * sizeof(op));
		if (!sequence.ops)
			die("out of memory");
	}
	sequence.ops[sequence.n++] = op;
}

/* Return: false to stop. */
static bool take(char *line)
{
	uint64_t seed;
	size_t n;

	line[strcspn(line, "\n")] = 0;
	if (!*line || *line == '#')
		return true;
	if (!strcmp(line, "quit"))
		return false;
	if (!strcmp(line, "run")) {
		flush_sequence();
		fprintf(out, "== ran\n");
		fflush(out);
	} else if (sscanf(line, "seed %" SCNu64 " %zu", &seed, &n) == 2) {
		flush_sequence();
		run_seed(seed, n);
	} else if (!strncmp(line, "seq ", 4)) {
		flush_sequence();
		snprintf(sequence.name, sizeof(sequence.name), "%s", line + 4);
	} else {
		add_op(line);
	}
	return true;
}

static void take_all(FILE *in)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, in) > 0 && take(line))
		;
	flush_sequence();
	free(line);
	free(sequence.ops);
	fclose(in);
}

/* ---- */

static void parse(int argc, char **argv)
{
	static const struct option names[] = {
		{ "dir", 1, 0, 'd' }, { "bdf", 1, 0, 'b' }, { "peer", 1, 0, 'p' },
		{ "seed", 1, 0, 's' }, { "ops", 1, 0, 'o' }, { "sequences", 1, 0, 'n' },
		{ "replay", 1, 0, 'r' }, { "serve", 1, 0, 'v' }, { "generate", 0, 0, 'g' }, { 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'd': options.dir = optarg; break;
		case 'b': options.bdf[DEVICE_A] = optarg; break;
		case 'p': options.bdf[DEVICE_B] = optarg; break;
		case 's': options.seed = strtoull(optarg, NULL, 0); break;
		case 'o': options.ops = strtoull(optarg, NULL, 0); break;
		case 'n': options.sequences = strtoull(optarg, NULL, 0); break;
		case 'r': options.replay = optarg; break;
		case 'v': options.serve = optarg; break;
		case 'g': options.generate = true; break;
		default: exit(2);
		}
	}
	if (optind < argc || (!options.generate && (!options.bdf[0] || !options.bdf[1])))
		die("usage: vfio-random --bdf B --peer B (--seed N --ops N [--sequences N] | "
		    "--replay FILE | --serve FILE), or --generate --seed N --ops N");
}

int main(int argc, char **argv)
{
	FILE *in;
	int fd;

	parse(argc, argv);
	out = stdout;
	if (options.generate) {
		generate();
	} else if (options.replay || options.serve) {
		/* A port can be opened once. */
		fd = options.serve ? open(options.serve, O_RDWR | O_CLOEXEC) :
			open(options.replay, O_RDONLY | O_CLOEXEC);
		in = fd < 0 ? NULL : fdopen(fd, "r");
		if (options.serve && in)
			out = fdopen(fcntl(fd, F_DUPFD_CLOEXEC, 3), "w");
		if (!in || !out)
			die("cannot open its input");
		take_all(in);
	} else {
		for (size_t i = 0; i < options.sequences; i++)
			run_seed(options.seed + i, options.ops);
	}
	return 0;
}
