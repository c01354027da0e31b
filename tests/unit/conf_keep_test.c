/* SPDX-License-Identifier: GPL-2.0-or-later */
/* conf_keep.c: what was put comes back the same, of each model with each of its keys. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <conf_keep.h>
#include <registry.h>
#include <unit/conf_widget.h>

#define NO_SYSFS "/nonexistent"

static struct keep *keep;
static struct conf conf, settings;
static struct cused_error err;

static void setup(void)
{
	ck_assert_int_eq(keep_new(&keep), 0);
	conf_init(&conf);
	conf_init(&settings);
	settings.file_read = true;
}

static void teardown(void)
{
	conf_done(&conf);
	conf_done(&settings);
	keep_free(keep);
}

static void finish(struct conf *which)
{
	ck_assert_msg(conf_finish(which, NO_SYSFS, &err) == 0, "%s", err.text);
}

/* ---- devices ---- */

static const struct conf_device *wanted;
static unsigned n_seen;

static int see(void *arg, uint64_t id, struct conf *kept, struct cused_error *ignored)
{
	const struct conf_device *is = &kept->devices[0];

	ck_assert_uint_eq(kept->n_devices, 1);
	ck_assert_uint_eq(id, 7 + n_seen);
	ck_assert_msg(conf_device_same(is, &wanted[n_seen]), "%s", is->id);
	ck_assert_int_eq(memcmp(&is->address, &wanted[n_seen].address, sizeof(is->address)), 0);
	/* A model may ask whether it was the user who said it. */
	for (size_t i = 0; i < is->ops->n_params; i++)
		ck_assert_msg(is->values[i].given == wanted[n_seen].values[i].given, "%s: %s",
			      is->ops->name, is->ops->params[i].name);
	n_seen++;
	return 0;
}

/* Put all devices of conf, and have them back. */
static void round_trip(void)
{
	finish(&conf);
	finish(&settings);
	wanted = conf.devices;
	for (size_t i = 0; i < conf.n_devices; i++)
		conf_keep_device(keep, 7 + i, &conf.devices[i], &settings);
	n_seen = 0;
	ck_assert_int_eq(conf_kept_devices(keep, &settings, see, NULL, &err), 0);
	ck_assert_uint_eq(n_seen, conf.n_devices);
	for (size_t i = 0; i < conf.n_devices; i++)
		conf_keep_drop(keep, 7 + i);
	n_seen = 0;
	ck_assert_int_eq(conf_kept_devices(keep, &settings, see, NULL, &err), 0);
	ck_assert_uint_eq(n_seen, 0);
	conf_done(&conf);
}

/* A value that is not the preset's. Commas are doubled, as on a command line. */
static const char *value_of(const struct cused_param *param, char *buf, size_t size)
{
	uint64_t max = param->max ? param->max : UINT32_MAX;

	switch (param->type) {
	case CUSED_PARAM_STRING:
		return "a word,, with = and [brackets] # ; \"quotes\"";
	case CUSED_PARAM_PATH:
		return "/a/file,, of no ; use";
	case CUSED_PARAM_BOOL:
		return param->preset && !strcmp(param->preset, "on") ? "off" : "on";
	case CUSED_PARAM_UINT:
	case CUSED_PARAM_SIZE:
		snprintf(buf, size, "%llu", (unsigned long long)max);
		return buf;
	}
	return "";
}

START_TEST(each_key_of_each_model)
{
	const struct cused_device_ops *ops;
	unsigned n = 0;

	for (size_t m = 0; (ops = registry_device(m)); m++) {
		if (CUSED_HAS(ops, flags) && ops->flags & CUSED_DEVICE_HOST)
			continue;
		/* With one of its keys, and last with none. */
		for (size_t i = 0; i <= ops->n_params; i++) {
			char text[512], buf[32];
			const struct cused_param *param = &ops->params[i];

			if (i < ops->n_params)
				snprintf(text, sizeof(text), "%s,%s=%s", ops->name, param->name,
					 value_of(param, buf, sizeof(buf)));
			else
				snprintf(text, sizeof(text), "%s", ops->name);
			ck_assert_msg(conf_add_device(&conf, text, &err) == 0, "%s", err.text);
			round_trip();
			n++;
		}
	}
	ck_assert_uint_ge(n, 10);
}
END_TEST

START_TEST(each_key_of_every_device)
{
	ck_assert_int_eq(conf_set_iommu(&settings, "sim,unsafe_noiommu=on", &err), 0);
	ck_assert_int_eq(conf_set_iommu(&conf, "sim,unsafe_noiommu=on", &err), 0);
	ck_assert_int_eq(conf_add_device(&conf, "widget,bdf=0001:c0:1f.7,group=65535,id=a_.-Z9",
					 &err), 0);
	ck_assert_int_eq(conf_add_device(&conf, "widget,noiommu=on,group=3", &err), 0);
	ck_assert_int_eq(conf_add_device(&conf, "widget,group=0,id=0", &err), 0);
	ck_assert_int_eq(conf_add_device(&conf, "widget,group=0", &err), 0);
	ck_assert_int_eq(conf_add_device(&conf, "widget", &err), 0);
	round_trip();
}
END_TEST

static int count(void *arg, uint64_t id, struct conf *kept, struct cused_error *ignored)
{
	n_seen++;
	return 0;
}

/* Two may have one name: that which leaves, and what comes in its place. */
START_TEST(two_of_one_name)
{
	ck_assert_int_eq(conf_add_device(&conf, "widget,id=x", &err), 0);
	finish(&conf);
	finish(&settings);
	conf_keep_device(keep, 1, &conf.devices[0], &settings);
	conf_keep_device(keep, 2, &conf.devices[0], &settings);
	ck_assert_int_eq(conf_kept_devices(keep, &settings, count, NULL, &err), 0);
	ck_assert_uint_eq(n_seen, 2);
}
END_TEST

static int stop_here(void *arg, uint64_t id, struct conf *kept, struct cused_error *ignored)
{
	return -EEXIST;
}

START_TEST(who_is_called_can_stop_it)
{
	ck_assert_int_eq(conf_add_device(&conf, "widget", &err), 0);
	finish(&conf);
	finish(&settings);
	conf_keep_device(keep, 1, &conf.devices[0], &settings);
	ck_assert_int_eq(conf_kept_devices(keep, &settings, stop_here, NULL, &err), -EEXIST);
}
END_TEST

START_TEST(devices_that_are_none)
{
	static const char *const texts[] = {
		"", "x", "[device \"a\"]\n", "[device \"a\"]\nbackend = widget\n",
		"[device \"a\"]\nbackend = widget\nbdf = 0000:01:00.0\n",
		"[device \"a\"]\nbackend = nosuch\nbdf = 0000:01:00.0\ngroup = 1\n",
		"[device \"a\"]\nbackend = widget\nbdf = 0000:01:00.0\ngroup = 1\nnosuch = 1\n",
		"[service]\n",
	};

	finish(&settings);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		keep_put(keep, KEEP_CONF_DEVICE, 1, texts[i], strlen(texts[i]));
		ck_assert_msg(conf_kept_devices(keep, &settings, count, NULL, &err) == -EBADMSG,
			      "%s", texts[i]);
	}
	ck_assert_uint_eq(n_seen, 0);
}
END_TEST

/* ---- settings ---- */

static void settings_round_trip(uint64_t last_id, uint64_t left_at)
{
	uint64_t id, at;

	finish(&settings);
	conf_keep_settings(keep, &settings, last_id, left_at);
	ck_assert_msg(conf_kept_settings(keep, &conf, &id, &at, &err) == 0, "%s", err.text);
	ck_assert(conf_settings_same(&conf, &settings));
	ck_assert_uint_eq(id, last_id);
	ck_assert_uint_eq(at, left_at);
	ck_assert_uint_eq(conf.n_devices, 0);
	conf_done(&conf);
}

START_TEST(each_setting)
{
	char text[512], buf[64];

	settings_round_trip(0, 0);
	for (size_t i = 0; i < CONF_IOMMU_KEYS; i++) {
		const struct cused_param *param = &conf_iommu_params[i];

		snprintf(text, sizeof(text), "wires,aperture=50,%s=%s", param->name,
			 value_of(param, buf, sizeof(buf)));
		if (param->type == CUSED_PARAM_STRING)
			snprintf(text, sizeof(text), "wires,memlock=enforce");
		ck_assert_msg(conf_set_iommu(&settings, text, &err) == 0, "%s", err.text);
		settings_round_trip(i, 1ull << 60);
	}
	ck_assert_msg(conf_set_service(&settings, "memory=retry,courier=on,sysfs=off,"
				       "prefix=other,replace=on,dma=swap,ctl=/a/b ;c,"
				       "ctl_mode=0666,ctl_owner=1,ctl_group=2,agent=/x",
				       &err) == 0, "%s", err.text);
	settings_round_trip(UINT64_MAX, 5);
	/* --prefix is stronger than the key. */
	ck_assert_int_eq(conf_set_prefix(&settings, "mine", &err), 0);
	settings_round_trip(1, 0);
}
END_TEST

/* The number of a device is never given again, by whichever process. */
START_TEST(a_device_tells_of_its_number)
{
	struct conf kept;
	uint64_t id, at;

	ck_assert_int_eq(conf_add_device(&conf, "widget", &err), 0);
	finish(&conf);
	finish(&settings);
	conf_keep_device(keep, 41, &conf.devices[0], &settings);
	conf_keep_drop(keep, 41);
	ck_assert_int_eq(conf_kept_settings(keep, &kept, &id, &at, &err), 0);
	ck_assert_uint_eq(id, 41);
	conf_done(&kept);
}
END_TEST

START_TEST(settings_that_are_none)
{
	static const char *const texts[] = {
		"", "[iommu]\nbackend = sim\n", "[service]\n", "x",
		"[iommu]\nbackend = nosuch\n[service]\n",
		"[iommu]\nbackend = sim\n[service]\nmemory = none\n[device \"a\"]\nbackend = edu\n",
		"[iommu]\nbackend = sim\n[service]\nnosuch = 1\n",
	};
	uint64_t id, at;
	char bytes[256];

	ck_assert_int_eq(conf_kept_settings(keep, &conf, &id, &at, &err), -EBADMSG);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		conf_done(&conf);
		memset(bytes, 0, 16);
		strcpy(bytes + 16, texts[i]);
		keep_put(keep, KEEP_SERVICE, 0, bytes, 16 + strlen(texts[i]));
		ck_assert_msg(conf_kept_settings(keep, &conf, &id, &at, &err) == -EBADMSG, "%s",
			      texts[i]);
	}
	conf_done(&conf);
	keep_put(keep, KEEP_SERVICE, 0, bytes, 15);
	ck_assert_int_eq(conf_kept_settings(keep, &conf, &id, &at, &err), -EBADMSG);
}
END_TEST

START_TEST(nothing_is_kept_by_none)
{
	ck_assert_int_eq(conf_add_device(&conf, "widget", &err), 0);
	finish(&conf);
	finish(&settings);
	conf_keep_device(NULL, 1, &conf.devices[0], &settings);
	conf_keep_settings(NULL, &settings, 1, 0);
	conf_keep_drop(NULL, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conf_keep");
	TCase *tc = tcase_create("conf_keep");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, each_key_of_each_model);
	tcase_add_test(tc, each_key_of_every_device);
	tcase_add_test(tc, two_of_one_name);
	tcase_add_test(tc, who_is_called_can_stop_it);
	tcase_add_test(tc, devices_that_are_none);
	tcase_add_test(tc, each_setting);
	tcase_add_test(tc, a_device_tells_of_its_number);
	tcase_add_test(tc, settings_that_are_none);
	tcase_add_test(tc, nothing_is_kept_by_none);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
