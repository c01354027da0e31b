/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/mem_test.c - references of address spaces, and the limits of a struct mem. */
#include <check.h>

#include "unit/fake_mm.h"

#define BASE 0x10000u

START_TEST(references_free_once)
{
	struct fake_mm f;

	fake_mm_init(&f, BASE, 16);
	ck_assert_ptr_eq(mm_ref(&f.mm), &f.mm);
	mm_unref(&f.mm);
	ck_assert_uint_eq(f.frees, 0);
	ck_assert_uint_eq(fake_mm_done(&f), 1);
	ck_assert_uint_eq(f.frees, 1);
	mm_unref(NULL);
}
END_TEST

START_TEST(copies_stay_inside)
{
	struct fake_mm f;
	struct mem mem;
	char buf[8] = "1234567";

	fake_mm_init(&f, BASE, 64);
	mem = (struct mem){ &f.mm, BASE + 8, 16 };
	ck_assert_int_eq(mem_write(&mem, 8, buf, 8), 0);
	ck_assert_mem_eq(f.bytes + 16, "1234567", 8);
	memset(buf, 0, sizeof(buf));
	ck_assert_int_eq(mem_read(&mem, 8, buf, 8), 0);
	ck_assert_mem_eq(buf, "1234567", 8);
	ck_assert_int_eq(mem_read(&mem, 9, buf, 8), -EFAULT);
	ck_assert_int_eq(mem_write(&mem, 9, buf, 8), -EFAULT);
	ck_assert_int_eq(mem_read(&mem, UINT64_MAX, buf, 8), -EFAULT);
	ck_assert_int_eq(mem_write(&mem, 17, buf, 0), -EFAULT);
	ck_assert_uint_eq(f.reads, 1);
	ck_assert_uint_eq(f.writes, 1);
	ck_assert_int_eq(mem_read(&mem, 16, buf, 0), 0);
	ck_assert_int_eq(mem_write(&mem, 16, buf, 0), 0);
	ck_assert_uint_eq(f.reads, 1);
	fake_mm_done(&f);
}
END_TEST

START_TEST(addresses_do_not_wrap)
{
	struct fake_mm f;
	struct mem mem;
	char buf[8];

	fake_mm_init(&f, 0, 64);
	mem = (struct mem){ &f.mm, UINT64_MAX - 3, 64 };
	ck_assert_int_eq(mem_read(&mem, 0, buf, 8), -EFAULT);
	ck_assert_int_eq(mem_read(&mem, 8, buf, 8), -EFAULT);
	ck_assert_uint_eq(f.reads, 0);
	fake_mm_done(&f);
}
END_TEST

START_TEST(the_clients_faults_are_passed_on)
{
	struct fake_mm f;
	struct mem mem;
	char buf[8];

	fake_mm_init(&f, BASE, 64);
	mem = (struct mem){ &f.mm, BASE + 60, 16 };
	ck_assert_int_eq(mem_read(&mem, 0, buf, 8), -EFAULT);
	ck_assert_int_eq(mem_write(&mem, 0, buf, 8), -EFAULT);
	fake_mm_done(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mem");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, references_free_once);
	tcase_add_test(tc, copies_stay_inside);
	tcase_add_test(tc, addresses_do_not_wrap);
	tcase_add_test(tc, the_clients_faults_are_passed_on);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
