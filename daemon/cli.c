/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cli.c - from argv to a configuration and a command.
 *
 * Options may stand before and after the command's name, up to the first word that is
 * neither (for `run` and `exec`, that or "--" begins the client's command). Options of the
 * configuration are collected, and judged in their order when the command is known, which
 * decides about the file that they stand over.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <transport/service_abi.h>
#include <util/log.h>

#include "cli.h"
#include "conf_load.h"
#include "ctl.h"
#include "exec.h"
#include "run.h"
#include "serve.h"

const struct cli_option cli_options[] = {
	{ "config", 'c', "FILE",
	  "read the configuration from FILE, see vfio-cused.conf(5); options are laid over it. "
	  "Default for serve: " CONF_FILE_SERVE ", if it is there" },
	{ "device", 'd', "NAME[,KEY=VALUE]...",
	  "add a simulated device; may be given again. A comma inside a value is written "
	  "twice. Without any, and without a file, there is one: " CONF_DEFAULT_DEVICE },
	{ "iommu", 'i', "NAME[,KEY=VALUE]...",
	  "the IOMMU that the devices are behind; default: sim" },
	{ "service", 's', "KEY=VALUE[,KEY=VALUE]...",
	  "how serve works" },
	{ "group", 'g', "NUMBER[,KEY=VALUE]...",
	  "for serve: who may use the node of this group; may be given again" },
	{ "log", 'l', "MODULE=LEVEL[,MODULE=LEVEL]...",
	  "which lines of a part of the program are written: error, warning, info or debug, each "
	  "with those before it; vfio-cused help log names the parts" },
	{ "dump-config", 0, NULL,
	  "write the configuration in effect, with addresses and groups chosen, and end" },
	{ "socket", 0, "PATH",
	  "for serve and exec: where the agent listens; default: " SERVICE_AGENT_SOCKET
	  ". For ctl: the control socket; default: $" CTL_ENVIRONMENT ", or " CTL_SOCKET },
	{ "prefix", 0, "DIR",
	  "for serve: the directory of /dev for the nodes; default: /dev/vfio" },
	{ "json", 0, NULL,
	  "for ctl: write answers as they come, for programs: a line of JSON each" },
	{ "revoke", 0, NULL,
	  "for ctl remove and ctl stop: take devices from clients instead of waiting" },
	{ "verbose", 'v', NULL,
	  "say more on standard error; given twice, also what a client does wrong" },
	{ "help", 'h', NULL, "write an overview and end" },
	{ "version", 'V', NULL, "write the version and end" },
	{ 0 }
};

const struct cli_command cli_commands[] = {
	{ "run", "[OPTION]... -- CMD [ARG]...",
	  "Run CMD, which sees the simulated devices beside the machine's own. The exit "
	  "status is CMD's, 128+N if signal N ended it, 126 or 127 if it cannot be run or "
	  "found, and 125 for errors of vfio-cused. CMD finds the addresses and groups in "
	  "its environment, see vfio-cused(1).",
	  1, -1u, false, true, NULL, run_command },
	{ "exec", "[OPTION]... -- CMD [ARG]...",
	  "Run CMD as a client of the running service, which hands device files to it quicker "
	  "than to other clients, and without stopping it. The exit status is as run's. What "
	  "is left of CMD when it ends is killed.",
	  1, -1u, false, false, NULL, exec_command },
	{ "serve", "[OPTION]...",
	  "Serve the simulated devices to every process of the machine, as /dev/vfio/vfio "
	  "and /dev/vfio/GROUP, until SIGTERM or SIGINT. Takes root, and the kernel's "
	  "modules cuse and fuse. See vfio-cused-serve(8).",
	  0, 0, false, true, serve_prepare, serve_command },
	{ "ctl", "[OPTION]... status|watch|add DEVICE|remove NAME|stop",
	  "Ask the running service, or the run that VFIO_CUSED_CTL names, what it serves and "
	  "who uses it, once or over and over; add a device, as to --device; remove one, by "
	  "its address or name, or a whole group, by group=NUMBER; stop the service when "
	  "clients have closed their devices. The exit status is 1 if it says no. See "
	  "vfio-cused-ctl(7).",
	  0, 2, true, false, NULL, ctl_command },
	{ "agent", "[sysfs|no-sysfs] [SOCKET] [CTL]",
	  "The second process of serve, which starts it; it touches clients' files.",
	  0, 3, false, false, NULL, agent_command },
	{ "check", "[run|serve|iommufd [BDF]]",
	  "Name each thing that run needs of this machine, or the service, or the forwarding "
	  "of devices (of the one at BDF) to the kernel's iommufd, found or not, and the cure. "
	  "The exit status is 0 if it would work, else 1.",
	  0, 2, false, false, NULL, check_command },
	{ "list", "[OPTION]...",
	  "List the devices of the options (or the default one), the models and IOMMU "
	  "backends there are, and this machine's own PCI devices by IOMMU group, with what is in the way of "
	  "giving a group to a client.",
	  0, 0, false, true, NULL, list_command },
	{ "help", "[NAME]",
	  "Tell about a device model, an IOMMU backend, a command, or the keys of every "
	  "device or iommu; without NAME, an overview.",
	  0, 1, false, false, NULL, help_command },
	{ 0 }
};

struct cli {
	struct conf conf;
	struct conf_source source;
	bool dump;
	bool conf_given;	/* --config, --device, --iommu, --log or --dump-config */
	const char *serve_given;	/* an option for serve alone */
	bool ctl_given;		/* --json, --revoke */
	const char *print;	/* "help" or "version" */
};

int cli_complain(const char *fmt, ...)
{
	va_list ap;

	fputs("vfio-cused: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return CLI_FAILURE;
}

static int unknown_option(const char *word)
{
	char known[320];
	size_t at = 0;

	for (const struct cli_option *o = cli_options; o->name && at < sizeof(known); o++)
		at += (size_t)snprintf(known + at, sizeof(known) - at, "%s--%s",
				       at ? ", " : "", o->name);
	return cli_complain("unknown option %s; known are %s", word, known);
}

static int collect(struct cli *cli, int (*take)(struct conf *conf, const char *text,
						struct cused_error *err))
{
	struct conf_source *source = &cli->source;
	struct conf_option *grown = realloc(source->options,
					    (source->n_options + 1) * sizeof(*grown));

	if (!grown)
		return cli_complain("out of memory");
	source->options = grown;
	grown[source->n_options++] = (struct conf_option){ take, optarg };
	return 0;
}

static int take_option(struct cli *cli, int letter, const char *word)
{
	int r = 0;

	switch (letter) {
	case 'c':
		cli->source.file = optarg;
		cli->conf_given = true;
		break;
	case 'd':
		r = collect(cli, conf_add_device);
		cli->conf_given = true;
		break;
	case 'i':
		r = collect(cli, conf_set_iommu);
		cli->conf_given = true;
		break;
	case 's':
		r = collect(cli, conf_set_service);
		cli->serve_given = "--service";
		break;
	case 'g':
		r = collect(cli, conf_set_group);
		cli->serve_given = "--group";
		break;
	case 'l':
		r = collect(cli, conf_set_log);
		cli->conf_given = true;
		break;
	case 'D':
		cli->dump = cli->conf_given = true;
		break;
	case 'S':
		cli->conf.agent_socket = optarg;
		break;
	case 'P':
		r = collect(cli, conf_set_prefix);
		cli->serve_given = "--prefix";
		break;
	case 'J':
		cli->conf.json = cli->ctl_given = true;
		break;
	case 'R':
		cli->conf.revoke = cli->ctl_given = true;
		break;
	case 'v':
		cli->conf.verbose++;
		break;
	case 'h':
		cli->print = "help";
		break;
	case 'V':
		cli->print = "version";
		break;
	case ':':
		return cli_complain("%s needs an argument; see vfio-cused --help", word);
	case 'n':
		return cli_complain("%s takes no argument; leave out what follows it", word);
	default:
		return unknown_option(word);
	}
	return r;
}

/* Take options until a word that is none. Return: 0 or an exit status. */
static int take_options(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "device", required_argument, NULL, 'd' },
		{ "iommu", required_argument, NULL, 'i' },
		{ "service", required_argument, NULL, 's' },
		{ "group", required_argument, NULL, 'g' },
		{ "log", required_argument, NULL, 'l' },
		{ "dump-config", no_argument, NULL, 'D' },
		{ "socket", required_argument, NULL, 'S' },
		{ "prefix", required_argument, NULL, 'P' },
		{ "json", no_argument, NULL, 'J' },
		{ "revoke", no_argument, NULL, 'R' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 }
	};
	char letter[3] = "-";
	const char *word;
	int c, r = 0;

	opterr = 0;
	while (r == 0) {
		word = optind < argc ? argv[optind] : "";
		c = getopt_long(argc, argv, "+:c:d:i:s:g:l:vhV", options, NULL);
		if (c == -1)
			break;
		/* For a bad option getopt tells its letter; long ones are the whole word,
		 * and one with an argument too many comes back with its value. */
		if ((c == '?' || c == ':') && strncmp(word, "--", 2)) {
			letter[1] = (char)optopt;
			word = letter;
		} else if (c == '?' && optopt) {
			c = 'n';
		}
		r = take_option(cli, c, word);
	}
	return r;
}

static const struct cli_command *find_command(const char *name)
{
	for (const struct cli_command *c = cli_commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

static int unknown_command(const char *name)
{
	char known[128];
	size_t at = 0;

	for (const struct cli_command *c = cli_commands; c->name; c++)
		at += (size_t)snprintf(known + at, sizeof(known) - at, "%s%s", at ? ", " : "",
				       c->name);
	if (!name)
		return cli_complain("no command; known are %s, and vfio-cused --help tells more",
				    known);
	return cli_complain("unknown command %s; known are %s", name, known);
}

static int load_conf(struct cli *cli, const struct cli_command *command)
{
	struct cused_error err;

	if (!cli->source.file && command && command->run == serve_command) {
		cli->source.file = CONF_FILE_SERVE;
		cli->source.may_be_missing = true;
	}
	cli->conf.source = &cli->source;
	if (conf_load(&cli->conf, &cli->source, &err) < 0)
		return cli_complain("%s", err.text);
	conf_log_apply(&cli->conf, CUSED_LOG_WARNING);
	return 0;
}

static int finish_conf(struct cli *cli)
{
	struct cused_error err;

	if (conf_finish(&cli->conf, cli->conf.sysfs ? cli->conf.sysfs : "/sys", &err) < 0)
		return cli_complain("%s", err.text);
	return 0;
}

/* @argv: what follows the command and its options. */
static int do_command(struct cli *cli, const struct cli_command *command, char **argv)
{
	unsigned n = 0;

	while (argv[n])
		n++;
	if (cli->conf_given && !command->takes_conf)
		return cli_complain("%s takes neither --config nor --device nor --iommu nor "
				    "--log nor --dump-config; leave them out", command->name);
	if (cli->conf.agent_socket && command->run != exec_command &&
	    command->run != serve_command && command->run != ctl_command)
		return cli_complain("%s takes no --socket; leave it out", command->name);
	if (cli->serve_given && command->run != serve_command)
		return cli_complain("%s takes no %s; leave it out", command->name,
				    cli->serve_given);
	if (cli->ctl_given && command->run != ctl_command)
		return cli_complain("%s takes neither --json nor --revoke; leave them out",
				    command->name);
	if (n < command->min_args && !cli->dump)
		return cli_complain("%s: no command to run; write vfio-cused %s %s", command->name,
				    command->name, command->arguments);
	if (n > command->max_args)
		return cli_complain("%s: what is %s? Write vfio-cused %s %s", command->name,
				    argv[command->max_args], command->name, command->arguments);
	if (command->takes_conf && load_conf(cli, command))
		return CLI_FAILURE;
	if (command->prepare && !cli->dump) {
		int r = command->prepare(&cli->conf);

		if (r)
			return r;
	}
	if (command->takes_conf && finish_conf(cli))
		return CLI_FAILURE;
	if (cli->dump) {
		conf_dump(&cli->conf, stdout);
		return 0;
	}
	if (command->run == run_command && cli->conf.n_devices == 0)
		return cli_complain("run: no device: %s has none; add a section [device \"ID\"], "
				    "or give --device", cli->source.file);
	return command->run(&cli->conf, argv);
}

static int print_and_end(const char *what)
{
	if (!strcmp(what, "help"))
		help_overview(stdout);
	else
		printf("vfio-cused %s\n", CUSED_VERSION);
	return 0;
}

/* Put the words of a command that mixes them with options behind each other, at @words.
 * Return: 0 or an exit status. */
static int take_mixed(struct cli *cli, int argc, char **argv, char **words)
{
	size_t n = 0;
	int r = 0;

	/* Each word is moved to where one was read before, or stays. */
	while (r == 0 && optind < argc) {
		words[n++] = argv[optind++];
		r = take_options(cli, argc, argv);
	}
	words[n] = NULL;
	return r;
}

static int parse_and_run(struct cli *cli, int argc, char **argv)
{
	const struct cli_command *command = NULL;
	char **words;
	int r;

	r = take_options(cli, argc, argv);
	if (r == 0 && !cli->print && optind < argc) {
		command = find_command(argv[optind]);
		if (!command)
			return unknown_command(argv[optind]);
		optind++;
		r = take_options(cli, argc, argv);
	}
	words = argv + optind;
	if (r == 0 && !cli->print && command && command->mixes)
		r = take_mixed(cli, argc, argv, words);
	if (r)
		return r;
	if (cli->print)
		return print_and_end(cli->print);
	conf_log_apply(&cli->conf, CUSED_LOG_WARNING);
	if (command)
		return do_command(cli, command, words);
	if (!cli->dump)
		return unknown_command(NULL);
	r = load_conf(cli, NULL);
	if (r == 0)
		r = finish_conf(cli);
	if (r == 0)
		conf_dump(&cli->conf, stdout);
	return r;
}

int cli_main(int argc, char **argv)
{
	struct cli cli = { 0 };
	int r;

	conf_init(&cli.conf);
	cli.conf.argv = argv;
	r = parse_and_run(&cli, argc, argv);
	conf_done(&cli.conf);
	free(cli.source.options);
	/* Text that could not be written is a failure, unless the command decided. */
	if (fflush(stdout) != 0 && r == 0)
		r = cli_complain("cannot write to standard output: %s", strerror(errno));
	return r;
}
