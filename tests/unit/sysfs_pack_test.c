/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/sysfs_pack.c: a plan as bytes, and bytes that are none. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include <transport/sysfs_internal.h>

#include "sysfs_desc.h"

/* The head of a node, as sysfs_pack.c has it. */
struct head {
	uint32_t kind, mode;
	uint64_t size;
	uint32_t name_len, data_len;
	uint32_t n_children, reserved;
};

#define NO_DATA UINT32_MAX

static struct sysfs_plan *taken;

static int unpack(const void *data, size_t size)
{
	int r;

	taken = NULL;
	r = sysfs_plan_unpack(data, size, &taken);
	ck_assert_int_eq(r == 0, taken != NULL);
	return r;
}

static void same_node(const struct sysfs_node *a, const struct sysfs_node *b)
{
	ck_assert_int_eq(a->kind, b->kind);
	ck_assert_uint_eq(a->mode, b->mode);
	ck_assert_uint_eq(a->size, b->size);
	ck_assert_uint_eq(a->len, b->len);
	ck_assert_int_eq(a->data == NULL, b->data == NULL);
	/* With its NUL. */
	ck_assert(!a->data || memcmp(a->data, b->data, a->len + 1) == 0);
	ck_assert_int_eq(a->name == NULL, b->name == NULL);
	ck_assert(!a->name || strcmp(a->name, b->name) == 0);
	for (a = a->children, b = b->children; a && b; a = a->next, b = b->next)
		same_node(a, b);
	ck_assert(!a && !b);
}

START_TEST(a_plan_comes_out_as_it_went_in)
{
	struct example example;
	struct sysfs_plan *plan;
	uint8_t *data, *bad;
	size_t size;

	example_init(&example, 1, 7);
	ck_assert_int_eq(sysfs_plan_new(&example.desc, &plan), 0);
	ck_assert_int_eq(sysfs_plan_pack(plan, &data, &size), 0);
	ck_assert_int_eq(unpack(data, size), 0);
	same_node(sysfs_plan_root(plan), sysfs_plan_root(taken));
	sysfs_plan_free(taken);
	/* In memory of just that size, so that a read beyond it is seen. */
	for (size_t cut = 0; cut < size; cut += cut < 4096 ? 1 : 97) {
		bad = malloc(cut + 1);
		memcpy(bad, data, cut);
		ck_assert_int_eq(unpack(bad, cut), -EBADMSG);
		free(bad);
	}
	bad = malloc(size + 1);
	memcpy(bad, data, size);
	bad[size] = 0;
	ck_assert_int_eq(unpack(bad, size + 1), -EBADMSG);
	free(bad);
	free(data);
	sysfs_plan_free(plan);
}
END_TEST

/* A root with one entry. */
static int unpack_entry(struct head head, const char *name, const char *bytes)
{
	const struct head root = { .kind = SYSFS_DIR, .data_len = NO_DATA, .n_children = 1 };
	uint8_t data[512];
	size_t size = 0;
	int r;

	memcpy(data, &root, sizeof(root));
	size += sizeof(root);
	memcpy(data + size, &head, sizeof(head));
	size += sizeof(head);
	memcpy(data + size, name, head.name_len);
	size += head.name_len;
	if (head.data_len != NO_DATA) {
		memcpy(data + size, bytes, head.data_len);
		size += head.data_len;
	}
	r = unpack(data, size);
	sysfs_plan_free(taken);
	return r;
}

static const struct head a_file = { .kind = SYSFS_FILE, .mode = 0444, .size = 3, .name_len = 4,
				    .data_len = 3 };

START_TEST(names_lead_nowhere_else)
{
	static const char *const bad[] = { "", ".", "..", "/abc", "ab/c", "abc/" };
	struct head head = a_file;

	ck_assert_int_eq(unpack_entry(head, "file", "abc"), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		head.name_len = (uint32_t)strlen(bad[i]);
		ck_assert_int_eq(unpack_entry(head, bad[i], "abc"), -EBADMSG);
	}
	head.name_len = 4;
	ck_assert_int_eq(unpack_entry(head, "a\0bc", "abc"), -EBADMSG);
}
END_TEST

START_TEST(heads_that_make_no_sense)
{
	struct head head = a_file;

	head.kind = SYSFS_LINK;
	ck_assert_int_eq(unpack_entry(head, "link", "abc"), 0);
	head.kind = SYSFS_LINK + 1;
	ck_assert_int_eq(unpack_entry(head, "what", "abc"), -EBADMSG);
	head.kind = SYSFS_DIR;		/* with data */
	ck_assert_int_eq(unpack_entry(head, "what", "abc"), -EBADMSG);
	head.data_len = NO_DATA;
	ck_assert_int_eq(unpack_entry(head, "what", "abc"), 0);
	head.kind = SYSFS_FILE;		/* without */
	ck_assert_int_eq(unpack_entry(head, "what", "abc"), -EBADMSG);
	head = a_file;
	head.mode = 04755;
	ck_assert_int_eq(unpack_entry(head, "file", "abc"), -EBADMSG);
	head = a_file;
	head.size = 2;			/* less than there is */
	ck_assert_int_eq(unpack_entry(head, "file", "abc"), -EBADMSG);
	head = a_file;
	head.n_children = 1;
	ck_assert_int_eq(unpack_entry(head, "file", "abc"), -EBADMSG);
	/* The root is a directory, and has no name. */
	head = a_file;
	ck_assert_int_eq(unpack(&head, sizeof(head)), -EBADMSG);
	head = (struct head){ .kind = SYSFS_DIR, .data_len = NO_DATA };
	ck_assert_int_eq(unpack(&head, sizeof(head)), 0);
	sysfs_plan_free(taken);
	head.name_len = 1;
	ck_assert_int_eq(unpack(&head, sizeof(head)), -EBADMSG);
}
END_TEST

/* @depth: of the innermost directory; the root's is 0 */
static int unpack_depth(unsigned depth)
{
	uint8_t data[(SYSFS_PACK_DEPTH + 2) * (sizeof(struct head) + 1)], *at = data;
	int r;

	for (unsigned i = 0; i <= depth; i++) {
		const struct head head = { .kind = SYSFS_DIR, .data_len = NO_DATA,
					   .name_len = i > 0, .n_children = i < depth };

		memcpy(at, &head, sizeof(head));
		at += sizeof(head);
		if (i > 0)
			*at++ = 'd';
	}
	r = unpack(data, (size_t)(at - data));
	sysfs_plan_free(taken);
	return r;
}

START_TEST(depth_has_a_limit)
{
	ck_assert_int_eq(unpack_depth(SYSFS_PACK_DEPTH), 0);
	ck_assert_int_eq(unpack_depth(SYSFS_PACK_DEPTH + 1), -EBADMSG);
}
END_TEST

START_TEST(size_has_a_limit)
{
	const size_t heads = 2 * sizeof(struct head) + 1;
	struct sysfs_node file = { .kind = SYSFS_FILE, .name = (char[]){ "f" } };
	struct sysfs_plan plan = { .root = { .kind = SYSFS_DIR, .children = &file } };
	uint8_t *data;
	size_t size;

	file.data = calloc(1, SYSFS_PACK_MAX);
	ck_assert_ptr_nonnull(file.data);
	file.len = file.size = SYSFS_PACK_MAX - heads;
	ck_assert_int_eq(sysfs_plan_pack(&plan, &data, &size), 0);
	ck_assert_uint_eq(size, SYSFS_PACK_MAX);
	ck_assert_int_eq(unpack(data, size), 0);
	sysfs_plan_free(taken);
	/* The same with one byte more, which is not looked at. */
	ck_assert_int_eq(unpack(data, size + 1), -EBADMSG);
	free(data);
	file.len = ++file.size;
	ck_assert_int_eq(sysfs_plan_pack(&plan, &data, &size), -EFBIG);
	free(file.data);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sysfs_pack");
	TCase *tc = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_plan_comes_out_as_it_went_in);
	tcase_add_test(tc, names_lead_nowhere_else);
	tcase_add_test(tc, heads_that_make_no_sense);
	tcase_add_test(tc, depth_has_a_limit);
	tcase_add_test(tc, size_has_a_limit);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
