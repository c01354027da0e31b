/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tests/device/fake_pieces.h - what a model has saved: pieces by id, and those that do not
 * count yet.
 */
#ifndef TESTS_DEVICE_FAKE_PIECES_H
#define TESTS_DEVICE_FAKE_PIECES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct fake_piece {
	unsigned id;
	void *data;			/* what counts; NULL: there is none */
	size_t size;
	bool changed;			/* to what follows, not counting yet */
	void *next;
	size_t next_size;
};

struct fake_pieces {
	struct fake_piece *v;		/* lowest id first */
	unsigned n, room;
	uint64_t saved, bytes;		/* calls and bytes, ever */
};

static inline struct fake_piece *fake_pieces_at(struct fake_pieces *f, unsigned id)
{
	unsigned i = f->n;

	while (i && f->v[i - 1].id >= id)
		i--;
	if (i < f->n && f->v[i].id == id)
		return &f->v[i];
	if (f->n == f->room) {
		f->room = f->room ? 2 * f->room : 16;
		f->v = realloc(f->v, f->room * sizeof(*f->v));
		if (!f->v)
			abort();
	}
	memmove(f->v + i + 1, f->v + i, (f->n++ - i) * sizeof(*f->v));
	f->v[i] = (struct fake_piece){ .id = id };
	return &f->v[i];
}

static inline void fake_pieces_save(struct fake_pieces *f, unsigned id, const void *data,
				    size_t size)
{
	struct fake_piece *p = fake_pieces_at(f, id);

	free(p->next);
	p->next = data ? malloc(size ? size : 1) : NULL;
	p->next_size = size;
	p->changed = true;
	if (data)
		memcpy(p->next, data, size);
	f->saved++;
	f->bytes += size;
}

/* All of it counts. */
static inline void fake_pieces_commit(struct fake_pieces *f)
{
	for (unsigned i = 0; i < f->n; i++) {
		struct fake_piece *p = &f->v[i];

		if (!p->changed)
			continue;
		free(p->data);
		p->data = p->next;
		p->size = p->next_size;
		p->next = NULL;
		p->changed = false;
	}
}

/* What does not count is lost. */
static inline void fake_pieces_drop(struct fake_pieces *f)
{
	for (unsigned i = 0; i < f->n; i++) {
		free(f->v[i].next);
		f->v[i].next = NULL;
		f->v[i].changed = false;
	}
}

/* How many there are. */
static inline unsigned fake_pieces_count(const struct fake_pieces *f)
{
	unsigned count = 0;

	for (unsigned i = 0; i < f->n; i++)
		count += f->v[i].data != NULL;
	return count;
}

static inline void fake_pieces_free(struct fake_pieces *f)
{
	for (unsigned i = 0; i < f->n; i++) {
		free(f->v[i].data);
		free(f->v[i].next);
	}
	free(f->v);
	*f = (struct fake_pieces){ 0 };
}

#endif
