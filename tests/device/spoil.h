/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tests/device/spoil.h - pieces that are not what the model saved: each byte of each changed,
 * each cut short, none there. The model refuses them with -EBADMSG, or takes them for a state
 * that it can be in; what it may not do, sanitizers tell.
 */
#ifndef TESTS_DEVICE_SPOIL_H
#define TESTS_DEVICE_SPOIL_H

#include <check.h>

#include <device/fake_services.h>

static inline void spoil_copy_(struct fake_pieces *to, const struct fake_pieces *from)
{
	*to = (struct fake_pieces){ 0 };
	for (unsigned i = 0; i < from->n; i++)
		if (from->v[i].data)
			fake_pieces_save(to, from->v[i].id, from->v[i].data, from->v[i].size);
	fake_pieces_commit(to);
}

struct spoil {
	struct cused_port *p;
	struct fake_pieces good;
	uint8_t *bar;			/* memory of BAR 0, or NULL */
	void (*use)(struct cused_port *p);
	unsigned refused, taken;
};

/* A new instance with the pieces as they are now. Return: what it said. */
static inline int spoil_try_(struct spoil *s)
{
	int rc;

	if (s->bar)
		memcpy(s->p->bars[0], s->bar, s->p->pci.bars[0].size);
	fake_replace(s->p);
	rc = fake_restore(s->p);
	if (!rc)
		s->use(s->p);
	else
		ck_assert_int_eq(rc, -EBADMSG);
	*(rc ? &s->refused : &s->taken) += 1;
	fake_pieces_free(&s->p->pieces);
	spoil_copy_(&s->p->pieces, &s->good);
	return rc;
}

static inline void spoil_bytes_(struct spoil *s, unsigned i)
{
	size_t size = s->good.v[i].size, step = size > 700 ? 3 : 1;

	for (size_t at = 0; at < size; at += step) {
		((uint8_t *)s->p->pieces.v[i].data)[at] ^= 0xff;
		spoil_try_(s);
		((uint8_t *)s->p->pieces.v[i].data)[at] ^= 1;
		spoil_try_(s);
	}
}

/* Any size but its own is wrong. */
static inline void spoil_sizes_(struct spoil *s, unsigned i)
{
	size_t size = s->good.v[i].size, step = size / 64 + 1;
	uint8_t *zeroes = calloc(1, size + 8);

	ck_assert_ptr_nonnull(zeroes);
	for (size_t k = 0; k <= size + 8; k += k + 8 < size ? step : 1) {
		memcpy(zeroes, s->good.v[i].data, k < size ? k : size);
		fake_pieces_save(&s->p->pieces, s->good.v[i].id, zeroes, k);
		fake_pieces_commit(&s->p->pieces);
		ck_assert_int_eq(spoil_try_(s), k == size ? 0 : -EBADMSG);
	}
	free(zeroes);
}

/*
 * @p: open, with something to save
 * @use: plays with an instance that has taken what it got
 */
static inline void spoil_all(struct cused_port *p, void (*use)(struct cused_port *p))
{
	struct spoil s = { .p = p, .use = use };
	uint8_t junk[64] = { 0 };

	spoil_copy_(&s.good, &p->pieces);
	fake_pieces_free(&p->pieces);
	spoil_copy_(&p->pieces, &s.good);
	if (p->bars[0]) {
		s.bar = malloc(p->pci.bars[0].size);
		ck_assert_ptr_nonnull(s.bar);
		memcpy(s.bar, p->bars[0], p->pci.bars[0].size);
	}
	ck_assert_uint_gt(s.good.n, 0);
	ck_assert_int_eq(spoil_try_(&s), 0);
	for (unsigned i = 0; i < s.good.n; i++) {
		spoil_bytes_(&s, i);
		spoil_sizes_(&s, i);
	}
	for (unsigned id = 0xfff0; id < CUSED_SAVE_MAX; id++) {
		fake_pieces_save(&p->pieces, id, junk, sizeof(junk));
		fake_pieces_commit(&p->pieces);
		ck_assert_int_eq(spoil_try_(&s), -EBADMSG);
	}
	ck_assert_uint_gt(s.refused, 0);
	ck_assert_uint_gt(s.taken, 0);
	p->is_open = false;		/* the last one was refused */
	fake_pieces_free(&s.good);
	free(s.bar);
}

#endif
