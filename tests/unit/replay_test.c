/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/replay.c: what is remembered of requests for a process that takes over.
 */
#include <linux/fuse.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <transport/replay.h>
#include <unit/fd_keep_fake.h>

#define CHANNEL 7u
#define OTHER_CHANNEL UINT32_MAX
#define PROCESSES 4

static struct fake_kept processes[PROCESSES];
static struct fake_kept *kept;		/* of the process that runs */
static struct replays *replays;

static void setup(void)
{
	kept = &processes[0];
	fake_kept_init(kept);
	ck_assert_int_eq(replays_new(kept->keep, &replays), 0);
}

static void teardown(void)
{
	replays_thread_end(replays);
	replays_free(replays);
	for (int i = 0; i < PROCESSES; i++) {
		if (processes[i].keep)
			fake_kept_done(&processes[i]);
	}
}

/* The process is killed, and another takes over. @at_work: what it was about, or NULL */
static void restart_in(struct replay *at_work)
{
	fake_kept_killed(kept, kept + 1);
	if (at_work)
		replay_end(at_work);
	kept++;
	replays_thread_end(replays);
	replays_free(replays);
	ck_assert_int_eq(replays_new(kept->keep, &replays), 0);
}

static void restart(void)
{
	restart_in(NULL);
}

static unsigned answers(void)
{
	return fake_kept_count(kept, KEEP_ANSWER);
}

static void effect(uint64_t value)
{
	keep_put(kept->keep, KEEP_CONTAINER, 1, &value, sizeof(value));
}

/* Return: 0: nothing. */
static uint64_t effect_kept(void)
{
	uint64_t value = 0;

	keep_get(kept->keep, KEEP_CONTAINER, 1, &value, sizeof(value));
	return value;
}

static void reply(uint64_t unique, uint32_t word)
{
	struct {
		struct fuse_out_header header;
		uint32_t word;
	} out = { { .len = sizeof(out), .unique = unique }, word };
	struct iovec iov[] = { { &out.header, sizeof(out.header) }, { &out.word, 4 } };

	replay_reply(iov, 2);
}

/* With an effect and an answer. */
static void serve(uint64_t unique, uint32_t word)
{
	struct replay replay;

	ck_assert(!replay_begin(&replay, replays, CHANNEL, unique));
	effect(word);
	reply(unique, word);
	replay_end(&replay);
}

/* Is there that answer? */
static bool is_answered(uint64_t unique, uint32_t word)
{
	struct replay replay;
	const void *bytes;
	bool is;

	is = replay_begin(&replay, replays, CHANNEL, unique | REPLAY_MARK);
	if (is) {
		ck_assert_uint_eq(replay_bytes(&replay, &bytes),
				  sizeof(struct fuse_out_header) + 4);
		ck_assert_int_eq(memcmp((const char *)bytes + sizeof(struct fuse_out_header),
					&word, 4), 0);
	}
	replay_end(&replay);
	return is;
}

START_TEST(nothing_is_kept_of_what_changes_nothing)
{
	struct replay replay;

	ck_assert(!replay_begin(&replay, replays, CHANNEL, 2));
	ck_assert(!replay_is_effect());
	reply(2, 1);
	replay_answer(0, NULL, NULL, 0);
	replay_end(&replay);
	ck_assert_uint_eq(answers(), 0);
}
END_TEST

START_TEST(effect_and_answer_count_at_once)
{
	struct replay replay;

	ck_assert(!replay_begin(&replay, replays, CHANNEL, 2));
	effect(5);
	ck_assert(replay_is_effect());
	ck_assert_uint_eq(effect_kept(), 0);
	reply(2, 5);
	ck_assert_uint_eq(effect_kept(), 5);
	ck_assert_uint_eq(answers(), 1);
	replay_end(&replay);
	restart();
	ck_assert_uint_eq(effect_kept(), 5);
	ck_assert(!is_answered(4, 0));
	ck_assert(is_answered(2, 5));
	/* Given: nobody asks for it any more. */
	ck_assert_uint_eq(answers(), 0);
	ck_assert(!is_answered(2, 5));
}
END_TEST

/* Before the answer there is neither. */
START_TEST(what_was_not_answered_has_no_effect)
{
	struct replay replay;

	replay_begin(&replay, replays, CHANNEL, 2);
	effect(5);
	restart_in(&replay);
	ck_assert_uint_eq(effect_kept(), 0);
	ck_assert(!is_answered(2, 5));
}
END_TEST

START_TEST(channels_have_numbers_of_their_own)
{
	struct replay replay;

	serve(2, 5);
	restart();
	ck_assert(replays_wait(replays, CHANNEL));
	ck_assert(!replays_wait(replays, OTHER_CHANNEL));
	ck_assert(!replay_begin(&replay, replays, OTHER_CHANNEL, 2 | REPLAY_MARK));
	replay_end(&replay);
	ck_assert(is_answered(2, 5));
}
END_TEST

/* @n: pieces, of REPLAY_OUT_MAX bytes each */
static void answer_pieces(unsigned n)
{
	static char bytes[REPLAY_OUTS_MAX][REPLAY_OUT_MAX];
	struct iovec local[REPLAY_OUTS_MAX], remote[REPLAY_OUTS_MAX];
	struct replay replay;

	replay_begin(&replay, replays, CHANNEL, 2);
	effect(1);
	for (unsigned i = 0; i < n; i++) {
		memset(bytes[i], 'a' + (int)i, sizeof(bytes[i]));
		local[i] = (struct iovec){ bytes[i], REPLAY_OUT_MAX - i };
		remote[i] = (struct iovec){ (void *)(uintptr_t)(0x1000 * (i + 1)),
					    REPLAY_OUT_MAX - i };
	}
	replay_answer(-9, local, remote, n);
	replay_end(&replay);
}

START_TEST(pieces_of_memory)
{
	struct iovec local[REPLAY_OUTS_MAX], remote[REPLAY_OUTS_MAX];
	struct {
		struct fuse_out_header header;
		struct fuse_ioctl_out out;
	} got;
	struct replay replay;
	const void *bytes;

	answer_pieces((unsigned)_i);
	restart();
	ck_assert(replay_begin(&replay, replays, CHANNEL, 2 | REPLAY_MARK));
	ck_assert_uint_eq(replay_outs(&replay, local, remote), _i);
	for (int i = 0; i < _i; i++) {
		ck_assert_uint_eq(local[i].iov_len, REPLAY_OUT_MAX - i);
		ck_assert_uint_eq(remote[i].iov_len, REPLAY_OUT_MAX - i);
		ck_assert_uint_eq((uintptr_t)remote[i].iov_base, 0x1000 * (i + 1));
		ck_assert_int_eq(((char *)local[i].iov_base)[0], 'a' + i);
		ck_assert_int_eq(((char *)local[i].iov_base)[REPLAY_OUT_MAX - i - 1], 'a' + i);
	}
	ck_assert_uint_eq(replay_bytes(&replay, &bytes), sizeof(got));
	memcpy(&got, bytes, sizeof(got));
	ck_assert_int_eq(got.out.result, -9);
	ck_assert_uint_eq(got.header.len, sizeof(got));
	replay_end(&replay);
}
END_TEST

START_TEST(a_note_is_no_answer)
{
	char note[8] = "";
	struct replay replay;

	replay_begin(&replay, replays, CHANNEL, 2);
	effect(5);
	ck_assert_uint_eq(replay_noted(note, sizeof(note)), 0);
	replay_note("token", 6);
	restart_in(&replay);
	ck_assert_uint_eq(effect_kept(), 5);
	ck_assert(!replay_begin(&replay, replays, CHANNEL, 2 | REPLAY_MARK));
	ck_assert_uint_eq(replay_noted(note, sizeof(note)), 6);
	ck_assert_str_eq(note, "token");
	/* It is served again, and noted again, and dies again. */
	effect(6);
	replay_note("other", 6);
	ck_assert_uint_eq(answers(), 1);
	restart_in(&replay);
	ck_assert(!replay_begin(&replay, replays, CHANNEL, 2 | REPLAY_MARK));
	ck_assert_uint_eq(replay_noted(note, sizeof(note)), 6);
	ck_assert_str_eq(note, "other");
	effect(7);
	reply(2, 7);
	ck_assert_uint_eq(replay_noted(note, sizeof(note)), 0);
	replay_end(&replay);
	restart();
	ck_assert(is_answered(2, 7));
}
END_TEST

#define TID getpid()

/* A call whose caller is lent out, and that the courier was told of, or not. @at_work: stays open */
static void serve_lent(struct replay *at_work, uint64_t unique, bool has_effect, bool told)
{
	unsigned before = answers();

	replay_begin(at_work, replays, CHANNEL, unique);
	if (has_effect)
		effect(unique);
	ck_assert_uint_eq(replay_number(), unique);
	replay_lend();
	reply(unique, 5);
	ck_assert_uint_eq(answers(), before);
	if (has_effect)
		ck_assert_uint_ne(effect_kept(), unique);
	replay_lent(TID, -7);
	if (told)
		replay_told();
}

/* By a request of its own. Return: its answer; 1: there is none. */
static int32_t ask(uint32_t channel, pid_t tid, uint64_t call)
{
	struct replay replay;
	int32_t result = 1;

	ck_assert(!replay_begin(&replay, replays, channel, 1000));
	ck_assert_int_eq(replay_ask(tid, call, &result), result != 1);
	reply(1000, 5);
	replay_end(&replay);
	return result;
}

START_TEST(who_is_lent_out_is_answered_later)
{
	struct replay replay;

	serve_lent(&replay, 2, true, false);
	ck_assert_uint_eq(effect_kept(), 2);
	restart_in(&replay);
	/* The kernel knows nothing of it, so requests without a mark do not end it. */
	ck_assert(!replays_wait(replays, CHANNEL));
	replays_seen(replays, CHANNEL, 6);
	ck_assert(!is_answered(2, 5));
	/* And the next process dies, too. */
	restart();
	ck_assert_int_eq(ask(CHANNEL + 1, TID, 2), 1);
	ck_assert_int_eq(ask(CHANNEL, TID + 1, 2), 1);
	ck_assert_int_eq(ask(CHANNEL, TID, 4), 1);
	ck_assert_int_eq(ask(CHANNEL, TID, 2), -7);
	/* It was told, by an answer that comes again. */
	ck_assert_int_eq(ask(CHANNEL, TID, 2), 1);
	restart();
	ck_assert_int_eq(ask(CHANNEL, TID, 2), 1);
}
END_TEST

START_TEST(who_asks_as_the_process_dies_asks_again)
{
	struct replay replay;
	int32_t result;

	serve_lent(&replay, 2, true, false);
	restart_in(&replay);
	replay_begin(&replay, replays, CHANNEL, 1000);
	ck_assert(replay_ask(TID, 2, &result));
	restart_in(&replay);
	ck_assert_int_eq(ask(CHANNEL, TID, 2), -7);
	restart();
	ck_assert(is_answered(1000, 5));
}
END_TEST

START_TEST(what_was_told_is_not_asked_for)
{
	struct replay replay;

	serve_lent(&replay, 2, true, true);
	replay_end(&replay);
	ck_assert_uint_eq(answers(), 0);
	restart();
	ck_assert_uint_eq(effect_kept(), 2);
	ck_assert_int_eq(ask(CHANNEL, TID, 2), 1);
}
END_TEST

START_TEST(who_is_lent_out_without_effect_has_no_answer)
{
	struct replay replay;

	serve_lent(&replay, 2, false, false);
	ck_assert_uint_eq(answers(), 0);
	restart_in(&replay);
	ck_assert_int_eq(ask(CHANNEL, TID, 2), 1);
	/* What is told is dropped, not what an effect before has left. */
	serve(4, 5);
	serve_lent(&replay, 6, false, true);
	replay_end(&replay);
	ck_assert_uint_eq(answers(), 1);
}
END_TEST

/* Nobody would ever ask. */
START_TEST(answers_of_threads_that_ended_go)
{
	pid_t child = fork();
	struct replay replay;

	if (child == 0)
		_exit(0);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	replay_begin(&replay, replays, CHANNEL, 2);
	effect(5);
	replay_lend();
	replay_lent(child, 0);
	restart_in(&replay);
	ck_assert_uint_eq(answers(), 0);
	ck_assert_int_eq(ask(CHANNEL, child, 2), 1);
	/* Its number is another's now. */
	serve(4, 5);
	ck_assert_uint_eq(answers(), 1);
}
END_TEST

START_TEST(a_commit_is_no_answer)
{
	struct replay replay;

	replay_begin(&replay, replays, CHANNEL, 2);
	effect(5);
	replay_commit();
	ck_assert(!replay_is_effect());
	ck_assert_uint_eq(effect_kept(), 5);
	reply(2, 5);
	replay_end(&replay);
	ck_assert_uint_eq(answers(), 0);
}
END_TEST

/* The answers that wait are not overwritten by those of the process that took over. */
START_TEST(answers_wait_for_their_requests)
{
	serve(2, 5);
	restart();
	for (uint64_t unique = 100; unique < 120; unique += 2)
		serve(unique, 1);
	ck_assert_uint_eq(answers(), 2);
	restart();
	ck_assert(is_answered(2, 5));
	ck_assert(is_answered(118, 1));
	ck_assert(!is_answered(116, 1));
	ck_assert_uint_eq(answers(), 0);
}
END_TEST

/* A request without a mark tells that no other with one follows. */
START_TEST(answers_that_were_given_go)
{
	serve(2, 5);
	restart();
	serve(4, 6);
	restart();
	ck_assert_uint_eq(answers(), 2);
	ck_assert(replays_seen(replays, CHANNEL, 4 | REPLAY_MARK));
	ck_assert(!replays_seen(replays, CHANNEL + 1, 2));
	ck_assert_uint_eq(answers(), 2);
	ck_assert(!replays_seen(replays, CHANNEL, 6));
	ck_assert_uint_eq(answers(), 1);
	/* The thread that serves it may be slow. */
	ck_assert(is_answered(4, 6));
	ck_assert(!replays_wait(replays, CHANNEL));
}
END_TEST

static void *serve_thread(void *arg)
{
	serve(*(const uint64_t *)arg, 1);
	replays_thread_end(replays);
	return NULL;
}

START_TEST(numbers_of_threads_are_used_again)
{
	for (uint64_t unique = 2; unique < 400; unique += 2) {
		pthread_t thread;

		ck_assert_int_eq(pthread_create(&thread, NULL, serve_thread, &unique), 0);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
	}
	ck_assert_uint_eq(answers(), 1);
}
END_TEST

enum { THREADS = 130 };		/* more than two words of numbers */

static pthread_barrier_t all_served;

static void *serve_and_wait(void *arg)
{
	serve(*(const uint64_t *)arg, 1);
	pthread_barrier_wait(&all_served);
	replays_thread_end(replays);
	return NULL;
}

START_TEST(threads_have_numbers_of_their_own)
{
	pthread_t threads[THREADS];
	uint64_t uniques[THREADS];

	pthread_barrier_init(&all_served, NULL, THREADS);
	for (unsigned i = 0; i < THREADS; i++) {
		uniques[i] = 2 * i + 2;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, serve_and_wait,
						&uniques[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	pthread_barrier_destroy(&all_served);
	ck_assert_uint_eq(answers(), THREADS);
	restart();
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert(is_answered(uniques[i], 1));
}
END_TEST

/* As the file may be somebody else's by mistake. */
START_TEST(records_that_are_none)
{
	static const struct {
		size_t at;
		uint8_t value;
	} changes[] = {
		{ 12, 4 },			/* the kind: a byte each */
		{ 12, 3 },			/* one that has another size */
		{ 14, REPLAY_OUTS_MAX + 1 },	/* how many pieces */
		{ 14, 1 },			/* a piece without bytes: an address less */
		{ 16, 1 },			/* size of the reply */
		{ 20, 1 },			/* sizes of the pieces */
	};
	unsigned char record[256];
	struct replays *none;
	long size;

	serve(2, 5);
	size = keep_get(kept->keep, KEEP_ANSWER, 1, record, sizeof(record));
	ck_assert_int_eq(size, 72 + (long)sizeof(struct fuse_out_header) + 4);
	if (_i < (int)(sizeof(changes) / sizeof(changes[0]))) {
		record[changes[_i].at] = changes[_i].value;
		/* A piece of a byte, that the sum does not have. */
		if (changes[_i].at == 14)
			record[32] = 1;
	} else {
		size = 71;
	}
	keep_put(kept->keep, KEEP_ANSWER, 1, record, (size_t)size);
	fake_kept_killed(kept, kept + 1);
	kept++;
	ck_assert_int_eq(replays_new(kept->keep, &none), -EBADMSG);
}
END_TEST

START_TEST(without_records)
{
	struct replays *none;
	struct replay replay;
	int32_t result;

	ck_assert_int_eq(replays_new(NULL, &none), 0);
	ck_assert_ptr_null(none);
	ck_assert(!replay_begin(&replay, none, CHANNEL, 2 | REPLAY_MARK));
	replay_note("x", 1);
	replay_commit();
	ck_assert_uint_eq(replay_number(), 0);
	replay_lend();
	reply(2, 1);
	replay_lent(TID, 0);
	replay_told();
	ck_assert(!replay_ask(TID, 0, &result));
	ck_assert(!replay_is_effect());
	replay_end(&replay);
	ck_assert(!replays_wait(none, CHANNEL));
	ck_assert(!replays_seen(none, CHANNEL, 2 | REPLAY_MARK));
	replays_thread_end(none);
	replays_free(none);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("replay");
	TCase *tcase = tcase_create("replay");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, nothing_is_kept_of_what_changes_nothing);
	tcase_add_test(tcase, effect_and_answer_count_at_once);
	tcase_add_test(tcase, what_was_not_answered_has_no_effect);
	tcase_add_test(tcase, channels_have_numbers_of_their_own);
	tcase_add_loop_test(tcase, pieces_of_memory, 0, REPLAY_OUTS_MAX + 1);
	tcase_add_test(tcase, a_note_is_no_answer);
	tcase_add_test(tcase, a_commit_is_no_answer);
	tcase_add_test(tcase, who_is_lent_out_is_answered_later);
	tcase_add_test(tcase, who_asks_as_the_process_dies_asks_again);
	tcase_add_test(tcase, what_was_told_is_not_asked_for);
	tcase_add_test(tcase, who_is_lent_out_without_effect_has_no_answer);
	tcase_add_test(tcase, answers_of_threads_that_ended_go);
	tcase_add_test(tcase, answers_wait_for_their_requests);
	tcase_add_test(tcase, answers_that_were_given_go);
	tcase_add_test(tcase, numbers_of_threads_are_used_again);
	tcase_add_test(tcase, threads_have_numbers_of_their_own);
	tcase_add_loop_test(tcase, records_that_are_none, 0, 7);
	tcase_add_test(tcase, without_records);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
