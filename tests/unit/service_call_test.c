/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/service_call_test.c - calls of the service's clients, from the request to the
 * answer, in both ways of copying; see cuse_rig.h. With a kernel that has CUSE:
 * vm/service.sh.
 */
#include <check.h>

#include <unit/cuse_rig.h>

static uint8_t *at(uint64_t addr)
{
	return rig_memory + (addr - RIG_BASE);
}

/* A container with a driver, in which group 1 is. */
static void attach(int *ret_container, int *ret_group)
{
	int container = rig_open(rig_node(RIG_CONTAINER)), group;
	int32_t *arg = (void *)at(RIG_BASE);

	ck_assert_int_ge(container, RIG_FD);
	group = rig_open(rig_node(RIG_GROUP1));
	ck_assert_int_ge(group, RIG_FD);
	*arg = container;
	ck_assert_int_eq(rig_ioctl(group, VFIO_GROUP_SET_CONTAINER, RIG_BASE), 0);
	ck_assert_int_eq(rig_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	*ret_container = container;
	*ret_group = group;
}

static int get_info(int container, uint32_t argsz)
{
	*(uint32_t *)(void *)at(RIG_BASE) = argsz;
	return rig_ioctl(container, VFIO_IOMMU_GET_INFO, RIG_BASE);
}

/* Both ways say the same, byte for byte. _i: retry */
START_TEST(answers_reach_the_client)
{
	struct vfio_iommu_type1_info *info;
	int container, group;

	rig_start(_i);
	attach(&container, &group);
	memset(at(RIG_BASE), 0x55, RIG_PAGE);
	ck_assert_int_eq(get_info(container, 512), 0);
	ck_assert_uint_eq(rig.rounds, _i ? 3 : 1);
	info = (void *)at(RIG_BASE);
	ck_assert_uint_eq(info->argsz, 512);
	ck_assert_uint_eq(info->flags, VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS);
	ck_assert_uint_eq(at(RIG_BASE)[511], 0x55);	/* beyond the answer */
	ck_assert_uint_eq(at(RIG_BASE)[512], 0x55);
	rig_stop();
}
END_TEST

/* A device file, by the courier and by a token. */
START_TEST(device_files)
{
	struct service_device_token *arg;
	int container, group, device;

	rig_start(_i);
	attach(&container, &group);
	strcpy((char *)at(RIG_BASE + 256), "0000:01:00.0");
	/* The rig's courier answers EIO, as the real one, and brings the file. */
	ck_assert_int_eq(rig_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, RIG_BASE + 256), -EIO);
	device = group + 1;
	ck_assert_ptr_nonnull(rig_file(device));
	ck_assert_int_eq(rig_ioctl(device, VFIO_DEVICE_RESET, 0), 0);
	ck_assert_int_eq(rig_rw(device, false, CLIENT_CONFIG, at(RIG_BASE), 4), 4);
	ck_assert_int_eq(memcmp(at(RIG_BASE), "\x34\x12\x78\x56", 4), 0);
	rig_close(device);
	arg = (void *)at(RIG_BASE);
	*arg = (struct service_device_token){ .name = RIG_BASE + 256 };
	ck_assert_int_eq(rig_ioctl(group, SERVICE_IOC_DEVICE_TOKEN, RIG_BASE), 0);
	device = rig_take_device(arg->token, &rig.mine, rig_answer);
	ck_assert_int_ge(device, RIG_FD);
	/* Used once. */
	ck_assert_int_eq(rig_take_device(arg->token, &rig.mine, rig_answer), -ENOENT);
	rig_stop();
}
END_TEST

/* ---- memory that changes between the rounds ---- */

static uint32_t next_argsz;

static void change_argsz(void)
{
	if (rig.rounds >= 2)
		*(uint32_t *)(void *)at(RIG_BASE) = next_argsz;
}

/* The kernel was asked for room for the argsz of before: the answer has all of that room,
 * and none of ours. A larger one is asked for again. */
START_TEST(argsz_changes_between_rounds)
{
	static const uint32_t sizes[] = { 16, 24, 64, 511, 513, 4096, 100000, UINT32_MAX };
	int container, group;

	rig_start(true);
	attach(&container, &group);
	rig.between = change_argsz;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		next_argsz = sizes[i];
		memset(at(RIG_BASE), 0x55, 2 * RIG_PAGE);
		get_info(container, 512);
		/* The whole answer takes less. */
		for (unsigned byte = 256; byte < 2 * RIG_PAGE; byte++)
			ck_assert_uint_eq(at(RIG_BASE)[byte], 0x55);
	}
	/* argsz that is too small in the end is refused. */
	next_argsz = 8;
	ck_assert_int_eq(get_info(container, 512), -EINVAL);
	rig_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("service_call");
	TCase *tc = tcase_create("service_call");
	SRunner *runner;
	int n;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, answers_reach_the_client, 0, 2);
	tcase_add_test(tc, device_files);
	tcase_add_test(tc, argsz_changes_between_rounds);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	n = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n ? EXIT_FAILURE : EXIT_SUCCESS;
}
