/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/kept_files.c, with client.c, client_mm.c and client_event.c: what is made of clients'
 * files outlives the process. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <transport/client.h>
#include <transport/client_event.h>
#include <transport/client_mm.h>
#include <transport/kept_files.h>
#include <unit/fd_keep_fake.h>
#include <vfio-cused/iommu.h>

static struct fake_kept kept, next;
static struct clients *clients, *clients_next;
static int word = 1;		/* in the child, 2 */

/* ---- clients ---- */

struct client_process {
	pid_t pid;
	int go;				/* 'x': it runs cat(1); end: it ends */
};

static struct client_process client_start(void)
{
	struct client_process client;
	int go[2], ready[2];
	char byte;

	ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	client.pid = fork();
	if (client.pid == 0) {
		close(go[1]);
		word = 2;
		if (write(ready[1], "r", 1) == 1 && read(go[0], &byte, 1) == 1 &&
		    dup2(go[0], 0) == 0)
			execlp("cat", "cat", NULL);
		_exit(0);
	}
	close(go[0]);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	client.go = go[1];
	return client;
}

static void client_end(struct client_process *client)
{
	close(client->go);
	kill(client->pid, SIGKILL);
	ck_assert_int_eq(waitpid(client->pid, NULL, 0), client->pid);
}

/* A reference to its memory, as a call of its brings it. */
static struct mm *client_calls(struct clients *of, const struct client_process *client)
{
	struct client_thread *thread;
	struct caller caller;
	struct mm *mm;

	ck_assert_int_eq(client_get(of, client->pid, true, &thread), 0);
	ck_assert_int_eq(client_caller(of, thread, &caller), 0);
	mm = mm_ref(caller.mm);
	client_put(thread);
	return mm;
}

static int word_of(struct mm *mm)
{
	int value = 0;
	struct mem mem = { mm, (uintptr_t)&word, sizeof(word) };

	ck_assert_int_eq(mem_read(&mem, 0, &value, sizeof(value)), 0);
	return value;
}

static void setup(void)
{
	fake_kept_init(&kept);
	ck_assert_int_eq(clients_new(&clients), 0);
	ck_assert_int_eq(clients_keep(clients, kept.keep, &kept.fds), 0);
}

/* The process is killed, and the next one begins. */
static void next_process(void)
{
	fake_kept_killed(&kept, &next);
	clients_free(clients);
	clients = NULL;
	ck_assert_int_eq(clients_new(&clients_next), 0);
	ck_assert_int_eq(clients_keep(clients_next, next.keep, &next.fds), 0);
}

static void teardown(void)
{
	clients_free(clients);
	fake_kept_done(&kept);
}

static void next_done(void)
{
	clients_free(clients_next);
	fake_kept_done(&next);
}

START_TEST(only_what_is_asked_for_is_kept)
{
	struct client_process one = client_start(), other = client_start();
	struct mm *a = client_calls(clients, &one), *b = client_calls(clients, &other);
	struct keep_batch batch;
	uint64_t id;

	ck_assert_uint_eq(kept.puts, 0);
	ck_assert_uint_eq(a->keep_id, 0);
	id = mm_keep(a);
	ck_assert_uint_ne(id, 0);
	ck_assert_uint_eq(a->keep_id, id);
	ck_assert_uint_eq(mm_keep(a), id);
	ck_assert_uint_eq(kept.puts, 1);
	ck_assert_uint_eq(fake_kept_count(&kept, KEEP_MM), 1);
	/* Others may refer to it before the batch of who asked ends. */
	keep_begin(kept.keep, &batch);
	ck_assert_uint_gt(mm_keep(b), id);
	ck_assert_uint_eq(fake_kept_count(&kept, KEEP_MM), 2);
	keep_end(&batch);
	ck_assert_uint_eq(mm_keep(client_mm_none()), 0);
	mm_unref(a);
	mm_unref(b);
	clients_free(clients);
	clients = NULL;
	ck_assert_uint_eq(fake_kept_count(&kept, KEEP_MM), 0);
	ck_assert_uint_eq(kept.n, 0);
	client_end(&one);
	client_end(&other);
}
END_TEST

START_TEST(memory_is_the_same_again)
{
	struct client_process one = client_start(), other = client_start();
	struct mm *a = client_calls(clients, &one), *b = client_calls(clients, &other), *again;
	uint64_t id = mm_keep(a), id_b = mm_keep(b);

	word = 1;
	mm_unref(a);
	mm_unref(b);
	next_process();
	ck_assert_ptr_eq(client_mm_restore(clients_next, id + 1000), NULL);
	a = client_mm_restore(clients_next, id);
	ck_assert_ptr_ne(a, NULL);
	ck_assert_int_eq(client_mm_tgid(a), one.pid);
	ck_assert(client_mm_alive(a) && a->ops->alive(a));
	ck_assert_int_eq(word_of(a), 2);
	ck_assert_int_eq(a->ops->check(a, (uintptr_t)&word, 4, CUSED_PROT_WRITE), 0);
	ck_assert_uint_eq(mm_keep(a), id);
	ck_assert_uint_eq(next.puts, 0);
	/* Whose thread comes has the same, with all that is charged to it. */
	again = client_calls(clients_next, &one);
	ck_assert_ptr_eq(again, a);
	mm_unref(again);
	/* A number is no other's. */
	client_end(&one);
	one = client_start();
	again = client_calls(clients_next, &one);
	ck_assert_ptr_ne(again, a);
	ck_assert_uint_gt(mm_keep(again), id_b);
	mm_unref(again);
	mm_unref(a);
	next_done();
	client_end(&one);
	client_end(&other);
}
END_TEST

/* Meanwhile a client can have ended, or have become another program. */
START_TEST(who_has_gone_has_no_memory)
{
	struct client_process one = client_start(), other = client_start(), third = client_start();
	struct mm *a = client_calls(clients, &one), *b = client_calls(clients, &other);
	uint64_t id = mm_keep(a), id_b = mm_keep(b);
	struct pollfd p = { .events = POLLIN };
	char comm[64], path[64];
	int fd;

	mm_unref(a);
	mm_unref(b);
	fake_kept_killed(&kept, &next);
	client_end(&one);
	ck_assert_int_eq(write(other.go, "x\n", 2), 2);
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)other.pid);
	do {
		ck_assert_int_le(poll(&p, 0, 1), 0);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		ck_assert_int_gt(read(fd, comm, sizeof(comm)), 0);
		close(fd);
	} while (strncmp(comm, "cat\n", 4) != 0);
	ck_assert_int_eq(clients_new(&clients_next), 0);
	ck_assert_int_eq(clients_keep(clients_next, next.keep, &next.fds), 0);
	a = client_mm_restore(clients_next, id);
	b = client_mm_restore(clients_next, id_b);
	ck_assert(a && b && !client_mm_alive(a) && !client_mm_alive(b));
	ck_assert(!a->ops->alive(a));
	ck_assert_int_eq(mem_read(&(struct mem){ a, (uintptr_t)&word, 4 }, 0, comm, 4), -EFAULT);
	ck_assert_int_eq(mem_read(&(struct mem){ b, (uintptr_t)&word, 4 }, 0, comm, 4), -EFAULT);
	mm_unref(a);
	mm_unref(b);
	/* The next one to come sweeps who has ended; who is another program has other memory. */
	a = client_calls(clients_next, &third);
	ck_assert_uint_eq(fake_kept_count(&next, KEEP_MM), 1);
	mm_unref(a);
	a = client_calls(clients_next, &other);
	ck_assert(client_mm_alive(a));
	ck_assert_uint_gt(mm_keep(a), id_b);
	ck_assert_uint_eq(fake_kept_count(&next, KEEP_MM), 1);
	ck_assert_uint_eq(next.n, 1);
	mm_unref(a);
	next_done();
	client_end(&other);
	client_end(&third);
}
END_TEST

START_TEST(without_a_file_there_is_no_record)
{
	struct client_process one = client_start();
	struct mm *a = client_calls(clients, &one);
	uint64_t id = mm_keep(a);
	char name[64];

	mm_unref(a);
	fake_kept_killed(&kept, &next);
	snprintf(name, sizeof(name), "mm-%llu", (unsigned long long)id);
	next.fds.drop(&next.fds, name);
	ck_assert_int_eq(clients_new(&clients_next), 0);
	ck_assert_int_eq(clients_keep(clients_next, next.keep, &next.fds), 0);
	ck_assert_ptr_eq(client_mm_restore(clients_next, id), NULL);
	ck_assert_uint_eq(fake_kept_count(&next, KEEP_MM), 0);
	clients_free(clients_next);
	/* One that nobody of ours has written. */
	keep_put(next.keep, KEEP_MM, 7, "short", 5);
	ck_assert_int_eq(clients_new(&clients_next), 0);
	ck_assert_int_eq(clients_keep(clients_next, next.keep, &next.fds), -EBADMSG);
	next_done();
	client_end(&one);
}
END_TEST

/* Two of one client ask at once. */
static void *asks(void *arg)
{
	return (void *)(uintptr_t)mm_keep(arg);
}

START_TEST(who_asks_at_once_gets_one_answer)
{
	struct client_process one = client_start();
	struct mm *a = client_calls(clients, &one);
	pthread_t threads[4];
	void *ids[4];

	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, asks, a), 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], &ids[i]);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_ptr_eq(ids[i], ids[0]);
	ck_assert_uint_eq(kept.puts, 1);
	mm_unref(a);
	client_end(&one);
}
END_TEST

/* ---- events ---- */

static uint64_t counter(int fd)
{
	uint64_t value = 0;

	ck_assert_int_eq(read(fd, &value, sizeof(value)), sizeof(value));
	return value;
}

static void seen(void *arg, uint64_t cookie)
{
	ck_assert_int_eq(write(*(int *)arg, &cookie, sizeof(cookie)), sizeof(cookie));
}

START_TEST(events_are_the_same_again)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), other = eventfd(0, EFD_CLOEXEC), told;
	struct client_events *events, *events_next;
	struct event *a, *b, *c, *unkept;
	uint64_t id, id_b, id_c, one = 1;

	ck_assert_int_eq(client_events_new(&events), 0);
	ck_assert_int_eq(client_events_keep(events, kept.keep, &kept.fds), 0);
	/* The same eventfd twice: two events, of which each can be watched, and one file. */
	ck_assert_int_eq(client_event_new(events, dup(fd), &a), 0);
	ck_assert_int_eq(client_event_new(events, dup(fd), &b), 0);
	ck_assert_int_eq(client_event_new(events, dup(other), &c), 0);
	ck_assert_int_eq(client_event_new(events, dup(other), &unkept), 0);
	id = event_keep(a);
	id_b = event_keep(b);
	ck_assert_uint_ne(id, id_b);
	ck_assert_uint_eq(kept.n, 1);
	/* The first may go: the file stays for the second. */
	event_unref(a);
	ck_assert_uint_eq(kept.n, 1);
	ck_assert_int_eq(client_event_new(events, dup(fd), &a), 0);
	id = event_keep(a);
	id_c = event_keep(c);
	ck_assert_uint_eq(kept.n, 2);
	ck_assert_uint_eq(kept.puts, 2);
	ck_assert_int_eq(write(fd, &one, 8), 8);
	fake_kept_killed(&kept, &next);
	event_unref(a);
	event_unref(b);
	event_unref(c);
	event_unref(unkept);
	client_events_free(events);

	ck_assert_int_eq(client_events_new(&events_next), 0);
	ck_assert_int_eq(client_events_keep(events_next, next.keep, &next.fds), 0);
	a = client_event_restore(events_next, id);
	b = client_event_restore(events_next, id_b);
	ck_assert(a && b && a != b);
	ck_assert_ptr_eq(client_event_restore(events_next, id_c + 1000), NULL);
	/* One that nobody wants any more goes. */
	client_events_restored(events_next);
	ck_assert_ptr_eq(client_event_restore(events_next, id_c), NULL);
	ck_assert_uint_eq(fake_kept_count(&next, KEEP_EVENT), 2);
	ck_assert_uint_eq(next.n, 1);
	/* What the client wrote meanwhile is there for who watches. */
	told = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_eq(a->ops->watch(a, seen, &told, 7), 0);
	ck_assert_uint_eq(counter(told), 7);
	ck_assert_int_eq(b->ops->watch(b, seen, &told, 9), 0);
	b->ops->unwatch(b);
	a->ops->unwatch(a);
	b->ops->signal(b);
	ck_assert_uint_eq(counter(fd), 1);
	ck_assert_uint_eq(event_keep(b), id_b);
	/* A new one of the same eventfd shares the file that was there. */
	ck_assert_int_eq(client_event_new(events_next, dup(fd), &c), 0);
	ck_assert_uint_gt(event_keep(c), id_c);
	ck_assert_uint_eq(next.n, 1);
	event_unref(c);
	event_unref(a);
	ck_assert_uint_eq(next.n, 1);
	event_unref(b);
	ck_assert_uint_eq(next.n, 0);
	ck_assert_uint_eq(fake_kept_count(&next, KEEP_EVENT), 0);
	client_events_free(events_next);
	fake_kept_done(&next);
	close(told);
	close(other);
	close(fd);
}
END_TEST

/* The batch of a call that ends an event may never end; then the next process needs its file. */
START_TEST(an_events_file_waits_for_the_batch)
{
	int fd = eventfd(0, EFD_CLOEXEC), other = eventfd(0, EFD_CLOEXEC);
	struct client_events *events;
	struct keep_batch batch;
	struct event *a, *b;

	ck_assert_int_eq(client_events_new(&events), 0);
	ck_assert_int_eq(client_events_keep(events, kept.keep, &kept.fds), 0);
	ck_assert_int_eq(client_event_new(events, fd, &a), 0);
	ck_assert_int_eq(client_event_new(events, other, &b), 0);
	event_keep(a);
	keep_begin(kept.keep, &batch);
	event_unref(a);
	ck_assert_uint_eq(kept.n, 1);
	ck_assert_uint_eq(fake_kept_count(&kept, KEEP_EVENT), 1);
	keep_end(&batch);
	ck_assert_uint_eq(kept.n, 1);
	event_keep(b);			/* whoever is next looks */
	ck_assert_uint_eq(kept.n, 1);
	ck_assert_uint_eq(kept.puts, 2);
	event_unref(b);
	ck_assert_uint_eq(kept.n, 0);
	client_events_free(events);
}
END_TEST

/* A device that is closed may let go of all its vectors' events in one batch. */
START_TEST(many_go_in_one_batch)
{
	enum { EVENTS = 800 };	/* each is a file */
	int fd = eventfd(0, EFD_CLOEXEC), other = eventfd(0, EFD_CLOEXEC);
	struct event **all = calloc(EVENTS, sizeof(struct event *)), *last;
	struct client_events *events;
	struct keep_batch batch;

	ck_assert_ptr_ne(all, NULL);
	ck_assert_int_eq(client_events_new(&events), 0);
	ck_assert_int_eq(client_events_keep(events, kept.keep, &kept.fds), 0);
	for (unsigned i = 0; i < EVENTS; i++) {
		ck_assert_int_eq(client_event_new(events, dup(fd), &all[i]), 0);
		ck_assert_uint_ne(event_keep(all[i]), 0);
	}
	keep_begin(kept.keep, &batch);
	for (unsigned i = 0; i < EVENTS; i++)
		event_unref(all[i]);
	ck_assert_uint_eq(fake_kept_count(&kept, KEEP_EVENT), EVENTS);
	keep_end(&batch);
	ck_assert_uint_eq(kept.n, 1);
	ck_assert_int_eq(client_event_new(events, other, &last), 0);
	event_keep(last);
	ck_assert_uint_eq(kept.n, 1);
	ck_assert_uint_eq(kept.puts, 2);
	event_unref(last);
	client_events_free(events);
	close(fd);
	free(all);
}
END_TEST

START_TEST(without_records_nothing_is_kept)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct client_events *events;
	struct event *a;

	ck_assert_int_eq(client_events_new(&events), 0);
	ck_assert_int_eq(client_events_keep(events, NULL, NULL), 0);
	ck_assert_int_eq(client_event_new(events, fd, &a), 0);
	ck_assert_uint_eq(event_keep(a), 0);
	event_unref(a);
	client_events_free(events);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client_keep");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, only_what_is_asked_for_is_kept);
	tcase_add_test(tc, memory_is_the_same_again);
	tcase_add_test(tc, who_has_gone_has_no_memory);
	tcase_add_test(tc, without_a_file_there_is_no_record);
	tcase_add_test(tc, who_asks_at_once_gets_one_answer);
	tcase_add_test(tc, events_are_the_same_again);
	tcase_add_test(tc, an_events_file_waits_for_the_batch);
	tcase_add_test(tc, many_go_in_one_batch);
	tcase_add_test(tc, without_records_nothing_is_kept);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
