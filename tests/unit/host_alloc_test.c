/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/host_alloc_test.c - each allocation of reading the machine's devices fails once. */
#include <check.h>
#include <vfio-cused/cused.h>

#include <host.h>

#include "unit/alloc_fail.h"
#include "unit/host_tree.h"

START_TEST(reading_fails_whole)
{
	unsigned nth = 0;
	bool hit = true;

	tree_device("0000:01:00.0", "5", "vfio-pci", "0x00ff00");
	tree_device("0000:02:00.0", "6", "", "0x010802");
	tree_platform("fe000000.dma", "5", "pl330");
	while (hit) {
		struct cused_error err = { "" };
		struct host host = { 0 };
		int r;

		alloc_fail_arm(++nth);
		r = host_read(tree_sysfs, &host, &err);
		hit = alloc_fail_disarm();
		ck_assert_msg(r == (hit ? -ENOMEM : 0), "allocation %u: %d", nth, r);
		ck_assert_uint_eq(host.n_devices, hit ? 0 : 3);
		ck_assert_msg(!hit || err.text[0], "allocation %u: no message", nth);
		host_free(&host);
	}
	ck_assert_uint_gt(nth, 4);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host_alloc");
	TCase *tc = tcase_create("host_alloc");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, tree_setup, tree_teardown);
	tcase_add_test(tc, reading_fails_whole);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
