/* SPDX-License-Identifier: GPL-2.0-or-later */
/* util/log.c: lines on standard error, entries of the journal with fields, the limit of lines
 * about a client, and the thread that writes. Linked with --wrap for the journal, which here only
 * writes down. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <util/log.h>

int __wrap_sd_journal_sendv(const struct iovec *iov, int n);
int __wrap_access(const char *path, int mode);

/* Is the journal's socket there? */
static bool socket_there;

int __wrap_access(const char *path, int mode)
{
	errno = ENOENT;
	return socket_there ? 0 : -1;
}

static char entry[4096];		/* fields of the last entry, one a line */
static unsigned entries;
static int journal_answer;

int __wrap_sd_journal_sendv(const struct iovec *iov, int n)
{
	entry[0] = '\0';
	entries++;
	for (int i = 0; i < n; i++) {
		strncat(entry, iov[i].iov_base, iov[i].iov_len);
		strcat(entry, "\n");
	}
	return journal_answer;
}

static int file = -1;

static void setup(void)
{
	file = memfd_create("stderr", MFD_CLOEXEC);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(dup2(file, STDERR_FILENO), STDERR_FILENO);
	entries = 0;
	socket_there = true;
	journal_answer = 0;
	entry[0] = '\0';
	unsetenv("JOURNAL_STREAM");
	log_set_level(CUSED_LOG_DEBUG);
}

static void journal(int more)
{
	char stream[64];
	struct stat st;

	ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + (unsigned)more);
	setenv("JOURNAL_STREAM", stream, 1);
}

static const char *said(void)
{
	static char text[65536];
	ssize_t n = pread(file, text, sizeof(text) - 1, 0);

	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	return text;
}

static unsigned count_lines(const char *part)
{
	unsigned n = 0;

	for (const char *p = said(); (p = strstr(p, part)); p++)
		n++;
	return n;
}

START_TEST(a_line_on_standard_error)
{
	errno = ENOENT;
	cused_log(CUSED_LOG_WARNING, "mod", "%s: %m", "this");
	ck_assert_str_eq(said(), "vfio-cused: warning: mod: this: No such file or directory\n");
	ck_assert_int_eq(errno, ENOENT);
	log_set_level(CUSED_LOG_WARNING);
	cused_log(CUSED_LOG_INFO, "mod", "not this");
	ck_assert(!log_wants(CUSED_LOG_INFO, "mod") && log_wants(CUSED_LOG_ERROR, "mod"));
	ck_assert_uint_eq(count_lines("\n"), 1);
	ck_assert_uint_eq(entries, 0);
}
END_TEST

START_TEST(a_module_has_a_level_of_its_own)
{
	static const char *const names[] = { "loud", "quiet", "usual" };

	log_set_level(CUSED_LOG_WARNING);
	log_set_module("loud", CUSED_LOG_DEBUG);
	log_set_module("quiet", CUSED_LOG_ERROR);
	for (unsigned i = 0; i < 3; i++) {
		cused_log(CUSED_LOG_ERROR, names[i], "error");
		cused_log(CUSED_LOG_WARNING, names[i], "warning");
		cused_log(CUSED_LOG_INFO, names[i], "info");
		cused_log(CUSED_LOG_DEBUG, names[i], "debug");
	}
	ck_assert_str_eq(said(), "vfio-cused: error: loud: error\n"
			 "vfio-cused: warning: loud: warning\nvfio-cused: info: loud: info\n"
			 "vfio-cused: debug: loud: debug\nvfio-cused: error: quiet: error\n"
			 "vfio-cused: error: usual: error\nvfio-cused: warning: usual: warning\n");
	log_unset_module("loud");
	log_unset_module("never had one");
	ck_assert(!log_wants(CUSED_LOG_INFO, "loud") && log_wants(CUSED_LOG_WARNING, "loud"));
	ck_assert(!log_wants(CUSED_LOG_WARNING, "quiet"));
	log_set_module("quiet", CUSED_LOG_INFO);
	ck_assert(log_wants(CUSED_LOG_INFO, "quiet") && !log_wants(CUSED_LOG_DEBUG, "quiet"));
}
END_TEST

START_TEST(so_many_modules_have_levels)
{
	static char names[LOG_MODULES_MAX + 1][16];

	log_set_level(CUSED_LOG_WARNING);
	for (unsigned i = 0; i <= LOG_MODULES_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "m%u", i);
		log_set_module(names[i], CUSED_LOG_INFO);
	}
	for (unsigned i = 0; i <= LOG_MODULES_MAX; i++)
		ck_assert_int_eq(log_wants(CUSED_LOG_INFO, names[i]), i < LOG_MODULES_MAX);
}
END_TEST

START_TEST(an_entry_has_fields)
{
	struct log_about about = { 4711, "noiommu-7", "0000:05:00.0", "CG-049" };

	journal(0);
	log_about(&about, CUSED_LOG_INFO, "mod", "%d\nlines", 2);
	ck_assert_str_eq(entry, "PRIORITY=6\nSYSLOG_IDENTIFIER=vfio-cused\nCUSED_MODULE=mod\n"
			 "OBJECT_PID=4711\nCUSED_GROUP=noiommu-7\nCUSED_DEVICE=0000:05:00.0\n"
			 "CUSED_ROW=CG-049\nMESSAGE=2\nlines\n");
	cused_log(CUSED_LOG_ERROR, "mod", "x");
	ck_assert_str_eq(entry, "PRIORITY=3\nSYSLOG_IDENTIFIER=vfio-cused\nCUSED_MODULE=mod\n"
			 "MESSAGE=x\n");
	ck_assert_str_eq(said(), "");
	/* It is not there, or full. */
	journal_answer = -EAGAIN;
	cused_log(CUSED_LOG_ERROR, "mod", "y");
	ck_assert_str_eq(said(), "vfio-cused: error: mod: y\n");
	journal_answer = 0;
	socket_there = false;
	cused_log(CUSED_LOG_ERROR, "mod", "z");
	ck_assert_str_eq(said(), "vfio-cused: error: mod: y\nvfio-cused: error: mod: z\n");
}
END_TEST

START_TEST(another_standard_error_is_no_journal)
{
	static const char *const streams[] = { NULL, "", "x", "1:", "1:2" };

	if (streams[_i])
		setenv("JOURNAL_STREAM", streams[_i], 1);
	else
		journal(1);
	cused_log(CUSED_LOG_ERROR, "mod", "x");
	ck_assert_uint_eq(entries, 0);
	ck_assert_str_eq(said(), "vfio-cused: error: mod: x\n");
}
END_TEST

/* What a client makes long is cut, and nothing of it is a format. */
START_TEST(long_lines_are_cut)
{
	char long_text[5000];

	memset(long_text, '%', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	cused_log(CUSED_LOG_ERROR, "mod", "%s", long_text);
	ck_assert_uint_eq(strlen(said()), strlen("vfio-cused: error: mod: ") + 1023 + 1);
	ck_assert_uint_eq(count_lines("\n"), 1);
}
END_TEST

START_TEST(lines_of_a_client_are_limited)
{
	struct log_about about = { .pid = 100 }, other = { .pid = 101 };

	for (unsigned i = 0; i < LOG_CLIENT_LINES; i++)
		log_about(&about, CUSED_LOG_DEBUG, "mod", "line");
	ck_assert_uint_eq(count_lines("line"), LOG_CLIENT_LINES);
	log_about(&about, CUSED_LOG_DEBUG, "mod", "line");
	ck_assert_uint_eq(count_lines("line"), LOG_CLIENT_LINES);
	/* Nobody else is touched. */
	log_about(&other, CUSED_LOG_DEBUG, "mod", "another");
	cused_log(CUSED_LOG_DEBUG, "mod", "another");
	ck_assert_uint_eq(count_lines("another"), 2);
}
END_TEST

START_TEST(windows_pass_and_tell)
{
	unsigned left[2], start = 1000;

	for (unsigned i = 0; i < LOG_CLIENT_LINES; i++)
		ck_assert(log_limit(1, start + i / 4, left));
	for (unsigned i = 0; i < 7; i++)
		ck_assert(!log_limit(1, start + LOG_CLIENT_SECONDS - 1, left));
	ck_assert(log_limit(1, start + LOG_CLIENT_SECONDS, left));
	ck_assert_uint_eq(left[0], 7);
	ck_assert_uint_eq(left[1], 0);
	ck_assert(log_limit(1, start + LOG_CLIENT_SECONDS, left));
	ck_assert_uint_eq(left[0], 0);
	/* The clock's seconds wrap. */
	ck_assert(log_limit(1, -1u, left));
	ck_assert(log_limit(1, 8, left));
	ck_assert(log_limit(1, 9, left));
}
END_TEST

START_TEST(all_clients_together_are_limited)
{
	unsigned left[2], written = 0, told = 0, pid;

	/* One line each, and their places are used again. */
	for (pid = 1; pid <= LOG_CLIENTS_LINES + 100; pid++)
		written += log_limit((pid_t)pid, 50, left);
	ck_assert_uint_eq(written, LOG_CLIENTS_LINES);
	/* All that was left out is told, of whomever. */
	for (unsigned i = 0; i < 2 * LOG_CLIENTS_KNOWN; i++, pid++) {
		ck_assert(log_limit((pid_t)pid, 50 + LOG_CLIENT_SECONDS, left));
		told += left[0] + left[1];
	}
	ck_assert_uint_eq(told, 100);
}
END_TEST

START_TEST(what_was_left_out_is_said)
{
	struct log_about about = { .pid = 100 };
	unsigned left[2];

	/* Long ago, in the limit's own time. */
	for (unsigned i = 0; i < LOG_CLIENT_LINES + 3; i++)
		log_limit(100, -100u, left);
	log_about(&about, CUSED_LOG_DEBUG, "mod", "next");
	ck_assert_str_eq(said(), "vfio-cused: debug: mod: 3 more lines about process 100 were "
			 "left out\nvfio-cused: debug: mod: next\n");
}
END_TEST

/* ---- the thread ---- */

START_TEST(the_thread_writes_what_it_is_given)
{
	struct log_about about = { 4711, "noiommu-7", "0000:05:00.0", "CG-049" };
	char line[64];

	log_writer_end(0);		/* there is none */
	ck_assert_int_eq(log_writer_start(), 0);
	for (unsigned i = 0; i < 100; i++)
		cused_log(CUSED_LOG_INFO, "mod", "line %u", i);
	log_writer_end(10000);
	for (unsigned i = 0, at = 0; i < 100; i++) {
		snprintf(line, sizeof(line), "vfio-cused: info: mod: line %u\n", i);
		ck_assert_int_eq(strncmp(said() + at, line, strlen(line)), 0);
		at += (unsigned)strlen(line);
	}
	/* Fields are the same, and it can start again. */
	journal(0);
	ck_assert_int_eq(log_writer_start(), 0);
	log_about(&about, CUSED_LOG_INFO, "mod", "x");
	log_writer_end(10000);
	ck_assert_uint_eq(entries, 0);	/* once a standard error is none, it stays none */
	cused_log(CUSED_LOG_INFO, "mod", "after the thread");
	ck_assert_uint_eq(count_lines("after the thread"), 1);
}
END_TEST

START_TEST(the_thread_writes_entries)
{
	struct log_about about = { 4711, "noiommu-7", "0000:05:00.0", "CG-049" };

	journal(0);
	ck_assert_int_eq(log_writer_start(), 0);
	log_about(&about, CUSED_LOG_INFO, "mod", "x");
	log_writer_end(10000);
	ck_assert_str_eq(entry, "PRIORITY=6\nSYSLOG_IDENTIFIER=vfio-cused\nCUSED_MODULE=mod\n"
			 "OBJECT_PID=4711\nCUSED_GROUP=noiommu-7\nCUSED_DEVICE=0000:05:00.0\n"
			 "CUSED_ROW=CG-049\nMESSAGE=x\n");
	ck_assert_int_eq(log_writer_start(), 0);
	cused_log(CUSED_LOG_ERROR, "mod", "y");
	log_writer_end(10000);
	ck_assert_str_eq(entry, "PRIORITY=3\nSYSLOG_IDENTIFIER=vfio-cused\nCUSED_MODULE=mod\n"
			 "MESSAGE=y\n");
}
END_TEST

/* Standard error becomes a pipe that is full. Return: the end to read from. */
static int full_pipe(void)
{
	char bytes[512] = { 0 };
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	while (write(ends[1], bytes, sizeof(bytes)) > 0)
		;
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(fcntl(ends[1], F_SETFL, 0), 0);
	ck_assert_int_eq(fcntl(ends[0], F_SETFL, 0), 0);
	ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	close(ends[1]);
	return ends[0];
}

/* What was written to the pipe goes to the file, until nobody has it open for writing. */
static void *reader_main(void *arg)
{
	int from = *(int *)arg;
	char bytes[4096];
	ssize_t n;

	while ((n = read(from, bytes, sizeof(bytes))) > 0) {
		char *text = bytes;

		while (n > 0 && !*text) {
			text++;
			n--;
		}
		ck_assert_int_eq(write(file, text, (size_t)n), n);
	}
	return NULL;
}

/* Nobody waits for a reader that has stopped: the queue takes its lines, and not one more. */
START_TEST(nobody_waits_for_who_reads)
{
	static const unsigned beyond[] = { 0, 1, 1000 };
	int from = full_pipe();
	char said_lost[64];
	pthread_t reader;

	ck_assert_int_eq(log_writer_start(), 0);
	for (unsigned i = 0; i < LOG_QUEUE_LINES + beyond[_i]; i++)
		cused_log(CUSED_LOG_INFO, "mod", "line %u.", i);
	ck_assert_int_eq(pthread_create(&reader, NULL, reader_main, &from), 0);
	log_writer_end(20000);
	ck_assert_int_eq(dup2(file, STDERR_FILENO), STDERR_FILENO);
	ck_assert_int_eq(pthread_join(reader, NULL), 0);
	close(from);
	ck_assert_uint_eq(count_lines("mod: line "), LOG_QUEUE_LINES);
	snprintf(said_lost, sizeof(said_lost), "log: %u lines were lost", beyond[_i]);
	ck_assert_uint_eq(count_lines("were lost"), beyond[_i] ? 1 : 0);
	ck_assert_uint_eq(count_lines(said_lost), beyond[_i] ? 1 : 0);
	cused_log(CUSED_LOG_INFO, "mod", "after");
	ck_assert_uint_eq(count_lines("mod: after"), 1);
}
END_TEST

/* The end does not wait either. Run in a process of its own, since the thread stays. */
START_TEST(the_end_does_not_wait_for_ever)
{
	int from = full_pipe();

	ck_assert_int_eq(log_writer_start(), 0);
	cused_log(CUSED_LOG_INFO, "mod", "nobody reads this");
	log_writer_end(50);
	close(from);
	_exit(0);
}
END_TEST

START_TEST(a_child_writes_itself)
{
	int from = full_pipe(), status;
	pthread_t reader;
	pid_t pid;

	ck_assert_int_eq(log_writer_start(), 0);
	cused_log(CUSED_LOG_INFO, "mod", "the parent's");
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(file, STDERR_FILENO);
		cused_log(CUSED_LOG_INFO, "mod", "the child's");
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_str_eq(said(), "vfio-cused: info: mod: the child's\n");
	ck_assert_int_eq(pthread_create(&reader, NULL, reader_main, &from), 0);
	log_writer_end(20000);
	ck_assert_int_eq(dup2(file, STDERR_FILENO), STDERR_FILENO);
	ck_assert_int_eq(pthread_join(reader, NULL), 0);
	close(from);
	ck_assert_uint_eq(count_lines("the parent's"), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tc = tcase_create("log");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_line_on_standard_error);
	tcase_add_test(tc, a_module_has_a_level_of_its_own);
	tcase_add_test(tc, so_many_modules_have_levels);
	tcase_add_test(tc, an_entry_has_fields);
	tcase_add_loop_test(tc, another_standard_error_is_no_journal, 0, 5);
	tcase_add_test(tc, long_lines_are_cut);
	tcase_add_test(tc, lines_of_a_client_are_limited);
	tcase_add_test(tc, windows_pass_and_tell);
	tcase_add_test(tc, all_clients_together_are_limited);
	tcase_add_test(tc, what_was_left_out_is_said);
	tcase_add_test(tc, the_thread_writes_what_it_is_given);
	tcase_add_test(tc, the_thread_writes_entries);
	tcase_add_loop_test(tc, nobody_waits_for_who_reads, 0, 3);
	tcase_add_test(tc, the_end_does_not_wait_for_ever);
	tcase_add_test(tc, a_child_writes_itself);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
