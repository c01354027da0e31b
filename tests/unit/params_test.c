/* SPDX-License-Identifier: GPL-2.0-or-later */
/* params.c: texts taken apart, values checked, messages that name thing, value and cure. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <params.h>

enum { P_IMAGE, P_SIZE, P_COUNT, P_FAST, P_MODE, N_PARAMS };

static const struct cused_param params[N_PARAMS] = {
	[P_IMAGE] = { "image", CUSED_PARAM_PATH, NULL, 0, 0, "a file" },
	[P_SIZE] = { "size", CUSED_PARAM_SIZE, "64M", 512, 1ull << 40, "a size" },
	[P_COUNT] = { "count", CUSED_PARAM_UINT, "4", 1, 16, "a number" },
	[P_FAST] = { "fast", CUSED_PARAM_BOOL, "off", 0, 0, "a switch" },
	[P_MODE] = { "mode", CUSED_PARAM_STRING, NULL, 0, 0, "a word" },
};
static const struct cused_param others[1] = {
	{ "any", CUSED_PARAM_UINT, NULL, 0, 0, "any number" },
};

static struct params_list list;
static struct cused_value values[N_PARAMS], other_values[1];
static struct cused_error err;

static int parse(const char *text)
{
	struct params_table tables[2] = {
		{ others, 1, other_values }, { params, N_PARAMS, values },
	};
	int r;

	params_list_done(&list);
	r = params_split("--device", text, &list, &err);
	return r < 0 ? r : params_parse(&list, tables, 2, &err);
}

static void teardown(void)
{
	params_list_done(&list);
}

static void says(const char *part)
{
	ck_assert_msg(strstr(err.text, part) != NULL, "no \"%s\" in \"%s\"", part, err.text);
}

START_TEST(name_alone_takes_presets)
{
	ck_assert_int_eq(parse("thing"), 0);
	ck_assert_str_eq(list.name, "thing");
	ck_assert(!values[P_IMAGE].set);
	ck_assert(!values[P_MODE].set);
	ck_assert(values[P_SIZE].set && !values[P_SIZE].given);
	ck_assert_uint_eq(values[P_SIZE].number, 64u << 20);
	ck_assert_uint_eq(values[P_COUNT].number, 4);
	ck_assert(values[P_FAST].set && values[P_FAST].number == 0);
	ck_assert(!other_values[0].set);
}
END_TEST

START_TEST(values_of_each_type)
{
	ck_assert_int_eq(parse("thing,image=a=b.img,size=2K,count=0x10,fast=on,mode=m,any=0"),
			 0);
	ck_assert_str_eq(values[P_IMAGE].string, "a=b.img");
	ck_assert_uint_eq(values[P_SIZE].number, 2048);
	ck_assert_uint_eq(values[P_COUNT].number, 16);
	ck_assert_uint_eq(values[P_FAST].number, 1);
	ck_assert_str_eq(values[P_MODE].string, "m");
	ck_assert(values[P_MODE].given);
	ck_assert(other_values[0].given && other_values[0].number == 0);
}
END_TEST

START_TEST(commas_are_doubled)
{
	ck_assert_int_eq(parse("thing,image=a,,b,,,,c,mode=x"), 0);
	ck_assert_str_eq(values[P_IMAGE].string, "a,b,,c");
	ck_assert_str_eq(values[P_MODE].string, "x");
	ck_assert_int_eq(parse("thing,image=a,,"), 0);
	ck_assert_str_eq(values[P_IMAGE].string, "a,");
	ck_assert_int_eq(parse("th,,ing"), 0);
	ck_assert_str_eq(list.name, "th,ing");
}
END_TEST

START_TEST(words_for_switches)
{
	static const char *const on[] = { "on", "yes", "true", "1" };
	static const char *const off[] = { "off", "no", "false", "0" };
	char text[32];

	for (unsigned i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "thing,fast=%s", on[i]);
		ck_assert_int_eq(parse(text), 0);
		ck_assert_uint_eq(values[P_FAST].number, 1);
		snprintf(text, sizeof(text), "thing,fast=%s", off[i]);
		ck_assert_int_eq(parse(text), 0);
		ck_assert_uint_eq(values[P_FAST].number, 0);
	}
	ck_assert_int_eq(parse("thing,fast=maybe"), -EINVAL);
	says("--device thing");
	says("fast=maybe");
	says("write fast=on");
}
END_TEST

START_TEST(suffixes_of_sizes)
{
	static const struct { const char *text; uint64_t size; } good[] = {
		{ "size=512", 512 }, { "size=1k", 1024 }, { "size=3M", 3u << 20 },
		{ "size=1G", 1u << 30 }, { "size=1T", 1ull << 40 }, { "size=0x200", 512 },
		{ "size=0x1K", 1024 },
	};
	static const char *const bad[] = {
		"size=12parsec", "size=", "size=-1", "size=+1", "size= 1", "size=K",
		"size=1KB", "size=0x", "size=0xK", "count=1K", "count=4x", "count=one",
	};
	char text[64];

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(text, sizeof(text), "thing,%s", good[i].text);
		ck_assert_msg(parse(text) == 0, "%s: %s", text, err.text);
		ck_assert_uint_eq(values[P_SIZE].number, good[i].size);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "thing,%s", bad[i]);
		ck_assert_msg(parse(text) == -EINVAL, "%s was taken", text);
		says(bad[i]);
	}
}
END_TEST

START_TEST(ranges_are_inclusive)
{
	ck_assert_int_eq(parse("thing,count=1"), 0);
	ck_assert_int_eq(parse("thing,count=16"), 0);
	ck_assert_int_eq(parse("thing,count=0"), -ERANGE);
	says("count=0 is out of range; give a value from 1 to 16");
	ck_assert_int_eq(parse("thing,count=17"), -ERANGE);
	ck_assert_int_eq(parse("thing,size=511"), -ERANGE);
	ck_assert_int_eq(parse("thing,size=2T"), -ERANGE);
	/* What does not fit in 64 bits, before and after the suffix. */
	ck_assert_int_eq(parse("thing,any=18446744073709551615"), 0);
	ck_assert_uint_eq(other_values[0].number, UINT64_MAX);
	ck_assert_int_eq(parse("thing,any=18446744073709551616"), -ERANGE);
	ck_assert_int_eq(parse("thing,size=16777216T"), -ERANGE);
}
END_TEST

START_TEST(unknown_key_lists_the_known)
{
	ck_assert_int_eq(parse("thing,colour=red"), -EINVAL);
	says("--device thing: unknown key colour");
	says("any, image, size, count, fast, mode");
}
END_TEST

START_TEST(parts_that_are_no_pairs)
{
	ck_assert_int_eq(parse("thing,fast"), -EINVAL);
	says("'fast' is not of the form key=value");
	ck_assert_int_eq(parse("thing,=x"), -EINVAL);
	ck_assert_int_eq(parse("thing,"), -EINVAL);
	ck_assert_int_eq(parse("thing,image="), -EINVAL);
	says("image= is empty");
	ck_assert_int_eq(parse("thing,count=1,count=2"), -EINVAL);
	says("count is given twice (1 and 2)");
	ck_assert_int_eq(parse(""), 0);
	ck_assert_str_eq(list.name, "");
}
END_TEST

START_TEST(text_of_any_length)
{
	char *text = malloc(PARAMS_TEXT_MAX + 2);

	ck_assert_ptr_nonnull(text);
	memset(text, 'x', PARAMS_TEXT_MAX + 1);
	memcpy(text, "thing,mode=", 11);
	text[PARAMS_TEXT_MAX + 1] = '\0';
	ck_assert_int_eq(parse(text), -E2BIG);
	text[PARAMS_TEXT_MAX] = '\0';
	ck_assert_int_eq(parse(text), 0);
	ck_assert_uint_eq(strlen(values[P_MODE].string), PARAMS_TEXT_MAX - 11);
	/* The message is cut, not overrun. */
	memcpy(text, "thing,size=", 11);
	ck_assert_int_eq(parse(text), -EINVAL);
	ck_assert_uint_lt(strlen(err.text), sizeof(err.text));
	free(text);
}
END_TEST

/* What is printed parses to the same value. */
START_TEST(printed_values_come_back)
{
	static const char *const texts[] = { "512", "1K", "1536", "3M", "1T" };
	char text[64], *out;
	size_t size;
	FILE *f;

	for (unsigned i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "thing,size=%s", texts[i]);
		ck_assert_int_eq(parse(text), 0);
		f = open_memstream(&out, &size);
		params_print_value(f, &params[P_SIZE], &values[P_SIZE]);
		fputc(' ', f);
		params_print_value(f, &params[P_FAST], &values[P_FAST]);
		fputc(' ', f);
		params_print_value(f, &params[P_COUNT], &values[P_COUNT]);
		fclose(f);
		snprintf(text, sizeof(text), "%s off 4", texts[i]);
		ck_assert_str_eq(out, text);
		free(out);
	}
}
END_TEST

/* A number whose preset is written in hex is printed so, as wide as the preset. */
START_TEST(hex_stays_hex)
{
	static const struct cused_param id = { "id", CUSED_PARAM_UINT, "0x0010", 0, 0xffff,
					       "an id" };
	struct cused_value value = { .set = true, .number = 0x1b36 };
	char *out;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	params_print_value(f, &id, &value);
	fputc(' ', f);
	value.number = 0x7;
	params_print_value(f, &id, &value);
	fclose(f);
	ck_assert_str_eq(out, "0x1b36 0x0007");
	free(out);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("params");
	TCase *tc = tcase_create("params");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, name_alone_takes_presets);
	tcase_add_test(tc, values_of_each_type);
	tcase_add_test(tc, commas_are_doubled);
	tcase_add_test(tc, words_for_switches);
	tcase_add_test(tc, suffixes_of_sizes);
	tcase_add_test(tc, ranges_are_inclusive);
	tcase_add_test(tc, unknown_key_lists_the_known);
	tcase_add_test(tc, parts_that_are_no_pairs);
	tcase_add_test(tc, text_of_any_length);
	tcase_add_test(tc, printed_values_come_back);
	tcase_add_test(tc, hex_stays_hex);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
