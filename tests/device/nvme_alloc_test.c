/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the NVMe controller answers when there is no memory for a command. Making and
 * opening one is swept by unit/instance_alloc_test.c. */
#include "unit/alloc_fail.h"
#include <device/nvme_client.h>

#define INTERNAL_ERROR 6

static struct client c;

/* Deallocate block 0 … 7, with memory for all but the @nth allocation of the controller.
 * Return: the status; *ret_hit: it came to that allocation. */
static unsigned deallocate(unsigned nth, bool *ret_hit)
{
	uint8_t *range = fake_mem(&c.p, DATA);

	memset(range, 0, 16);
	range[4] = 8;
	client_push(&c, 1, (struct sqe){ .opcode = 9, .nsid = 1, .prp1 = DATA, .cdw11 = 4 });
	client_ring(&c, 1);
	alloc_fail_arm(nth);
	fake_poll(&c.p, 100000);
	*ret_hit = alloc_fail_disarm();
	return client_wait(&c, 1).status >> 1 & ~MORE;
}

/* NVMe 1.4, 6.7 */
START_TEST(deallocate_without_memory)
{
	unsigned nth = 0;
	bool hit;

	fake_is_old = true;		/* what it saves would be the test's own allocations */
	client_start(&c, "size=1M");
	do {
		unsigned status = deallocate(++nth, &hit);

		ck_assert_uint_eq(status, hit ? INTERNAL_ERROR : 0);
	} while (hit);
	ck_assert_uint_eq(nth, 2);
	fake_destroy(&c.p);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("nvme_alloc");
	TCase *tc = tcase_create("nvme_alloc");
	SRunner *runner;
	int n;

	tcase_add_test(tc, deallocate_without_memory);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	n = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n ? EXIT_FAILURE : EXIT_SUCCESS;
}
