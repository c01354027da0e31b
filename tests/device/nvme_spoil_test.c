/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device/nvme_spoil_test.c - what the NVMe controller saves: how little, and what it does
 * with bytes that it has not saved itself.
 */
#include <sys/mman.h>

#include <device/nvme_client.h>
#include <device/spoil.h>

#define BYTES (256u << 10)

static struct client c;
static int image;

static void start(void)
{
	char params[100];

	image = memfd_create("image", MFD_CLOEXEC);
	ck_assert_int_ge(image, 0);
	ck_assert_int_eq(ftruncate(image, BYTES), 0);
	snprintf(params, sizeof(params), "image=/proc/self/fd/%d,size2=256K,queues=4", image);
	client_create(&c, params);
	client_enable(&c, 16);
	client_io_queue(&c, 1, 64);
}

static void stop(void)
{
	client_stop(&c);
	close(image);
}

static struct sqe fua_write(uint64_t lba)
{
	struct sqe e = rw(1, 1, lba, 1, DATA, 0);

	e.cdw12 |= 1u << 30;
	return e;
}

/* Plays with whatever came out of it; a controller that is there after a reset. */
static void use(struct cused_port *p)
{
	fake_poll(p, 20000);
	fake_advance(p, 100000000);
	fake_poke32(p, 0, SQ_DB(1), 9);
	fake_poke32(p, 0, CQ_DB(1), 3);
	fake_poll(p, 20000);
	ck_assert_uint_eq(fake_read32(p, 0, VS), 0x00010400);
	ck_assert_uint_eq(fake_read32(p, 0, CSTS) & ~0xfu, 0);
	fake_reset(p);
	fake_poll(p, 1000);
	ck_assert_uint_eq(fake_read32(p, 0, CSTS), 0);
}

START_TEST(spoiled)
{
	start();
	for (unsigned i = 0; i < 2; i++)
		client_push(&c, 0, (struct sqe){ .opcode = 12 });
	client_ring(&c, 0);
	fake_poke32(&c.p, 0, SQ_DB(1), 999);
	fake_poll(&c.p, 100);
	fake_poke32(&c.p, 0, SQ_DB(1), 0);
	ck_assert_uint_eq(client_wait(&c, 0).result, 1 << 16 | 1 << 8);
	fake_poke32(&c.p, 0, CQ_DB(1), 999);		/* this event waits */
	fake_poll(&c.p, 100);
	for (unsigned i = 0; i < 3; i++)
		client_push(&c, 1, fua_write(i));
	for (unsigned i = 0; i < 3; i++)
		client_push(&c, 1, rw(2, 2, i, 1, DATA, 0));
	client_ring(&c, 1);
	fake_poll_once(&c.p);
	/* the controller, the post, errors, two queues, three that wait */
	ck_assert_uint_eq(fake_pieces_count(&c.p.pieces), 8);
	spoil_all(&c.p, use);
	stop();
}
END_TEST

/* Without the piece of the controller the others say nothing; without any there is none. */
START_TEST(pieces_missing)
{
	unsigned count;

	start();
	count = c.p.pieces.n;
	ck_assert_uint_ge(count, 5);
	fake_replace(&c.p);
	c.p.pieces.v[0].data = (free(c.p.pieces.v[0].data), NULL);
	ck_assert_int_eq(fake_restore(&c.p), -EBADMSG);
	fake_replace(&c.p);
	fake_pieces_free(&c.p.pieces);
	ck_assert_int_eq(fake_restore(&c.p), -EBADMSG);
	c.p.is_open = false;
	stop();
}
END_TEST

/* A namespace in memory that is not kept is not what it was. */
START_TEST(memory_not_kept)
{
	fake_has_no_memory = true;
	client_start(&c, "size=1M");
	fake_replace(&c.p);
	ck_assert_int_eq(fake_restore(&c.p), -EBADMSG);
	c.p.is_open = false;
	client_stop(&c);
}
END_TEST

/* Deallocated, kept memory reads as zeroes, whole pages and parts (NVMe 1.4, 6.16). */
START_TEST(memory_kept_is_deallocated)
{
	uint8_t *p;

	client_start(&c, "size=1M");
	p = fake_mem(&c.p, DATA);
	pattern(p, 32768, 1);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(client_do(&c, 1, rw(1, 1, i * 16, 16, DATA + i * 8192,
						      DATA + i * 8192 + 4096)), 0);
	ck_assert_uint_eq(client_do(&c, 1, rw(8, 1, 3, 50, 0, 0)), 0);
	memset(p + 3 * 512, 0, 50 * 512);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, i * 16, 16, DATA + 65536 + i * 8192,
						      DATA + 65536 + i * 8192 + 4096)), 0);
	ck_assert(!memcmp(p, p + 65536, 32768));
	client_stop(&c);
}
END_TEST

/* A batch costs its completions and its queue, whatever else there is. */
START_TEST(batch_is_cheap)
{
	uint64_t saved, bytes;

	start();
	for (unsigned i = 0; i < 16; i++)
		client_push(&c, 1, rw(2, 2, i, 1, DATA, 0));
	client_ring(&c, 1);
	saved = c.p.pieces.saved;
	bytes = c.p.pieces.bytes;
	fake_poll_once(&c.p);
	ck_assert_uint_eq(c.p.pieces.saved - saved, 2);
	ck_assert_uint_le(c.p.pieces.bytes - bytes, 512);
	saved = c.p.pieces.saved;
	for (unsigned i = 0; i < 10; i++)
		fake_poll_once(&c.p);
	ck_assert_uint_eq(c.p.pieces.saved, saved);	/* idle */
	stop();
}
END_TEST

START_TEST(old_core)
{
	fake_is_old = true;
	start();
	for (unsigned i = 0; i < 16; i++)
		ck_assert_uint_eq(client_do(&c, 1, fua_write(i)), 0);
	ck_assert_uint_eq(c.p.pieces.saved, 0);
	ck_assert_ptr_null(c.p.memories[1].base);
	stop();
}
END_TEST

CLIENT_MAIN("nvme_spoil", spoiled, pieces_missing, memory_not_kept, memory_kept_is_deallocated,
	    batch_is_cheap, old_core)
