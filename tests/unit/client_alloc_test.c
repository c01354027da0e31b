/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/client_alloc_test.c - each allocation in looking up a client, in taking an eventfd of its,
 * and in having them again in another process, fails once. */
#include <check.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "unit/alloc_fail.h"
#include <transport/client.h>
#include <transport/client_event.h>
#include <unit/fd_keep_fake.h>

static int use_clients(void)
{
	struct clients *clients = NULL;
	struct client_thread *thread;
	struct caller caller;
	int r = clients_new(&clients);

	if (r)
		return r;
	r = client_get(clients, getpid(), true, &thread);
	if (r == 0) {
		r = client_caller(clients, thread, &caller);
		client_put(thread);
	}
	clients_free(clients);
	return r;
}

static int use_events(void)
{
	struct client_events *events = NULL;
	struct event *event;
	int r = client_events_new(&events);

	if (r)
		return r;
	r = client_event_new(events, eventfd(0, EFD_CLOEXEC), &event);
	if (r == 0)
		event_unref(event);
	client_events_free(events);
	return r;
}

START_TEST(clients_and_eventfds)
{
	SWEEP_FILES(use_clients(), 3);
	SWEEP_FILES(use_events(), 2);
}
END_TEST

/* What another process has left: one of each. It is dead, so what is dropped stays. */
static struct fake_kept left;

static int restore_all(void)
{
	int r, fd = fake_kept_copy(left.keep);
	struct client_events *events = NULL;
	struct clients *clients = NULL;
	struct keep *keep;

	r = keep_open(fd, &keep);
	if (r) {
		close(fd);
		return r;
	}
	r = clients_new(&clients);
	if (r == 0)
		r = clients_keep(clients, keep, &left.fds);
	if (r == 0)
		r = client_events_new(&events);
	if (r == 0)
		r = client_events_keep(events, keep, &left.fds);
	alloc_fail_pause();
	client_events_free(events);
	clients_free(clients);
	keep_free(keep);
	return r;
}

START_TEST(clients_and_eventfds_of_a_process_before)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct client_events *events;
	struct client_thread *thread;
	struct clients *clients;
	struct event *a, *b;
	struct caller caller;

	fake_kept_init(&left);
	ck_assert_int_eq(clients_new(&clients), 0);
	ck_assert_int_eq(clients_keep(clients, left.keep, &left.fds), 0);
	ck_assert_int_eq(client_get(clients, getpid(), true, &thread), 0);
	ck_assert_int_eq(client_caller(clients, thread, &caller), 0);
	ck_assert_uint_ne(mm_keep(caller.mm), 0);
	ck_assert_int_eq(client_events_new(&events), 0);
	ck_assert_int_eq(client_events_keep(events, left.keep, &left.fds), 0);
	ck_assert_int_eq(client_event_new(events, dup(fd), &a), 0);
	ck_assert_int_eq(client_event_new(events, fd, &b), 0);
	ck_assert_uint_ne(event_keep(a), event_keep(b));
	left.dead = true;
	SWEEP_FILES(restore_all(), 18);
	left.dead = false;
	client_put(thread);
	event_unref(a);
	event_unref(b);
	client_events_free(events);
	clients_free(clients);
	ck_assert_uint_eq(left.n, 0);
	fake_kept_done(&left);
}
END_TEST

/* Without memory for it, nobody relies on the records any more. */
START_TEST(what_cannot_be_kept_breaks_the_records)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct client_events *events;
	struct event *event;
	bool failed;

	for (unsigned n = 1;; n++) {
		fake_kept_init(&left);
		ck_assert_int_eq(client_events_new(&events), 0);
		ck_assert_int_eq(client_events_keep(events, left.keep, &left.fds), 0);
		ck_assert_int_eq(client_event_new(events, dup(fd), &event), 0);
		alloc_fail_arm(n);
		event_keep(event);
		failed = alloc_fail_disarm();
		ck_assert(keep_is_broken(left.keep) == failed);
		ck_assert((event->keep_id == 0) == failed);
		event_unref(event);
		client_events_free(events);
		ck_assert_uint_eq(left.n, 0);
		left.dead = true;
		fake_kept_done(&left);
		if (!failed)
			break;
	}
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client_alloc");
	TCase *tc = tcase_create("client_alloc");
	SRunner *runner;
	int n;

	tcase_add_test(tc, clients_and_eventfds);
	tcase_add_test(tc, clients_and_eventfds_of_a_process_before);
	tcase_add_test(tc, what_cannot_be_kept_breaks_the_records);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	n = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n ? EXIT_FAILURE : EXIT_SUCCESS;
}
