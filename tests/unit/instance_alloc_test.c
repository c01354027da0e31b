/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/instance_alloc_test.c - each allocation between file, command line and the first
 * client fails once: options, topology, groups, devices, the plan of sysfs. Start-up says
 * so, -ENOMEM with a sentence, and leaves nothing behind (leaks show under ASan). Then
 * each allocation of opening a device of each model.
 */
#include <check.h>
#include <stdio.h>

#include "unit/alloc_fail.h"
#include <conf_load.h>
#include <core/internal.h>
#include <instance.h>

static struct cused_error err;

static const char conf_text[] =
	"[device \"one\"]\nbackend = edu\ngroup = 9\n[device \"two\"]\nbackend = nvme\nsize = 1M\n"
	"[group \"9\"]\nmode = 0640\nowner = 7\n[iommu]\nbackend = sim\naperture = 39\n"
	"[service]\ncourier = on\n";

/* A file, and options over each of its sections. */
static int configure(struct conf *conf)
{
	int r = conf_parse(conf, "file", conf_text, sizeof(conf_text) - 1, &err);

	if (!r)
		r = conf_set_iommu(conf, "sim,aperture=40,unsafe_noiommu=on", &err);
	if (!r)
		r = conf_add_device(conf, "edu,id=one,group=9", &err);
	if (!r)
		r = conf_set_group(conf, "9,mode=0660", &err);
	if (!r)
		r = conf_set_group(conf, "5,owner=8", &err);
	if (!r)
		r = conf_add_device(conf, "edu,bdf=0000:01:00.0,group=5,delay=1", &err);
	if (!r)
		r = conf_add_device(conf, "edu", &err);
	if (!r)
		r = conf_add_device(conf, "nvme,size=1M", &err);
	if (!r)
		r = conf_add_device(conf, "nvme,size=4M,size2=1M,mdts=8,noiommu=on", &err);
	if (!r)
		r = conf_set_service(conf, "memory=auto,courier=off", &err);
	if (!r)
		r = conf_finish(conf, "/nonexistent", &err);
	return r;
}

static int start(const struct conf *conf)
{
	struct instance *instance = NULL;
	struct sysfs_plan *plan = NULL;
	int r = instance_new(conf, NULL, NULL, &instance, &err);

	if (!r)
		r = instance_sysfs(instance, "/nonexistent", &plan, &err);
	sysfs_plan_free(plan);
	instance_free(instance);
	return r;
}

/* From the options to the plan, with the @nth allocation failing.
 * Return: the result; *ret_hit: it came to that allocation. */
static int whole_start(unsigned nth, bool *ret_hit)
{
	struct conf conf;
	int r;

	err.text[0] = 0;
	alloc_fail_arm(nth);
	conf_init(&conf);
	r = configure(&conf);
	if (!r)
		r = start(&conf);
	conf_done(&conf);
	*ret_hit = alloc_fail_disarm();
	return r;
}

START_TEST(each_allocation_of_the_start_fails_once)
{
	unsigned nth = 0;
	bool hit = true;

	while (hit) {
		int r = whole_start(++nth, &hit);

		ck_assert_msg(r == (hit ? -ENOMEM : 0), "allocation %u: %d, \"%s\"", nth, r,
			      err.text);
		ck_assert_msg(!hit || err.text[0], "allocation %u: no message", nth);
	}
	ck_assert_uint_gt(nth, 20);	/* far fewer would mean that nothing was counted */
	printf("%u allocations\n", nth - 1);
}
END_TEST

/* ---- the models ---- */

static int open_and_close(struct device *device)
{
	struct device_file *file;
	int r = device_open(device, NULL, &file);

	if (r == 0)
		device_close(file);
	return r;
}

START_TEST(opening_a_device_fails_whole)
{
	struct instance *instance = NULL;
	struct conf conf;

	conf_init(&conf);
	ck_assert_int_eq(configure(&conf), 0);
	ck_assert_int_eq(instance_new(&conf, NULL, NULL, &instance, &err), 0);
	for (size_t i = 0; i < instance_n_devices(instance); i++) {
		struct device *device = instance_device(instance, i);

		/* Twice: what the first open leaves must do for the second. */
		for (unsigned round = 0; round < 2; round++) {
			unsigned n = SWEEP(open_and_close(device), -ENOMEM);

			ck_assert(!device_is_open(device));
			printf("open %s: %u allocations\n", conf.devices[i].id, n);
			ck_assert_uint_gt(n, 0);
		}
	}
	instance_free(instance);
	conf_done(&conf);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("instance_alloc");
	TCase *tc = tcase_create("instance_alloc");
	SRunner *runner;
	int n;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, each_allocation_of_the_start_fails_once);
	tcase_add_test(tc, opening_a_device_fails_whole);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	n = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n ? EXIT_FAILURE : EXIT_SUCCESS;
}
