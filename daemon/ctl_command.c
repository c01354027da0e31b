/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ctl_command.c - `vfio-cused ctl`: asks the control socket of a service or a run. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <util/cleanup.h>

#include "cli.h"
#include "ctl.h"

#define ANSWER_MAX (64u << 20)	/* bytes; somebody else may be at the other end */
#define ANSWER_MS 15000		/* for an answer that waits for nobody */
#define NOTICE_MS 1000		/* after which it is said that it takes time */
#define END_MS 5000		/* for a process to end after its files were closed */
#define WATCH_MS 1000		/* between two looks of watch */
#define CLEAR "\033[H\033[2J"	/* cursor home, then all of the screen */

struct ctl_word {
	const char *name;
	const char *argument;		/* NULL: takes none */
	const char *member;		/* of the request, for the argument */
	bool waits;			/* for clients to close */
	bool revokes;			/* takes --revoke */
};

static const struct ctl_word words[] = {
	{ "status", NULL, NULL, false, false },
	{ "watch", NULL, NULL, false, false },
	{ "add", "DEVICE", "device", false, false },
	{ "remove", "NAME", "name", true, true },
	{ "stop", NULL, NULL, true, true },
};

#define N_WORDS (sizeof(words) / sizeof(words[0]))

struct asking {
	const struct ctl_word *word;
	const char *path;
	int fd;
	bool json;
	char *line;			/* of the last answer */
	json_t *answer;
};

static int unknown_word(const char *word)
{
	char known[128];
	size_t at = 0;

	for (size_t i = 0; i < N_WORDS; i++)
		at += (size_t)snprintf(known + at, sizeof(known) - at, "%s%s", at ? ", " : "",
				       words[i].name);
	if (!word)
		return cli_complain("ctl: what? Known are %s", known);
	return cli_complain("ctl: unknown command %s; known are %s", word, known);
}

/* ---- the wire ---- */

static int send_line(struct asking *a, json_t *request)
{
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	size_t n = text ? strlen(text) : 0, sent = 0;
	ssize_t r = 1;

	json_decref(request);
	if (!text)
		return cli_complain("ctl: the request cannot be written as JSON: an argument is "
				    "not UTF-8");
	text[n] = '\n';		/* instead of the NUL */
	while (sent <= n && r > 0) {
		r = send(a->fd, text + sent, n + 1 - sent, MSG_NOSIGNAL);
		sent += r > 0 ? (size_t)r : 0;
	}
	free(text);
	/* One that is turned away is told why: the answer is there. */
	return r > 0 || errno == EPIPE || errno == ECONNRESET ? 0 :
		cli_complain("ctl: cannot write to %s: %s", a->path, strerror(errno));
}

/* Until something is there to read. Return: 0; -ETIMEDOUT; -errno. */
static int wait_readable(struct asking *a)
{
	struct pollfd fd = { a->fd, POLLIN, 0 };
	int timeout = a->word->waits ? NOTICE_MS : ANSWER_MS, n;

	do {
		n = poll(&fd, 1, timeout);
		if (n == 0 && a->word->waits && timeout == NOTICE_MS) {
			cli_complain("ctl: %s waits until clients have closed their devices; "
				     "--revoke does not", a->word->name);
			timeout = -1;
		} else if (n == 0) {
			return -ETIMEDOUT;
		}
	} while (n == 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}

/* The next line. Return: 0; -ECONNRESET the end came first; -EMSGSIZE; -errno. */
static int receive_line(struct asking *a)
{
	size_t n = 0, room = 0;

	free(steal_ptr(a->line));
	for (;;) {
		ssize_t got;
		int r;

		if (n + 1 >= room) {
			char *grown;

			room = room ? 2 * room : 65536;
			grown = room > ANSWER_MAX ? NULL : realloc(a->line, room);
			if (!grown)
				return -EMSGSIZE;
			a->line = grown;
		}
		r = wait_readable(a);
		if (r)
			return r;
		got = recv(a->fd, a->line + n, room - 1 - n, 0);
		if (got <= 0)
			return got < 0 && errno != ECONNRESET ? -errno : -ECONNRESET;
		n += (size_t)got;
		a->line[n] = '\0';
		if (a->line[n - 1] == '\n') {
			a->line[n - 1] = '\0';
			return 0;
		}
	}
}

/* Ask, and get an answer. Return: 0, or an exit status, after a message. */
static int ask(struct asking *a, json_t *request)
{
	int r = send_line(a, request);

	if (r)
		return r;
	r = receive_line(a);
	if (r == -ECONNRESET)
		return cli_complain("ctl: %s: the other end closed without an answer; has it "
				    "ended?", a->path);
	if (r == -ETIMEDOUT)
		return cli_complain("ctl: %s: no answer in %d s; try again", a->path,
				    ANSWER_MS / 1000);
	if (r)
		return cli_complain("ctl: %s: cannot read the answer: %s", a->path, strerror(-r));
	json_decref(a->answer);
	a->answer = json_loads(a->line, 0, NULL);
	if (!json_is_object(a->answer) || !json_is_boolean(json_object_get(a->answer, "ok")))
		return cli_complain("ctl: %s: the answer is none of vfio-cused's; is it its "
				    "control socket?", a->path);
	return 0;
}

/* ---- what is done with an answer ---- */

static int was_refused(const struct asking *a)
{
	const char *text = json_string_value(json_object_get(a->answer, "text"));

	if (json_is_true(json_object_get(a->answer, "ok")))
		return 0;
	cli_complain("ctl: %s: %s", a->word->name, text ? text : "refused");
	return CTL_REFUSED;
}

static void print_result(const struct asking *a)
{
	const json_t *result = json_object_get(a->answer, "result");
	const char *bdf = json_string_value(json_object_get(result, "bdf"));
	const char *group = json_string_value(json_object_get(result, "group"));

	if (json_object_get(result, "groups"))
		ctl_print_status(stdout, result);
	else if (bdf && group)
		printf("%s  /dev/vfio/%s\n", bdf, group);
}

/* Return: an exit status. */
static int print_answer(const struct asking *a)
{
	if (a->json)
		puts(a->line);
	else if (json_is_true(json_object_get(a->answer, "ok")))
		print_result(a);
	return was_refused(a);
}

/* Until interrupted, or the other end ends. */
static int watch(struct asking *a)
{
	bool terminal = isatty(STDOUT_FILENO);
	struct pollfd fd = { a->fd, POLLIN, 0 };
	int r;

	for (;;) {
		r = ask(a, json_pack("{s:i, s:s}", "v", CTL_VERSION, "command", "status"));
		if (r)
			return r;
		if (terminal && !a->json)
			fputs(CLEAR, stdout);
		r = print_answer(a);
		if (!terminal && !a->json)
			putchar('\n');
		if (fflush(stdout))
			return CLI_FAILURE;	/* who reads it has gone */
		if (r)
			return r;
		if (poll(&fd, 1, WATCH_MS) > 0) {
			cli_complain("ctl: %s has ended", a->path);
			return 0;
		}
	}
}

/* It has said that it will end: wait until it has. Its files go first, and with them the
 * connection. @process: a pidfd, or -1 */
static void wait_for_end(struct asking *a, int process)
{
	struct pollfd fd = { process, POLLIN, 0 };

	while (receive_line(a) == 0)
		;
	if (process >= 0)
		poll(&fd, 1, END_MS);
}

/* A pidfd of whoever listens, or -1. */
static int process_of(const struct asking *a)
{
	socklen_t size = sizeof(struct ucred);
	struct ucred peer;

	if (getsockopt(a->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) || peer.pid <= 0)
		return -1;
	return pidfd_open(peer.pid, 0);
}

/* ---- the command ---- */

static json_t *request_of(const struct ctl_word *word, const char *argument, bool revoke)
{
	json_t *request = json_pack("{s:i, s:s}", "v", CTL_VERSION, "command", word->name);

	if (request && argument &&
	    json_object_set_new(request, word->member, json_string(argument))) {
		json_decref(request);
		return NULL;
	}
	if (request && revoke && json_object_set_new(request, "revoke", json_true())) {
		json_decref(request);
		return NULL;
	}
	return request;
}

static int carry_out(struct asking *a, const char *argument, bool revoke)
{
	cleanup_close int process = -1;
	int r;

	if (!strcmp(a->word->name, "watch"))
		return watch(a);
	if (!strcmp(a->word->name, "stop"))
		process = process_of(a);
	r = ask(a, request_of(a->word, argument, revoke));
	if (r == 0)
		r = print_answer(a);
	if (r == 0 && !strcmp(a->word->name, "stop"))
		wait_for_end(a, process);
	return r;
}

int ctl_command(const struct conf *conf, char **args)
{
	struct asking a = { .fd = -1, .json = conf->json };
	struct cused_error err;
	int r;

	for (size_t i = 0; args[0] && i < N_WORDS; i++)
		if (!strcmp(words[i].name, args[0]))
			a.word = &words[i];
	if (!a.word)
		return unknown_word(args[0]);
	if (a.word->argument && !args[1])
		return cli_complain("ctl: %s what? Write vfio-cused ctl %s %s", args[0], args[0],
				    a.word->argument);
	if (args[1] && (!a.word->argument || args[2]))
		return cli_complain("ctl: %s: what is %s? Leave it out", args[0],
				    a.word->argument ? args[2] : args[1]);
	if (conf->revoke && !a.word->revokes)
		return cli_complain("ctl: %s takes no --revoke; leave it out", args[0]);
	a.path = conf->agent_socket ? conf->agent_socket : getenv(CTL_ENVIRONMENT);
	if (!a.path)
		a.path = CTL_SOCKET;
	if (ctl_connect(a.path, &a.fd, &err))
		return cli_complain("ctl: %s", err.text);
	r = carry_out(&a, args[1], conf->revoke);
	close(a.fd);
	free(a.line);
	json_decref(a.answer);
	return r;
}
