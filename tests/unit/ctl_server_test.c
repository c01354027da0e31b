/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/ctl_server_test.c - connections to the control socket: how many, how long, how much.
 * The server's clock is ours: time passes when a test says so.
 */
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <unit/ctl_rig.h>

#define STATUS "{\"v\":1,\"command\":\"status\"}\n"
#define REMOVE "{\"v\":1,\"command\":\"remove\",\"name\":\"x\"}\n"
#define PATIENCE_MS 20000

static char folder[] = "/tmp/cused-ctl-XXXXXX";
static char path[64];
static struct cused_error err;
static struct ctl_server *server;
static atomic_ullong passed;		/* nanoseconds */

uint64_t __real_thread_now_ns(void);
uint64_t __wrap_thread_now_ns(void);

uint64_t __wrap_thread_now_ns(void)
{
	return __real_thread_now_ns() + atomic_load(&passed);
}

static void begin_as(uid_t owner)
{
	struct ctl_socket where = { path, 0666, (uid_t)-1, (gid_t)-1 };
	int listener;

	rig_begin(&rig_service);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	chmod(folder, 0755);
	snprintf(path, sizeof(path), "%s/ctl", folder);
	ck_assert_msg(ctl_listen(&where, &listener, &err) == 0, "%s", err.text);
	ck_assert_int_eq(ctl_server_start(&rig.ctl, listener, owner, &server), 0);
}

static void begin(void)
{
	begin_as(geteuid());
}

static void end(void)
{
	if (server)
		ck_assert_int_eq(ctl_server_stop(server), 0);
	server = NULL;
	unlink(path);
	ck_assert_int_eq(rmdir(folder), 0);
	rig_end();
}

/* ---- peers ---- */

static int peer(void)
{
	int fd;

	ck_assert_msg(ctl_connect(path, &fd, &err) == 0, "%s", err.text);
	return fd;
}

/* A peer that may not change anything: of another user, for root. */
static int reader(void)
{
	int fd;

	if (geteuid() != 0)
		return peer();
	ck_assert_int_eq(seteuid(65534), 0);
	fd = peer();
	ck_assert_int_eq(seteuid(0), 0);
	return fd;
}

static void say(int fd, const char *bytes, size_t size)
{
	while (size) {
		ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);

		ck_assert_int_gt(n, 0);
		bytes += n;
		size -= (size_t)n;
	}
}

static void say_line(int fd, const char *line)
{
	say(fd, line, strlen(line));
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, ms) == 1;
}

/* The next line, without its newline, for free(); NULL: the end. */
static char *hear(int fd)
{
	char *line = NULL, byte;
	size_t n = 0;

	for (;;) {
		ssize_t got;

		ck_assert_msg(readable(fd, PATIENCE_MS), "no answer");
		got = recv(fd, &byte, 1, 0);
		if (got <= 0) {
			ck_assert_uint_eq(n, 0);
			return NULL;
		}
		line = realloc(line, n + 2);
		if (byte == '\n')
			break;
		line[n++] = byte;
	}
	line[n] = '\0';
	return line;
}

static void hears(int fd, const char *text)
{
	char *line = hear(fd);

	ck_assert_msg(line != NULL, "the end instead of %s", text);
	ck_assert_msg(strstr(line, text) != NULL, "\"%s\" is not in: %.200s", text, line);
	free(line);
}

static void hears_the_end(int fd)
{
	char *line = hear(fd);

	ck_assert_msg(line == NULL, "not the end, but: %.200s", line);
	close(fd);
}

/* Let time pass, and the server see it. */
static void pass_ms(unsigned ms)
{
	int fd;

	atomic_fetch_add(&passed, ms * 1000000ull);
	fd = peer();
	say_line(fd, STATUS);
	free(hear(fd));
	close(fd);
}

/* ---- ---- */

START_TEST(answers_come_in_order)
{
	int a, b;

	begin();
	a = peer();
	b = peer();
	say_line(a, STATUS "nonsense\n" STATUS);
	say_line(b, "{\"v\":1,");
	hears(a, "\"ok\":true");
	hears(a, "not JSON");
	hears(a, "\"ok\":true");
	say_line(b, "\"command\":\"status\"}\nrest");
	hears(b, "\"ok\":true");
	/* What has been asked is answered after the peer has said all. */
	say_line(a, STATUS STATUS "half");
	shutdown(a, SHUT_WR);
	hears(a, "\"ok\":true");
	hears(a, "\"ok\":true");
	hears_the_end(a);
	close(b);
	end();
}
END_TEST

/* At the limit a request is served; a byte more, and it is refused. _i: bytes beyond */
START_TEST(requests_have_a_size)
{
	char *bytes = malloc(CTL_REQUEST_MAX + 1);
	size_t n = CTL_REQUEST_MAX + (size_t)_i;
	int fd;

	begin();
	fd = peer();
	memset(bytes, ' ', CTL_REQUEST_MAX + 1);
	memcpy(bytes, STATUS, strlen(STATUS) - 1);
	bytes[n - 1] = '\n';
	say(fd, bytes, n);
	hears(fd, _i ? "E2BIG" : "\"ok\":true");
	if (_i) {
		hears_the_end(fd);
	} else {
		say_line(fd, STATUS);
		hears(fd, "\"ok\":true");
		close(fd);
	}
	free(bytes);
	end();
}
END_TEST

START_TEST(connections_have_a_number)
{
	int fds[CTL_CONNECTIONS_MAX], more;

	begin();
	for (unsigned i = 0; i < CTL_CONNECTIONS_MAX; i++) {
		fds[i] = peer();
		say_line(fds[i], STATUS);
		hears(fds[i], "\"ok\":true");
	}
	more = peer();
	hears(more, "EBUSY");
	hears_the_end(more);
	for (unsigned i = 0; i < CTL_CONNECTIONS_MAX; i++) {
		say_line(fds[i], STATUS);
		hears(fds[i], "\"ok\":true");
		close(fds[i]);
	}
	for (unsigned i = 0; i < 3 * CTL_CONNECTIONS_MAX; i++) {
		more = peer();
		say_line(more, STATUS);
		hears(more, "\"ok\":true");
		shutdown(more, SHUT_WR);
		hears_the_end(more);
	}
	end();
}
END_TEST

/* Those who may not change anything leave connections to those who may. */
START_TEST(readers_leave_room)
{
	int fds[CTL_READERS_MAX], more;

	begin_as(geteuid() ? geteuid() + 1 : 0);
	for (unsigned i = 0; i < CTL_READERS_MAX; i++) {
		fds[i] = reader();
		say_line(fds[i], STATUS REMOVE);
		hears(fds[i], "\"ok\":true");
		hears(fds[i], "EPERM");
	}
	ck_assert_uint_eq(atomic_load(&rig.asked), 0);
	more = reader();
	hears(more, "EBUSY");
	hears_the_end(more);
	if (geteuid() == 0) {
		more = peer();
		say_line(more, STATUS);
		hears(more, "\"ok\":true");
		close(more);
	}
	shutdown(fds[0], SHUT_WR);
	hears_the_end(fds[0]);
	more = reader();
	say_line(more, STATUS);
	hears(more, "\"ok\":true");
	close(more);
	end();
}
END_TEST

/* Has the other end been closed, whatever is there to be read? */
static bool has_ended(int fd)
{
	struct pollfd p = { fd, 0, 0 };

	return poll(&p, 1, 0) == 1 && p.revents & POLLHUP;
}

/* Silence, half a request, and an answer that is not taken have an end. */
START_TEST(time_has_a_limit)
{
	int silent, slow, deaf;
	char *many;
	unsigned n = 0;

	begin();
	silent = peer();
	pass_ms(0);			/* it is known by now */
	pass_ms(CTL_IDLE_MS - 2000);
	ck_assert(!readable(silent, 0));
	pass_ms(2001);
	hears_the_end(silent);

	slow = peer();
	say_line(slow, STATUS "{\"v\"");
	hears(slow, "\"ok\":true");
	pass_ms(0);
	pass_ms(CTL_REQUEST_MS - 2000);
	ck_assert(!readable(slow, 0));
	say_line(slow, ":");		/* does not begin anew */
	pass_ms(2001);
	hears_the_end(slow);

	/* Does not read, until nothing more is taken. */
	deaf = peer();
	many = malloc(CTL_REQUEST_MAX);
	for (size_t at = 0; at + strlen(STATUS) <= CTL_REQUEST_MAX; at += strlen(STATUS), n++)
		memcpy(many + at, STATUS, strlen(STATUS));
	while (send(deaf, many, n * strlen(STATUS), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	free(many);
	/* How far it is, only its end tells. */
	for (unsigned i = 0; i < 1000 && !has_ended(deaf); i++)
		pass_ms(CTL_REQUEST_MS + 1);
	ck_assert(has_ended(deaf));
	close(deaf);
	end();
}
END_TEST

/* A job is answered when it is done; meanwhile others are, and it may take long. */
START_TEST(jobs)
{
	int a, b, gone;

	begin();
	a = peer();
	b = peer();
	gone = peer();
	say_line(a, REMOVE STATUS);
	say_line(gone, REMOVE);
	while (atomic_load(&rig.jobs) < 2)
		;
	close(gone);
	say_line(b, STATUS);
	hears(b, "\"ok\":true");
	pass_ms(0);
	pass_ms(10 * CTL_IDLE_MS);
	hears_the_end(b);
	ck_assert(!readable(a, 0));
	atomic_store(&rig.done, 2);
	hears(a, "\"result\":{}");
	hears(a, "\"groups\"");
	close(a);
	end();
}
END_TEST

/* Who waits for the end is told, and sees the end itself by the end of the process only. */
START_TEST(the_end)
{
	int a, b;

	begin();
	a = peer();
	b = peer();
	say_line(a, "{\"v\":1,\"command\":\"stop\"}\n");
	say_line(b, STATUS);
	hears(b, "\"ok\":true");
	while (atomic_load(&rig.jobs) < 1)
		;
	ck_assert_int_eq(ctl_server_stop(server), 0);
	server = NULL;
	hears(a, "\"ok\":true");
	ck_assert(!readable(a, 0));
	hears_the_end(b);
	close(a);
	ck_assert_int_eq(ctl_server_stop(NULL), 0);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl_server");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 100);
	tcase_add_test(tc, answers_come_in_order);
	tcase_add_loop_test(tc, requests_have_a_size, 0, 2);
	tcase_add_test(tc, connections_have_a_number);
	tcase_add_test(tc, readers_leave_room);
	tcase_add_test(tc, time_has_a_limit);
	tcase_add_test(tc, jobs);
	tcase_add_test(tc, the_end);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
