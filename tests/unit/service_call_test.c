/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/service_call_test.c - calls of the service's clients, from the request to the
 * answer, in both ways of copying; see cuse_rig.h. With a kernel that has CUSE:
 * vm/service.sh.
 */
#include <check.h>

#include <transport/open_notes.h>
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

static int put_in_place(int group, uint64_t place)
{
	struct service_device_place *arg = (void *)at(RIG_BASE);

	*arg = (struct service_device_place){ RIG_BASE + 256, place };
	return rig_ioctl(group, SERVICE_IOC_DEVICE_PLACE, RIG_BASE);
}

START_TEST(device_files_in_places)
{
	int container, group, device;

	rig_start(false);
	attach(&container, &group);
	strcpy((char *)at(RIG_BASE + 256), "0000:01:00.0");
	ck_assert_int_eq(put_in_place(group, 0), -EINVAL);
	ck_assert_int_eq(put_in_place(group, SERVICE_PLACE_MAX + 1ull), -EINVAL);
	ck_assert_int_eq(rig_ioctl(group, SERVICE_IOC_DEVICE_PLACE, RIG_BASE +
				   RIG_HOLE * RIG_PAGE), -EFAULT);
	ck_assert_int_eq(put_in_place(container, 1), -ENOTTY);
	ck_assert_int_eq(rig_take_place(SERVICE_PLACE_MAX), -ENOENT);
	ck_assert_int_eq(put_in_place(group, SERVICE_PLACE_MAX), 0);
	ck_assert_int_eq(rig_take_place(1), -ENOENT);
	device = rig_take_place(SERVICE_PLACE_MAX);
	ck_assert_int_ge(device, RIG_FD);
	ck_assert_int_eq(rig_take_place(SERVICE_PLACE_MAX), -ENOENT);
	ck_assert_int_eq(rig_ioctl(device, VFIO_DEVICE_RESET, 0), 0);
	rig_close(device);
	/* The name is judged as ever. */
	strcpy((char *)at(RIG_BASE + 256), "0000:01:00.7");
	ck_assert_int_eq(put_in_place(group, 1), -ENODEV);
	ck_assert_int_eq(rig_take_place(1), -ENOENT);
	rig_stop();
}
END_TEST

/* Of a group that has lost its devices: the name goes, open files are served on. */
START_TEST(a_hidden_group)
{
	struct cused_error err;
	int container, group;

	rig_start(false);
	attach(&container, &group);
	ck_assert_int_eq(service_hide_group(rig.service, rig.world.g1, &err), 0);
	ck_assert_int_eq(service_hide_group(rig.service, rig.world.g1, &err), -ENOENT);
	ck_assert_int_eq(rig_ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0), 0);
	ck_assert_uint_eq(service_reap(rig.service), 1);
	ck_assert_int_eq(service_add_group(rig.service, rig.world.g1, NULL, &err), 0);
	ck_assert_int_eq(service_add_group(rig.service, rig.world.g1, NULL, &err), -EEXIST);
	ck_assert_uint_eq(service_reap(rig.service), 0);
	ck_assert_int_eq(service_hide_group(rig.service, rig.world.g1, &err), 0);
	rig_close(group);
	rig_close(container);
	/* The rig takes no more answers when a channel has ended. */
	ck_assert_uint_eq(service_reap(rig.service), 0);
	ck_assert_int_eq(service_remove_group(rig.service, rig.world.g1, &err), -ENOENT);
	rig_stop();
}
END_TEST

/* ---- rules ---- */

static void rules(unsigned mode, unsigned uid, unsigned gid)
{
	struct access_rights rights = { true, mode, uid, gid };
	struct cused_error err;

	ck_assert_int_eq(service_set_rights(rig.service, rig.world.g1, &rights, &err), 0);
}

static void be(unsigned uid, unsigned gid)
{
	rig.uid = uid;
	rig.gid = gid;
}

static int status_of(int group)
{
	struct vfio_group_status *arg = (void *)at(RIG_BASE + 512);

	arg->argsz = sizeof(*arg);
	return rig_ioctl(group, VFIO_GROUP_GET_STATUS, RIG_BASE + 512);
}

/* Who may do what with an open file of group 1: (user 7, group 70) owns it. */
START_TEST(rules_decide_about_each_request)
{
	static const struct {
		unsigned mode, uid, gid;
		int result;
	} cases[] = {
		{ 0600, 7, 70, 0 }, { 0600, 7, 1, 0 }, { 0600, 8, 70, -EACCES },
		{ 0600, 8, 80, -EACCES }, { 0600, 0, 0, 0 }, { 0000, 0, 0, 0 },
		{ 0000, 7, 70, -EACCES }, { 0660, 8, 70, 0 }, { 0660, 8, 80, -EACCES },
		{ 0666, 8, 80, 0 }, { 0400, 7, 70, 0 }, { 0200, 7, 70, 0 },
		{ 0100, 7, 70, -EACCES }, { 0111, 8, 70, -EACCES },
		/* The first class that fits decides, as in the kernel. */
		{ 0066, 7, 70, -EACCES }, { 0606, 8, 70, -EACCES }, { 0606, 8, 80, 0 },
	};
	int group;

	rig_start(_i);
	group = rig_open(rig_node(RIG_GROUP1));
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rules(cases[i].mode, 7, 70);
		be(cases[i].uid, cases[i].gid);
		/* The second time is remembered, or not. */
		for (unsigned k = 0; k < 2; k++)
			ck_assert_msg(status_of(group) == cases[i].result, "case %u", i);
	}
	/* Whom the kernel let open it is asked here, too. */
	be(0, 0);
	rig_close(group);
	rules(0660, 7, 70);
	be(8, 80);
	ck_assert_int_eq(rig_open(rig_node(RIG_GROUP1)), -EACCES);
	be(8, 70);
	group = rig_open(rig_node(RIG_GROUP1));
	ck_assert_int_ge(group, RIG_FD);
	ck_assert_int_eq(status_of(group), 0);
	/* Passed on, and back; closing is for everybody. */
	be(8, 80);
	ck_assert_int_eq(status_of(group), -EACCES);
	be(7, 1);
	ck_assert_int_eq(status_of(group), 0);
	be(8, 80);
	rig_close(group);
	/* Other groups, and the container, have no rules. */
	group = rig_open(rig_node(RIG_GROUP2));
	ck_assert_int_eq(status_of(group), 0);
	ck_assert_int_ge(rig_open(rig_node(RIG_CONTAINER)), RIG_FD);
	rig_stop();
}
END_TEST

START_TEST(rules_reach_device_files)
{
	struct access_rights none = ACCESS_RIGHTS_DEFAULT;
	struct cused_error err;
	int container, group, device;

	rig_start(_i);
	rules(0600, 7, 70);
	be(7, 70);
	attach(&container, &group);
	strcpy((char *)at(RIG_BASE + 256), "0000:01:00.0");
	ck_assert_int_eq(rig_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, RIG_BASE + 256), -EIO);
	device = group + 1;
	ck_assert_int_eq(rig_ioctl(device, VFIO_DEVICE_RESET, 0), 0);
	ck_assert_int_eq(rig_rw(device, false, CLIENT_CONFIG, at(RIG_BASE), 4), 4);
	be(8, 80);
	ck_assert_int_eq(rig_ioctl(device, VFIO_DEVICE_RESET, 0), -EACCES);
	ck_assert_int_eq(rig_rw(device, false, CLIENT_CONFIG, at(RIG_BASE), 4), -EACCES);
	ck_assert_int_eq(rig_rw(device, true, CLIENT_CONFIG, at(RIG_BASE), 4), -EACCES);
	/* A user who is taken out of the rules has the file, and no more use of it. */
	be(7, 70);
	ck_assert_int_eq(rig_rw(device, false, CLIENT_CONFIG, at(RIG_BASE), 4), 4);
	rules(0600, 8, 80);
	ck_assert_int_eq(rig_rw(device, false, CLIENT_CONFIG, at(RIG_BASE), 4), -EACCES);
	ck_assert_int_eq(rig_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, RIG_BASE + 256), -EACCES);
	be(8, 80);
	ck_assert_int_eq(rig_rw(device, false, CLIENT_CONFIG, at(RIG_BASE), 4), 4);
	/* No rules any more. */
	be(7, 70);
	ck_assert_int_eq(service_set_rights(rig.service, rig.world.g1, &none, &err), 0);
	ck_assert_int_eq(rig_rw(device, false, CLIENT_CONFIG, at(RIG_BASE), 4), 4);
	rig_stop();
}
END_TEST

/* The client is our child and has our supplementary groups. */
START_TEST(supplementary_groups_are_looked_up)
{
	gid_t groups[64];
	int group, n = getgroups(64, groups);

	rig_start(_i);
	group = rig_open(rig_node(RIG_GROUP1));
	be(8, 4000000000u);
	rules(0060, 7, 4000000001u);
	ck_assert_int_eq(status_of(group), -EACCES);
	if (n > 0) {
		rules(0060, 7, groups[n - 1]);
		ck_assert_int_eq(status_of(group), 0);
		/* Of another pid namespace, nothing is known. */
		rig.tid = 0;
		rules(0060, 7, groups[n - 1]);
		ck_assert_int_eq(status_of(group), -EACCES);
		rig.tid = rig.client;
		/* The group's class decides, to a caller's disadvantage too. */
		rules(0606, 7, groups[n - 1]);
		ck_assert_int_eq(status_of(group), -EACCES);
	}
	rig_stop();
}
END_TEST

static void note_is(const struct open_note *note, enum object_kind kind)
{
	ck_assert_int_eq(note->kind, kind);
	ck_assert_int_eq(note->who.pid, rig.client);
	ck_assert_uint_eq(note->who.uid, rig.uid);
	ck_assert_str_eq(note->who.name, "a ?client");
}

/* What status output tells of clients. */
START_TEST(open_files_are_noted)
{
	struct open_notes notes = { 0 };
	int container, group;

	/* The client's too; 15 bytes would be its most. */
	ck_assert_int_eq(prctl(PR_SET_NAME, "a \033client"), 0);
	rig_start(false);
	rig.uid = 4321;
	ck_assert_int_eq(service_files(rig.service, &notes), 0);
	ck_assert_uint_eq(notes.n, 0);
	attach(&container, &group);
	strcpy((char *)at(RIG_BASE + 256), "0000:01:00.0");
	rig_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, RIG_BASE + 256);
	ck_assert_int_eq(service_files(rig.service, &notes), 0);
	ck_assert_uint_eq(notes.n, 3);
	note_is(&notes.files[0], OBJECT_CONTAINER);
	ck_assert_uint_eq(notes.files[0].container, 1);
	note_is(&notes.files[1], OBJECT_GROUP);
	ck_assert_uint_eq(notes.files[1].group, 1);
	note_is(&notes.files[2], OBJECT_DEVICE);
	ck_assert_uint_eq(notes.files[2].group, 1);
	ck_assert_str_eq(notes.files[2].device, "0000:01:00.0");
	open_notes_done(&notes);
	rig_close(group + 1);
	ck_assert_int_eq(service_files(rig.service, &notes), 0);
	ck_assert_uint_eq(notes.n, 2);
	open_notes_done(&notes);
	/* A client of a pid namespace that is not ours has no number. */
	rig.tid = 0;
	ck_assert_int_ge(rig_open(rig_node(RIG_CONTAINER)), RIG_FD);
	ck_assert_int_eq(service_files(rig.service, &notes), 0);
	ck_assert_uint_eq(notes.n, 3);
	for (size_t i = 0; i < notes.n; i++)
		ck_assert(notes.files[i].who.pid == rig.client ||
			  (notes.files[i].who.pid == 0 && !notes.files[i].who.name[0] &&
			   notes.files[i].who.uid == 4321));
	open_notes_done(&notes);
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
	tcase_add_test(tc, device_files_in_places);
	tcase_add_test(tc, a_hidden_group);
	tcase_add_loop_test(tc, rules_decide_about_each_request, 0, 2);
	tcase_add_test(tc, rules_reach_device_files);
	tcase_add_test(tc, supplementary_groups_are_looked_up);
	tcase_add_test(tc, open_files_are_noted);
	tcase_add_test(tc, argsz_changes_between_rounds);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	n = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n ? EXIT_FAILURE : EXIT_SUCCESS;
}
