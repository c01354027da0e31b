/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <transport/replay.h>
#include <util/list.h>

enum answer_kind { ANSWER_REPLY = 1, ANSWER_NOTE, ANSWER_LENT };

/* What stands in one of ANSWER_LENT. */
struct lent {
	int32_t tid, result;
};

/* A record of KEEP_ANSWER. The bytes of the pieces follow, then those of the reply or note. */
struct answer {
	uint64_t unique;
	uint32_t channel;
	uint16_t kind;
	uint16_t n_outs;
	uint32_t size;			/* of the reply or note */
	uint32_t outs_size;		/* of all pieces */
	struct {
		uint64_t addr, len;
	} outs[REPLAY_OUTS_MAX];
};

static_assert(sizeof(struct answer) == 72, "layout of a record");

struct old_answer {
	struct list item;		/* replays->old or ->lent */
	uint64_t number;		/* of the record */
	bool matched;			/* its request has come */
	struct answer head;
	unsigned char bytes[];
};

struct replays {
	struct keep *keep;
	pthread_mutex_t lock;		/* all below */
	struct list old;
	struct list lent;		/* ANSWER_LENT, for who asks */
	uint64_t *numbers;		/* bits: of records in use */
	size_t n_words;
};

/* A thread's own number, from 1; 0: it has put no record yet. */
static _Thread_local uint64_t own_number;
static _Thread_local struct replay *current;

/* ---- numbers of records ---- */

/* With the lock. Return: 0, -ENOMEM. */
static int numbers_grow(struct replays *replays, size_t n_words)
{
	uint64_t *numbers;

	if (n_words <= replays->n_words)
		return 0;
	numbers = reallocarray(replays->numbers, n_words, sizeof(*numbers));
	if (!numbers)
		return -ENOMEM;
	memset(numbers + replays->n_words, 0, (n_words - replays->n_words) * sizeof(*numbers));
	replays->numbers = numbers;
	replays->n_words = n_words;
	return 0;
}

/* With the lock. Return: the lowest that is free; 0: no memory. */
static uint64_t number_take(struct replays *replays)
{
	size_t i = 0;
	unsigned bit;

	while (i < replays->n_words && replays->numbers[i] == UINT64_MAX)
		i++;
	if (numbers_grow(replays, i + 1))
		return 0;
	bit = (unsigned)__builtin_ctzll(~replays->numbers[i]);
	replays->numbers[i] |= 1ull << bit;
	return i * 64 + bit + 1;
}

/* With the lock. */
static void number_give(struct replays *replays, uint64_t number)
{
	replays->numbers[(number - 1) / 64] &= ~(1ull << (number - 1) % 64);
}

void replays_thread_end(struct replays *replays)
{
	if (!replays || !own_number)
		return;
	pthread_mutex_lock(&replays->lock);
	number_give(replays, own_number);
	pthread_mutex_unlock(&replays->lock);
	own_number = 0;
}

/* ---- of the process before ---- */

/* With the lock, or alone. The record goes with the batch that is open, if one is. */
static void old_drop(struct replays *replays, struct old_answer *old)
{
	keep_drop(replays->keep, KEEP_ANSWER, old->number);
	list_remove(&old->item);
	number_give(replays, old->number);
	free(old);
}

/* Are sizes and pieces those of the bytes behind? */
static bool is_answer(const struct answer *head, size_t size)
{
	uint64_t outs = 0;

	if (head->n_outs > REPLAY_OUTS_MAX || size != (uint64_t)head->size + head->outs_size)
		return false;
	for (unsigned i = 0; i < head->n_outs; i++) {
		if (head->outs[i].len > REPLAY_OUT_MAX)
			return false;
		outs += head->outs[i].len;
	}
	if (outs != head->outs_size)
		return false;
	switch (head->kind) {
	case ANSWER_REPLY:
		return head->size >= sizeof(struct fuse_out_header);
	case ANSWER_LENT:
		return head->size == sizeof(struct lent) && head->n_outs == 0;
	default:
		return head->kind == ANSWER_NOTE;
	}
}

static struct lent lent_of(const struct old_answer *old)
{
	struct lent lent;

	memcpy(&lent, old->bytes, sizeof(lent));
	return lent;
}

/* A thread that has ended does not ask. */
static bool is_asked_for(const struct old_answer *old)
{
	struct lent lent = lent_of(old);

	return lent.tid > 0 && (kill(lent.tid, 0) == 0 || errno != ESRCH);
}

static int load(void *arg, uint64_t number, const void *data, size_t size)
{
	struct replays *replays = arg;
	struct old_answer *old;

	if (size < sizeof(old->head) || number == 0 || number > UINT32_MAX)
		return -EBADMSG;
	if (numbers_grow(replays, (size_t)((number - 1) / 64 + 1)))
		return -ENOMEM;
	old = calloc(1, sizeof(*old) + size - sizeof(old->head));
	if (!old)
		return -ENOMEM;
	memcpy(&old->head, data, sizeof(old->head));
	memcpy(old->bytes, (const unsigned char *)data + sizeof(old->head),
	       size - sizeof(old->head));
	if (!is_answer(&old->head, size - sizeof(old->head))) {
		free(old);
		return -EBADMSG;
	}
	old->number = number;
	replays->numbers[(number - 1) / 64] |= 1ull << (number - 1) % 64;
	if (old->head.kind != ANSWER_LENT) {
		list_push_back(&replays->old, &old->item);
		return 0;
	}
	list_push_back(&replays->lent, &old->item);
	if (!is_asked_for(old))
		old_drop(replays, old);
	return 0;
}

int replays_new(struct keep *keep, struct replays **ret)
{
	struct replays *replays;
	int r;

	*ret = NULL;
	if (!keep)
		return 0;
	replays = calloc(1, sizeof(*replays));
	if (!replays)
		return -ENOMEM;
	replays->keep = keep;
	list_init(&replays->old);
	list_init(&replays->lent);
	pthread_mutex_init(&replays->lock, NULL);
	r = keep_each(keep, KEEP_ANSWER, load, replays);
	if (r) {
		replays_free(replays);
		return r;
	}
	*ret = replays;
	return 0;
}

void replays_free(struct replays *replays)
{
	if (!replays)
		return;
	list_for_each_safe(it, tmp, &replays->old)
		free(container_of(it, struct old_answer, item));
	list_for_each_safe(it, tmp, &replays->lent)
		free(container_of(it, struct old_answer, item));
	pthread_mutex_destroy(&replays->lock);
	free(replays->numbers);
	free(replays);
}

/* With the lock. */
static struct old_answer *old_find(struct replays *replays, uint32_t channel, uint64_t unique)
{
	struct old_answer *old, *found = NULL;

	list_for_each(it, &replays->old) {
		old = container_of(it, struct old_answer, item);
		if (old->head.channel == channel && old->head.unique == unique)
			found = old;
	}
	return found;
}

bool replays_wait(struct replays *replays, uint32_t channel)
{
	bool some = false;

	if (!replays)
		return false;
	pthread_mutex_lock(&replays->lock);
	list_for_each(it, &replays->old)
		some |= container_of(it, struct old_answer, item)->head.channel == channel;
	pthread_mutex_unlock(&replays->lock);
	return some;
}

bool replays_seen(struct replays *replays, uint32_t channel, uint64_t unique)
{
	struct old_answer *old;

	if (!replays)
		return false;
	pthread_mutex_lock(&replays->lock);
	if (unique & REPLAY_MARK) {
		old = old_find(replays, channel, unique & ~REPLAY_MARK);
		if (old)
			old->matched = true;
	} else {
		/* Those were given, as requests without an answer have come. */
		list_for_each_safe(it, tmp, &replays->old) {
			old = container_of(it, struct old_answer, item);
			if (old->head.channel == channel && !old->matched)
				old_drop(replays, old);
		}
	}
	pthread_mutex_unlock(&replays->lock);
	return unique & REPLAY_MARK;
}

/* ---- a request at work ---- */

bool replay_begin(struct replay *replay, struct replays *replays, uint32_t channel,
		  uint64_t unique)
{
	replay->replays = replays;
	replay->lends = false;
	replay->old = NULL;
	if (!replays)
		return false;
	replay->channel = channel;
	replay->unique = unique & ~REPLAY_MARK;
	replay->again = unique & REPLAY_MARK;
	if (replay->again) {
		pthread_mutex_lock(&replays->lock);
		replay->old = old_find(replays, channel, replay->unique);
		pthread_mutex_unlock(&replays->lock);
	}
	keep_begin(replays->keep, &replay->batch);
	current = replay;
	return replay->old && replay->old->head.kind == ANSWER_REPLY;
}

/* What the process before has said, was said again or is over. */
static void old_end(struct replay *replay)
{
	if (!replay->old)
		return;
	pthread_mutex_lock(&replay->replays->lock);
	old_drop(replay->replays, replay->old);
	pthread_mutex_unlock(&replay->replays->lock);
	replay->old = NULL;
}

void replay_end(struct replay *replay)
{
	if (!replay->replays)
		return;
	old_end(replay);
	keep_end(&replay->batch);
	current = NULL;
}

size_t replay_outs(const struct replay *replay, struct iovec ret_local[REPLAY_OUTS_MAX],
		   struct iovec ret_remote[REPLAY_OUTS_MAX])
{
	struct old_answer *old = replay->old;
	size_t at = 0;

	for (unsigned i = 0; i < old->head.n_outs; i++) {
		size_t len = (size_t)old->head.outs[i].len;

		ret_local[i] = (struct iovec){ old->bytes + at, len };
		ret_remote[i] = (struct iovec){ (void *)(uintptr_t)old->head.outs[i].addr, len };
		at += len;
	}
	return old->head.n_outs;
}

size_t replay_bytes(const struct replay *replay, const void **ret)
{
	*ret = replay->old->bytes + replay->old->head.outs_size;
	return replay->old->head.size;
}

static void commit(struct replay *replay)
{
	keep_end(&replay->batch);
	keep_begin(replay->replays->keep, &replay->batch);
}

/* @pieces: @n of them, @head->outs_size and @head->size bytes in all */
static void put(struct replay *replay, struct answer *head, const struct iovec *pieces, size_t n)
{
	struct replays *replays = replay->replays;
	unsigned char some[1024], *record = some;
	size_t size = sizeof(*head), at = sizeof(*head);

	for (size_t i = 0; i < n; i++)
		size += pieces[i].iov_len;
	if (size > sizeof(some))
		record = malloc(size);
	pthread_mutex_lock(&replays->lock);
	if (!own_number)
		own_number = number_take(replays);
	pthread_mutex_unlock(&replays->lock);
	if (!record || !own_number) {
		keep_break(replays->keep);	/* an effect without its answer */
	} else {
		head->unique = replay->unique;
		head->channel = replay->channel;
		memcpy(record, head, sizeof(*head));
		for (size_t i = 0; i < n; i++) {
			memcpy(record + at, pieces[i].iov_base, pieces[i].iov_len);
			at += pieces[i].iov_len;
		}
		keep_put(replays->keep, KEEP_ANSWER, own_number, record, size);
	}
	old_end(replay);
	commit(replay);
	if (record != some)
		free(record);
}

bool replay_is_effect(void)
{
	return current && keep_is_changed(&current->batch);
}

void replay_reply(const struct iovec *iov, int count)
{
	struct replay *replay = current;
	struct answer head;

	if (!replay_is_effect() || replay->lends)
		return;
	head = (struct answer){ .kind = ANSWER_REPLY };
	for (int i = 0; i < count; i++)
		head.size += (uint32_t)iov[i].iov_len;
	put(replay, &head, iov, (size_t)count);
}

/* ---- by handlers ---- */

void replay_commit(void)
{
	if (current)
		commit(current);
}

void replay_answer(int32_t result, const struct iovec *local, const struct iovec *remote,
		   size_t n)
{
	struct answer head = { .kind = ANSWER_REPLY, .n_outs = (uint16_t)n };
	struct replay *replay = current;
	struct iovec pieces[REPLAY_OUTS_MAX + 1];
	struct {
		struct fuse_out_header header;
		struct fuse_ioctl_out out;
	} reply = { .header = { .len = sizeof(reply) }, .out = { .result = result } };

	if (!replay_is_effect() || replay->lends)
		return;
	for (size_t i = 0; i < n; i++) {
		head.outs[i].addr = (uintptr_t)remote[i].iov_base;
		head.outs[i].len = local[i].iov_len;
		head.outs_size += (uint32_t)local[i].iov_len;
		pieces[i] = local[i];
	}
	reply.header.unique = replay->unique;
	head.size = sizeof(reply);
	pieces[n] = (struct iovec){ &reply, sizeof(reply) };
	put(replay, &head, pieces, n + 1);
}

void replay_note(const void *note, size_t size)
{
	struct answer head = { .kind = ANSWER_NOTE, .size = (uint32_t)size };
	struct iovec piece = { (void *)(uintptr_t)note, size };

	if (current)
		put(current, &head, &piece, 1);
}

size_t replay_noted(void *ret, size_t size)
{
	const struct old_answer *old = current ? current->old : NULL;

	if (!old || old->head.kind != ANSWER_NOTE)
		return 0;
	memcpy(ret, old->bytes, size < old->head.size ? size : old->head.size);
	return old->head.size;
}

/* ---- callers that are lent out ---- */

uint64_t replay_number(void)
{
	return current ? current->unique : 0;
}

void replay_lend(void)
{
	if (current)
		current->lends = true;
}

void replay_lent(pid_t tid, int32_t result)
{
	const struct lent lent = { tid, result };
	struct answer head = { .kind = ANSWER_LENT, .size = sizeof(lent) };
	struct iovec piece = { (void *)(uintptr_t)&lent, sizeof(lent) };

	if (replay_is_effect())
		put(current, &head, &piece, 1);
	else if (current)
		current->lends = false;
}

void replay_told(void)
{
	if (current && current->lends)
		keep_drop(current->replays->keep, KEEP_ANSWER, own_number);
}

bool replay_ask(pid_t tid, uint64_t call, int32_t *ret_result)
{
	struct replay *replay = current;
	struct old_answer *old = NULL;

	if (!replay)
		return false;
	pthread_mutex_lock(&replay->replays->lock);
	list_for_each(it, &replay->replays->lent) {
		struct old_answer *one = container_of(it, struct old_answer, item);

		if (one->head.channel == replay->channel && one->head.unique == call &&
		    lent_of(one).tid == tid)
			old = one;
	}
	if (old) {
		*ret_result = lent_of(old).result;
		old_drop(replay->replays, old);
	}
	pthread_mutex_unlock(&replay->replays->lock);
	return old;
}
