/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-restart-load - clients that make requests at a given rate and check each answer, while
 * the service is started again; linked statically. See restart_load.h.
 *
 *   vm-restart-load [OPTION…] WORKER…
 *
 *   edu=BDF[,THREADS]   has an edu; further threads map in the same container
 *   nvme=BDF            has a drive
 *   open=BDF            opens and closes a group, container and device
 *   containers          opens, asks and closes containers
 *   WORKER@SHARE        makes that many times as many requests as one without, in each thread
 *
 *   --rate N        requests a second, over all threads (1000)
 *   --seconds N     how long (else until SIGTERM or SIGINT)
 *   --seed N        what is drawn (1)
 *   --patience MS   for an interrupt, and for the last answers at the end (60000)
 *   --status FILE   holds "pid=… workers=… requests=… errors=… waiting_ms=…", as of now
 *   --fault CALL/KIND/N   to the N-th request of that name, in each thread: error, lost,
 *                   twice, wrong, forgotten; the first error ends all then
 *
 * Prints a line for each error, and what happened as "word=number…"; times in microseconds.
 * "over_N" are requests that took longer than N ms; "late" is how long one was made after
 * it was due. Status 1: an answer was wrong or is missing; 2: usage.
 */
#include "restart_load.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS 100
#define LOAD_SHARE_MAX 1000u
#define END_MS 5000	/* for a killed worker to go */

struct shared {
	_Atomic bool stop;
	struct load_stats stats[LOAD_THREADS_MAX];
};

struct worker {
	const char *name;	/* as given */
	char bdf[32];
	unsigned first, threads;	/* of the statistics */
	unsigned share;	/* of the rate, of each thread; in n_shares */
	pid_t pid;	/* 0: has ended */
	char error[64];	/* how it ended, if it should not have */
};

struct options {
	unsigned rate, seconds, seed;
	int patience_ms;
	const char *status;
	struct load_fault fault;
};

static struct shared *shared;
static struct worker workers[LOAD_THREADS_MAX];
static unsigned n_workers, n_threads, n_shares;

static int usage(const char *what)
{
	fprintf(stderr, "vm-restart-load: %s\n", what);
	return 2;
}

/* ---- the command line ---- */

static bool starts(const char *text, const char *with, const char **rest)
{
	size_t n = strlen(with);

	*rest = text + n;
	return !strncmp(text, with, n);
}

static bool worker_add(const char *text)
{
	struct worker *w = &workers[n_workers];
	unsigned threads = 1, share = 1;
	const char *bdf, *comma, *at = strchr(text, '@');

	if (strcspn(text, "@") == strlen("containers") && starts(text, "containers", &bdf))
		bdf = "";
	else if (!starts(text, "edu=", &bdf) && !starts(text, "nvme=", &bdf) &&
		 !starts(text, "open=", &bdf))
		return false;
	comma = strchr(bdf, ',');
	if (comma)
		threads = (unsigned)atoi(comma + 1);
	if (at)
		share = (unsigned)atoi(at + 1);
	if (!threads || n_threads + threads > LOAD_THREADS_MAX || !share ||
	    share > LOAD_SHARE_MAX || strcspn(bdf, ",@") >= sizeof(w->bdf))
		return false;
	memcpy(w->bdf, bdf, strcspn(bdf, ",@"));
	w->name = text;
	w->first = n_threads;
	w->threads = threads;
	w->share = share;
	n_threads += threads;
	n_shares += threads * share;
	n_workers++;
	return true;
}

static bool fault_parse(char *text, struct load_fault *ret)
{
	static const char *const kinds[] = { [FAULT_ERROR] = "error",
					     [FAULT_LOST] = "lost",
					     [FAULT_TWICE] = "twice",
					     [FAULT_WRONG] = "wrong",
					     [FAULT_FORGOTTEN] = "forgotten" };
	char *call = strtok(text, "/"), *kind = strtok(NULL, "/"), *at = strtok(NULL, "/");

	if (!at)
		return false;
	for (unsigned i = 1; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!strcmp(kinds[i], kind))
			*ret = (struct load_fault){ call, i, (unsigned)atoi(at) };
	}
	return ret->call && ret->at;
}

static bool option(struct options *o, const char *name, char *value)
{
	if (!strcmp(name, "--rate"))
		o->rate = (unsigned)atoi(value);
	else if (!strcmp(name, "--seconds"))
		o->seconds = (unsigned)atoi(value);
	else if (!strcmp(name, "--seed"))
		o->seed = (unsigned)atoi(value);
	else if (!strcmp(name, "--patience"))
		o->patience_ms = atoi(value);
	else if (!strcmp(name, "--status"))
		o->status = value;
	else
		return !strcmp(name, "--fault") && fault_parse(value, &o->fault);
	return true;
}

/* ---- workers ---- */

_Noreturn static void work(const struct worker *w, const struct options *o)
{
	struct load loads[LOAD_THREADS_MAX];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0; i < w->threads; i++) {
		loads[i] = (struct load){
			.stats = &shared->stats[w->first + i],
			.name = w->name,
			.stop = &shared->stop,
			.began_ns = vc_now_ns(),
			.interval_ns = 1000000000ull * n_shares / o->rate / w->share,
			.seed = o->seed * LOAD_THREADS_MAX + w->first + i,
			.patience_ms = o->patience_ms,
			.fault = o->fault,
		};
	}
	if (w->name[0] == 'e')
		load_edu(loads, w->bdf, loads + 1, w->threads - 1);
	else if (w->name[0] == 'n')
		load_nvme(loads, w->bdf);
	else if (w->name[0] == 'o')
		load_opener(loads, w->bdf);
	else
		load_containers(loads);
	atomic_store(&loads->stats->state, LOAD_DONE);
	_exit(0);
}

static int start(const struct options *o)
{
	for (unsigned i = 0; i < n_workers; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return -errno;
		if (pid == 0)
			work(&workers[i], o);
		workers[i].pid = pid;
	}
	return 0;
}

/* Notes who has ended. Return: how many have not. */
static unsigned reap(void)
{
	unsigned left = 0;
	int status;

	for (unsigned i = 0; i < n_workers; i++) {
		struct worker *w = &workers[i];

		if (w->pid && waitpid(w->pid, &status, WNOHANG) == w->pid) {
			w->pid = 0;
			if (WIFSIGNALED(status))
				snprintf(w->error, sizeof(w->error), "ended by signal %d",
					 WTERMSIG(status));
			else if (WEXITSTATUS(status) > 1)
				snprintf(w->error, sizeof(w->error), "ended with %d",
					 WEXITSTATUS(status));
		}
		left += w->pid != 0;
	}
	return left;
}

static unsigned count_errors(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_workers; i++) {
		n += workers[i].error[0] != 0;
		for (unsigned k = 0; k < workers[i].threads; k++)
			n += shared->stats[workers[i].first + k].state == LOAD_FAILED;
	}
	return n;
}

/* ---- while it lasts ---- */

/* The first of the signals within LOOK_MS, or 0. */
static int look(const sigset_t *signals)
{
	struct timespec ms = { .tv_nsec = LOOK_MS * 1000000l };
	int n = sigtimedwait(signals, NULL, &ms);

	return n < 0 ? 0 : n;
}

static void write_status(int fd)
{
	uint64_t requests = 0, waiting = 0, now = vc_now_ns(), since;
	unsigned running = 0;
	char line[160];
	int n;

	for (unsigned i = 0; i < n_threads; i++) {
		requests += shared->stats[i].requests;
		since = shared->stats[i].since_ns;
		if (since && since < now && now - since > waiting)
			waiting = now - since;
		running += shared->stats[i].state == LOAD_RUNS;
	}
	n = snprintf(line, sizeof(line), "pid=%d workers=%u requests=%llu errors=%u waiting_ms=%llu",
		     (int)getpid(), running, (unsigned long long)requests, count_errors(),
		     (unsigned long long)(waiting / 1000000));
	/* One call, of one size: who reads sees all of it and nothing else. */
	memset(line + n, ' ', sizeof(line) - (size_t)n);
	line[sizeof(line) - 1] = '\n';
	if (fd >= 0 && pwrite(fd, line, sizeof(line), 0) != sizeof(line))
		perror("vm-restart-load: status");
}

static void run(const struct options *o, const sigset_t *signals, int status)
{
	uint64_t end = vc_now_ns() + o->seconds * 1000000000ull;
	int n;

	while (reap()) {
		write_status(status);
		n = look(signals);
		if (n == SIGTERM || n == SIGINT || (o->seconds && vc_now_ns() >= end))
			break;
		if (o->fault.call && count_errors())
			break;
	}
	shared->stop = true;
	end = vc_now_ns() + (uint64_t)o->patience_ms * 1000000u;
	while (reap() && vc_now_ns() < end) {
		write_status(status);
		look(signals);
	}
}

/* ---- the end ---- */

/* Return: how many threads wait for an answer that does not come, or for nothing. */
static unsigned print_lost(void)
{
	unsigned lost = 0;

	for (unsigned i = 0; i < n_workers; i++) {
		for (unsigned k = 0; workers[i].pid && k < workers[i].threads; k++) {
			const struct load_stats *s = &shared->stats[workers[i].first + k];
			uint64_t since = s->since_ns;

			if (s->state == LOAD_DONE)
				continue;
			lost++;
			printf("lost: %s: %s: no answer for %.1f s\n", workers[i].name,
			       s->call ? s->call : "start",
			       since ? (double)(vc_now_ns() - since) / 1e9 : 0.0);
		}
		if (workers[i].pid)
			kill(workers[i].pid, SIGKILL);
	}
	return lost;
}

static void print_errors(void)
{
	for (unsigned i = 0; i < n_workers; i++) {
		if (workers[i].error[0])
			printf("error: %s: %s\n", workers[i].name, workers[i].error);
		for (unsigned k = 0; k < workers[i].threads; k++) {
			const struct load_stats *s = &shared->stats[workers[i].first + k];

			if (s->state == LOAD_FAILED)
				printf("error: %s\n", s->error);
		}
	}
}

static void print_sum(double seconds, unsigned errors, unsigned lost)
{
	uint64_t requests = 0, spurious = 0, busy = 0, late = 0, over[LOAD_LIMITS] = { 0 };
	const struct load_stats *longest = &shared->stats[0];

	for (unsigned i = 0; i < n_threads; i++) {
		const struct load_stats *s = &shared->stats[i];

		requests += s->requests;
		spurious += s->spurious;
		busy += s->busy;
		late = s->late_ns > late ? s->late_ns : late;
		longest = s->longest_ns > longest->longest_ns ? s : longest;
		for (unsigned k = 0; k < LOAD_LIMITS; k++)
			over[k] += s->over[k];
	}
	printf("requests=%llu seconds=%.1f errors=%u lost=%u longest=%llu late=%llu "
	       "spurious=%llu busy=%llu",
	       (unsigned long long)requests, seconds, errors, lost,
	       (unsigned long long)longest->longest_ns / 1000, (unsigned long long)late / 1000,
	       (unsigned long long)spurious, (unsigned long long)busy);
	for (unsigned k = 0; k < LOAD_LIMITS; k++)
		printf(" over_%u=%llu", load_limits_ms[k], (unsigned long long)over[k]);
	printf("\n");
	if (longest->longest_call)
		printf("longest: %s, after %.1f s\n", longest->longest_call,
		       (double)longest->longest_at_ns / 1e9);
}

int main(int argc, char **argv)
{
	struct options o = { .rate = 1000, .seed = 1, .patience_ms = 60000 };
	uint64_t began = vc_now_ns(), end;
	unsigned errors, lost;
	int i = 1, status = -1;
	sigset_t signals;

	for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		if (!option(&o, argv[i], argv[i + 1]))
			return usage(argv[i]);
	}
	if (i == argc || !o.rate)
		return usage("no worker, or no rate");
	for (; i < argc; i++) {
		if (!worker_add(argv[i]))
			return usage(argv[i]);
	}
	if (o.status)
		status = open(o.status, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED || (o.status && status < 0))
		return usage(strerror(errno));
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	if (start(&o))
		return usage(strerror(errno));
	run(&o, &signals, status);
	print_errors();
	errors = count_errors();
	write_status(status);
	lost = print_lost();
	for (end = vc_now_ns() + END_MS * 1000000ull; reap() && vc_now_ns() < end;)
		look(&signals);
	print_sum((double)(vc_now_ns() - began) / 1e9, errors, lost);
	return fflush(stdout) || errors || lost;
}
