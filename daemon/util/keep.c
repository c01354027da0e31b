/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <util/keep.h>

#define MAGIC 0x7065656b64657375ull	/* in the file: "usedkeep" */
#define FIRST 4096u			/* of records */
#define PAGE 4096u
#define SLACK (256u * 1024)		/* a log that is not longer is not written anew */
#define ALIGN(n) (((n) + 7) & ~7ull)

/* The first page of the file. */
struct header {
	uint64_t magic;
	uint32_t version;
	atomic_uint broken;
	atomic_uint current;		/* which of the two is the log */
	uint32_t pad;
	struct {
		uint64_t first;
		_Atomic uint64_t end;
	} logs[2];
};

/* In the log; data follow, to a multiple of 8. */
struct record {
	uint32_t size;			/* of the data */
	uint16_t kind;
	uint16_t dropped;
	uint64_t id;
};

/* In a batch, before a record. */
struct said {
	uint64_t when;
	struct record record;
};

struct entry {
	uint64_t id;
	uint64_t when;
	uint64_t at;			/* in the file; 0: dropped */
	uint16_t kind;			/* 0: nothing here */
};

struct keep {
	int fd;
	unsigned char *file;
	struct header *header;
	pthread_mutex_t lock;		/* all below, and changes of the file */
	struct entry *table;
	size_t used, room;		/* room: a power of 2 */
	uint64_t live;			/* bytes of records that count */
	struct list open;		/* struct keep_batch: something was said in them */
	uint64_t clock;
};

static _Thread_local struct keep_batch *innermost;

/* ---- the index ---- */

static size_t hash(uint16_t kind, uint64_t id)
{
	uint64_t h = (id + 1) * 0x9e3779b97f4a7c15ull ^ kind * 0xc2b2ae3d27d4eb4full;

	return (size_t)(h ^ h >> 29);
}

static struct entry *slot(struct entry *table, size_t room, uint16_t kind, uint64_t id)
{
	size_t i = hash(kind, id) & (room - 1);

	while (table[i].kind && (table[i].kind != kind || table[i].id != id))
		i = (i + 1) & (room - 1);
	return &table[i];
}

/* Entries of what was dropped matter as long as a batch is open that may have an older word on
 * it. The oldest is the first of them. */
static bool is_of_interest(const struct keep *keep, const struct entry *e)
{
	if (!e->kind || e->at)
		return e->kind;
	return !list_empty(&keep->open) &&
	       container_of(keep->open.next, struct keep_batch, item)->first < e->when;
}

/* Move what is of interest to a table for that and as much again. */
static int table_renew(struct keep *keep)
{
	size_t n = 0, room = 64;
	struct entry *table;

	for (size_t i = 0; i < keep->room; i++)
		n += is_of_interest(keep, &keep->table[i]);
	while (room < 4 * n)
		room *= 2;
	table = calloc(room, sizeof(*table));
	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < keep->room; i++) {
		const struct entry *e = &keep->table[i];

		if (is_of_interest(keep, e))
			*slot(table, room, e->kind, e->id) = *e;
	}
	free(keep->table);
	keep->table = table;
	keep->room = room;
	keep->used = n;
	return 0;
}

/* Return: NULL: no memory. */
static struct entry *entry_make(struct keep *keep, uint16_t kind, uint64_t id)
{
	struct entry *e;

	if (2 * (keep->used + 1) > keep->room && table_renew(keep))
		return NULL;
	e = slot(keep->table, keep->room, kind, id);
	if (!e->kind) {
		*e = (struct entry){ .kind = kind, .id = id };
		keep->used++;
	}
	return e;
}

static uint64_t record_bytes(const struct record *record)
{
	return sizeof(*record) + ALIGN(record->size);
}

static const struct record *record_at(const struct keep *keep, uint64_t at)
{
	return (const void *)(keep->file + at);
}

/* The record at @at is the last word. */
static int entry_set(struct keep *keep, uint64_t at, uint64_t when)
{
	const struct record *record = record_at(keep, at);
	struct entry *e = entry_make(keep, record->kind, record->id);

	if (!e)
		return -ENOMEM;
	if (e->at)
		keep->live -= record_bytes(record_at(keep, e->at));
	e->when = when;
	e->at = record->dropped ? 0 : at;
	if (e->at)
		keep->live += record_bytes(record);
	return 0;
}

/* ---- the log ---- */

void keep_break(struct keep *keep)
{
	if (keep)
		atomic_store(&keep->header->broken, 1);
}

bool keep_is_broken(const struct keep *keep)
{
	return keep && atomic_load(&keep->header->broken);
}

/* Write what counts anew. With the lock. */
static int compact(struct keep *keep)
{
	struct header *header = keep->header;
	unsigned now = atomic_load(&header->current), next = !now;
	uint64_t old_first = header->logs[now].first;
	uint64_t old_end = atomic_load(&header->logs[now].end);
	uint64_t first = FIRST, at;

	if (FIRST + keep->live > old_first)
		first = (old_end + PAGE - 1) / PAGE * PAGE;
	if (first + keep->live > KEEP_SIZE_MAX)
		return -ENOSPC;
	at = first;
	for (size_t i = 0; i < keep->room; i++) {
		struct entry *e = &keep->table[i];
		uint64_t bytes;

		if (!e->kind || !e->at)
			continue;
		bytes = record_bytes(record_at(keep, e->at));
		memcpy(keep->file + at, record_at(keep, e->at), bytes);
		e->at = at;
		at += bytes;
	}
	header->logs[next].first = first;
	atomic_store(&header->logs[next].end, at);
	atomic_store(&header->current, next);
	/* Whole pages that nobody needs any more. */
	old_first = (old_first + PAGE - 1) / PAGE * PAGE;
	old_end = (old_end + PAGE - 1) / PAGE * PAGE;
	if (first < old_first && at > old_first)
		old_first = (at + PAGE - 1) / PAGE * PAGE;
	if (old_end > old_first)
		fallocate(keep->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)old_first,
			  (off_t)(old_end - old_first));
	table_renew(keep);		/* without memory, the old one is as good */
	return 0;
}

/* Append a batch, which is still among the open ones. With the lock. */
static int append(struct keep *keep, const unsigned char *bytes, size_t size)
{
	bool is_only = keep->open.next == keep->open.prev;
	struct header *header = keep->header;
	unsigned now = atomic_load(&header->current);
	uint64_t end = atomic_load(&header->logs[now].end), at;

	/* Where there is no room for that, there may still be some for the batch. */
	if ((end + size - header->logs[now].first > 2 * keep->live + SLACK ||
	     end + size > KEEP_SIZE_MAX) && compact(keep) == 0) {
		now = atomic_load(&header->current);
		end = atomic_load(&header->logs[now].end);
	}
	if (end + size > KEEP_SIZE_MAX)
		return -ENOSPC;
	at = end;
	for (size_t i = 0; i < size;) {
		const struct said *said = (const void *)(bytes + i);
		const struct entry *e = slot(keep->table, keep->room, said->record.kind,
					     said->record.id);
		uint64_t n = record_bytes(&said->record);

		i += offsetof(struct said, record) + n;
		if (e->kind && e->when > said->when)
			continue;		/* somebody else has said more */
		if (said->record.dropped && !(e->kind && e->at) && is_only)
			continue;		/* nobody knows of it */
		memcpy(keep->file + at, &said->record, n);
		if (entry_set(keep, at, said->when))
			return -ENOMEM;
		at += n;
	}
	atomic_store(&header->logs[now].end, at);
	return 0;
}

/* ---- batches ---- */

/* The outermost batch of this thread. NULL: there is none. */
static struct keep_batch *outermost(const struct keep *keep)
{
	struct keep_batch *batch = innermost;

	while (batch && batch->keep != keep)
		batch = batch->before;
	return batch;
}

void keep_begin(struct keep *keep, struct keep_batch *ret)
{
	ret->keep = keep;
	if (!keep)
		return;
	ret->outer = outermost(keep);
	if (ret->outer)
		return;
	ret->before = innermost;
	ret->bytes = ret->some;
	ret->size = 0;
	ret->flushed = false;
	ret->room = sizeof(ret->some);
	innermost = ret;
}

bool keep_is_changed(const struct keep_batch *batch)
{
	if (!batch->keep)
		return false;
	if (batch->outer)
		batch = batch->outer;
	return batch->flushed || batch->size > 0;
}

/* What a batch has becomes part of the log. */
static void commit(struct keep_batch *batch)
{
	struct keep *keep = batch->keep;

	if (!batch->size)
		return;
	pthread_mutex_lock(&keep->lock);
	if (!keep_is_broken(keep) && append(keep, batch->bytes, batch->size))
		keep_break(keep);
	list_remove(&batch->item);
	pthread_mutex_unlock(&keep->lock);
	batch->size = 0;
}

void keep_flush(struct keep *keep)
{
	struct keep_batch *batch = keep ? outermost(keep) : NULL;

	if (!batch || !batch->size)
		return;
	commit(batch);
	batch->flushed = true;
}

void keep_end(struct keep_batch *batch)
{
	if (!batch->keep || batch->outer)
		return;
	innermost = batch->before;
	commit(batch);
	if (batch->bytes != batch->some)
		free(batch->bytes);
}

static int batch_grow(struct keep_batch *batch, size_t size)
{
	size_t room = batch->room;
	unsigned char *bytes;

	while (room < size)
		room *= 2;
	if (room == batch->room)
		return 0;
	bytes = malloc(room);
	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, batch->bytes, batch->size);
	if (batch->bytes != batch->some)
		free(batch->bytes);
	batch->bytes = bytes;
	batch->room = room;
	return 0;
}

static void say(struct keep *keep, enum keep_kind kind, uint64_t id, bool dropped,
		const void *data, size_t size)
{
	struct said said = { .record = { .size = (uint32_t)size, .kind = (uint16_t)kind,
					 .dropped = dropped, .id = id } };
	size_t bytes = sizeof(said) + ALIGN(size);
	struct keep_batch own, *batch;

	if (!keep)
		return;
	keep_begin(keep, &own);
	batch = own.outer ? own.outer : &own;
	if (size > KEEP_RECORD_MAX || batch_grow(batch, batch->size + bytes)) {
		keep_break(keep);
		keep_end(&own);
		return;
	}
	pthread_mutex_lock(&keep->lock);
	said.when = keep->clock++;
	if (batch->size == 0) {
		batch->first = said.when;
		list_push_back(&keep->open, &batch->item);
	}
	pthread_mutex_unlock(&keep->lock);
	memset(batch->bytes + batch->size + bytes - 8, 0, 8);
	memcpy(batch->bytes + batch->size, &said, sizeof(said));
	if (size)
		memcpy(batch->bytes + batch->size + sizeof(said), data, size);
	batch->size += bytes;
	keep_end(&own);
}

void keep_put(struct keep *keep, enum keep_kind kind, uint64_t id, const void *data, size_t size)
{
	say(keep, kind, id, false, data, size);
}

void keep_drop(struct keep *keep, enum keep_kind kind, uint64_t id)
{
	say(keep, kind, id, true, NULL, 0);
}

void keep_put_now(struct keep *keep, enum keep_kind kind, uint64_t id, const void *data,
		  size_t size)
{
	struct keep_batch *outer = innermost;

	innermost = NULL;
	say(keep, kind, id, false, data, size);
	innermost = outer;
}

/* ---- reading ---- */

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int keep_each(struct keep *keep, enum keep_kind kind, keep_fn *fn, void *arg)
{
	size_t n = 0, room = 0;
	uint64_t *ids = NULL;
	void *data = NULL;
	int r = 0;

	if (!keep)
		return 0;
	pthread_mutex_lock(&keep->lock);
	for (size_t i = 0; i < keep->room; i++)
		n += keep->table[i].kind == kind && keep->table[i].at;
	ids = n ? malloc(n * sizeof(*ids)) : NULL;
	if (n && !ids)
		r = -ENOMEM;
	n = 0;
	for (size_t i = 0; ids && i < keep->room; i++) {
		if (keep->table[i].kind == kind && keep->table[i].at)
			ids[n++] = keep->table[i].id;
	}
	pthread_mutex_unlock(&keep->lock);
	if (n)
		qsort(ids, n, sizeof(*ids), compare);
	for (size_t i = 0; i < n && r == 0; i++) {
		long size = keep_get(keep, kind, ids[i], data, room);

		while (size > (long)room) {
			void *more = realloc(data, (size_t)size);

			if (!more) {
				r = -ENOMEM;
				break;
			}
			data = more;
			room = (size_t)size;
			size = keep_get(keep, kind, ids[i], data, room);
		}
		if (r == 0 && size >= 0)
			r = fn(arg, ids[i], data, (size_t)size);
	}
	free(data);
	free(ids);
	return r;
}

long keep_get(struct keep *keep, enum keep_kind kind, uint64_t id, void *buf, size_t size)
{
	const struct record *record;
	const struct entry *e;
	long r = -ENOENT;

	if (!keep)
		return -ENOENT;
	pthread_mutex_lock(&keep->lock);
	e = slot(keep->table, keep->room, (uint16_t)kind, id);
	if (e->kind && e->at) {
		record = record_at(keep, e->at);
		r = (long)record->size;
		if (size && buf)
			memcpy(buf, record + 1, record->size < size ? record->size : size);
	}
	pthread_mutex_unlock(&keep->lock);
	return r;
}

void keep_usage(struct keep *keep, uint64_t *ret_log, uint64_t *ret_live)
{
	unsigned now;

	*ret_log = *ret_live = 0;
	if (!keep)
		return;
	pthread_mutex_lock(&keep->lock);
	now = atomic_load(&keep->header->current);
	*ret_log = atomic_load(&keep->header->logs[now].end) - keep->header->logs[now].first;
	*ret_live = keep->live;
	pthread_mutex_unlock(&keep->lock);
}

/* ---- life ---- */

static int map(int fd, struct keep **ret)
{
	struct keep *keep = calloc(1, sizeof(*keep));
	int r = -ENOMEM;

	if (!keep)
		return -ENOMEM;
	keep->fd = fd;
	keep->room = 64;
	keep->table = calloc(keep->room, sizeof(*keep->table));
	keep->file = mmap(NULL, KEEP_SIZE_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			  fd, 0);
	if (keep->file == MAP_FAILED)
		r = -errno;
	else if (keep->table)
		r = 0;
	if (r) {
		if (keep->file != MAP_FAILED)
			munmap(keep->file, KEEP_SIZE_MAX);
		free(keep->table);
		free(keep);
		return r;
	}
	keep->header = (void *)keep->file;
	pthread_mutex_init(&keep->lock, NULL);
	list_init(&keep->open);
	keep->clock = 1;
	*ret = keep;
	return 0;
}

int keep_new(struct keep **ret)
{
	int fd = memfd_create("vfio-cused-state", MFD_CLOEXEC | MFD_ALLOW_SEALING), r;

	if (fd < 0)
		return -errno;
	r = ftruncate(fd, (off_t)KEEP_SIZE_MAX) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK |
							   F_SEAL_GROW) ? -errno : map(fd, ret);
	if (r) {
		close(fd);
		return r;
	}
	(*ret)->header->magic = MAGIC;
	(*ret)->header->version = KEEP_VERSION;
	(*ret)->header->logs[0].first = FIRST;
	atomic_store(&(*ret)->header->logs[0].end, FIRST);
	return 0;
}

/* Make the index. Return: 0, -EBADMSG, -ENOMEM. */
static int scan(struct keep *keep)
{
	unsigned now = atomic_load(&keep->header->current);
	uint64_t at, end;
	int r = 0;

	if (now > 1)
		return -EBADMSG;
	at = keep->header->logs[now].first;
	end = atomic_load(&keep->header->logs[now].end);
	if (at < FIRST || at % 8 || end > KEEP_SIZE_MAX || end < at)
		return -EBADMSG;
	while (at < end && r == 0) {
		const struct record *record = record_at(keep, at);

		if (end - at < sizeof(*record) || record->size > KEEP_RECORD_MAX ||
		    record_bytes(record) > end - at || record->kind == 0 ||
		    record->kind >= KEEP_KINDS)
			return -EBADMSG;
		r = entry_set(keep, at, keep->clock++);
		at += record_bytes(record);
	}
	return r;
}

int keep_open(int memfd, struct keep **ret)
{
	struct keep *keep;
	struct stat st;
	int r;

	if (fstat(memfd, &st) < 0)
		return -errno;
	/* Whoever has another copy cannot make us fault. */
	if (!S_ISREG(st.st_mode) || st.st_size != (off_t)KEEP_SIZE_MAX ||
	    (fcntl(memfd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW)) !=
		    (F_SEAL_SHRINK | F_SEAL_GROW))
		return -EBADMSG;
	r = map(memfd, &keep);
	if (r)
		return r;
	if (keep->header->magic != MAGIC)
		r = -EBADMSG;
	else if (keep->header->version != KEEP_VERSION || keep_is_broken(keep))
		r = -ESTALE;
	else
		r = scan(keep);
	if (r) {
		keep->fd = -1;
		keep_free(keep);
		return r;
	}
	*ret = keep;
	return 0;
}

void keep_free(struct keep *keep)
{
	if (!keep)
		return;
	munmap(keep->file, KEEP_SIZE_MAX);
	if (keep->fd >= 0)
		close(keep->fd);
	pthread_mutex_destroy(&keep->lock);
	free(keep->table);
	free(keep);
}

int keep_fd(const struct keep *keep)
{
	return keep ? keep->fd : -1;
}
