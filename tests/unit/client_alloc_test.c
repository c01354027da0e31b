/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/client_alloc_test.c - each allocation in looking up a client, and in taking an
 * eventfd of its, fails once. */
#include <check.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "unit/alloc_fail.h"
#include <transport/client.h>
#include <transport/client_event.h>

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

int main(void)
{
	Suite *suite = suite_create("client_alloc");
	TCase *tc = tcase_create("client_alloc");
	SRunner *runner;
	int n;

	tcase_add_test(tc, clients_and_eventfds);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	n = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n ? EXIT_FAILURE : EXIT_SUCCESS;
}
