/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/restart_test.c - a service that is killed, and one that takes over: what clients have
 * open goes on, and calls have their effect once, wherever the first one died.
 */
#include <check.h>

#include <unit/restart_rig.h>

#define IOVA 0x100000u

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

static int map(int container)
{
	struct vfio_iommu_type1_dma_map *arg = (void *)at(RIG_BASE);

	*arg = (struct vfio_iommu_type1_dma_map){
		.argsz = sizeof(*arg), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = RIG_BASE + 2 * RIG_PAGE, .iova = IOVA, .size = 2 * RIG_PAGE };
	return rig_ioctl(container, VFIO_IOMMU_MAP_DMA, RIG_BASE);
}

static int unmap(int container, uint64_t *ret_size)
{
	struct vfio_iommu_type1_dma_unmap *arg = (void *)at(RIG_BASE);
	int r;

	*arg = (struct vfio_iommu_type1_dma_unmap){ .argsz = sizeof(*arg), .iova = IOVA,
						    .size = 16 * RIG_PAGE };
	r = rig_ioctl(container, VFIO_IOMMU_UNMAP_DMA, RIG_BASE);
	*ret_size = arg->size;
	return r;
}

static uint32_t status_of(int group)
{
	struct vfio_group_status *arg = (void *)at(RIG_BASE);

	*arg = (struct vfio_group_status){ .argsz = sizeof(*arg) };
	ck_assert_int_eq(rig_ioctl(group, VFIO_GROUP_GET_STATUS, RIG_BASE), 0);
	return arg->flags;
}

static unsigned open_files(void)
{
	struct service_status status;

	service_get_status(rig.service, &status);
	return status.open_files;
}

static int get_device(int group)
{
	strcpy((char *)at(RIG_BASE + 256), "0000:01:00.0");
	return rig_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, RIG_BASE + 256);
}

static void end(void)
{
	/* All that was to die has died. */
	ck_assert_uint_eq(restart.deaths, 0);
	rig_stop();
	restart_end();
}

/* ---- what goes on ---- */

START_TEST(what_clients_have_open_goes_on)
{
	struct service_status before, after;
	int container, group, other, device;
	uint64_t size;

	restart_start(false);
	attach(&container, &group);
	ck_assert_int_eq(map(container), 0);
	ck_assert_int_eq(get_device(group), -EIO);	/* of a courier, see the rig */
	device = group + 1;
	service_get_status(rig.service, &before);
	for (int i = 0; i < 2; i++) {
		restart_now();
		service_get_status(rig.service, &after);
		ck_assert_uint_eq(after.nodes, before.nodes);
		ck_assert_uint_eq(after.open_files, 2);
		ck_assert_uint_eq(after.device_files, 1);
		ck_assert_uint_eq(status_of(group), VFIO_GROUP_FLAGS_VIABLE |
				  VFIO_GROUP_FLAGS_CONTAINER_SET);
		ck_assert_int_eq(map(container), -EEXIST);
		ck_assert_int_eq(rig_rw(device, false, CLIENT_CONFIG, at(RIG_BASE), 4), 4);
		ck_assert_int_eq(memcmp(at(RIG_BASE), "\x34\x12\x78\x56", 4), 0);
		/* One opener at a time, as ever; and a container of one's own. */
		ck_assert_int_eq(rig_open(rig_node(RIG_GROUP1)), -EBUSY);
		other = rig_open(rig_node(RIG_CONTAINER));
		ck_assert_int_ge(other, RIG_FD);
		ck_assert_uint_gt(rig_file(other)->fh, rig_file(container)->fh);
		rig_close(other);
	}
	ck_assert_int_eq(unmap(container, &size), 0);
	ck_assert_uint_eq(size, 2 * RIG_PAGE);
	rig_close(device);
	ck_assert_int_eq(rig_ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0), 0);
	rig_close(group);
	group = rig_open(rig_node(RIG_GROUP1));
	ck_assert_int_ge(group, RIG_FD);
	end();
}
END_TEST

START_TEST(numbers_that_are_not_there)
{
	struct fuse_release_in release = { 0 };
	int container;

	restart_start(false);
	container = rig_open(rig_node(RIG_CONTAINER));
	ck_assert_int_ge(container, RIG_FD);
	for (int i = 0; i < 2; i++) {
		struct rig_file *file = rig_file(container);

		file->fh++;
		ck_assert_int_eq(rig_ioctl(container, VFIO_GET_API_VERSION, 0), -EBADF);
		release.fh = file->fh;
		ck_assert_int_eq(rig_call(rig_node(RIG_CONTAINER), FUSE_RELEASE, 0, &release,
					  sizeof(release), NULL, 0), 0);
		file->fh--;
		ck_assert_int_eq(rig_ioctl(container, VFIO_GET_API_VERSION, 0), 0);
		/* Of another node. */
		file->channel = rig_node(RIG_GROUP1);
		ck_assert_int_eq(rig_ioctl(container, VFIO_GROUP_UNSET_CONTAINER, 0), -EBADF);
		file->channel = rig_node(RIG_CONTAINER);
		restart_now();
	}
	ck_assert_uint_eq(open_files(), 1);
	end();
}
END_TEST

/* More than the table of a node begins with. */
START_TEST(many_open_files)
{
	enum { MANY = 300 };
	struct fuse_open_in in = { .flags = O_RDWR };
	struct fuse_release_in release = { 0 };
	uint64_t numbers[MANY];

	restart_start(false);
	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(rig_call(rig_node(RIG_CONTAINER), FUSE_OPEN, 0, &in, sizeof(in),
					  NULL, 0), 0);
		numbers[i] = ((struct fuse_open_out *)rig_payload(&rig.mine))->fh;
	}
	restart_now();
	ck_assert_uint_eq(open_files(), MANY);
	/* Every other one, twice. */
	for (int i = 0; i < 2 * MANY; i += 2) {
		release.fh = numbers[i % MANY];
		ck_assert_int_eq(rig_call(rig_node(RIG_CONTAINER), FUSE_RELEASE, 0, &release,
					  sizeof(release), NULL, 0), 0);
	}
	ck_assert_uint_eq(open_files(), MANY / 2);
	restart_now();
	ck_assert_uint_eq(open_files(), MANY / 2);
	for (int i = 1; i < MANY; i += 2) {
		release.fh = numbers[i];
		ck_assert_int_eq(rig_call(rig_node(RIG_CONTAINER), FUSE_RELEASE, 0, &release,
					  sizeof(release), NULL, 0), 0);
	}
	ck_assert_uint_eq(open_files(), 0);
	end();
}
END_TEST

static unsigned nodes(void)
{
	struct service_status status;

	service_get_status(rig.service, &status);
	return status.nodes;
}

START_TEST(groups_that_have_gone)
{
	struct cused_error err;
	int container, group;

	restart_start(false);
	attach(&container, &group);
	ck_assert_int_eq(service_hide_group(rig.service, rig.world.g1, &err), 0);
	restart_kill();
	ck_assert_int_eq(restart_take_over(&err), 0);
	/* Group 1 has no name; group 2 has lost its device, and nobody has it open. */
	ck_assert_uint_eq(nodes(), 3);
	topology_hide_device(rig.world.topology, rig.world.d20);
	ck_assert_int_eq(topology_free_device(rig.world.topology, rig.world.d20), 0);
	ck_assert_uint_eq(service_reap(rig.service), 1);
	ck_assert_uint_eq(nodes(), 2);
	ck_assert_int_eq(service_remove_group(rig.service, rig.world.g2, &err), -ENOENT);
	ck_assert_uint_eq(status_of(group) & VFIO_GROUP_FLAGS_CONTAINER_SET,
			  VFIO_GROUP_FLAGS_CONTAINER_SET);
	ck_assert_int_eq(service_add_group(rig.service, rig.world.g1, NULL, &err), 0);
	ck_assert_int_eq(service_add_group(rig.service, rig.world.g1, NULL, &err), -EEXIST);
	end();
}
END_TEST

START_TEST(a_node_without_its_file)
{
	struct cused_error err;

	restart_start(false);
	restart_kill();
	fake_kept_drop(rig.fds, "cuse-1");
	rig_service(false);
	restart_world();
	ck_assert_int_eq(service_start(rig.service, rig.world.topology, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "vfio/1 was not kept"));
	fake_kept_put(rig.fds, "cuse-1", rig.death);	/* for whoever drops it */
	end();
}
END_TEST

/* The end of a service is the end of all that it has kept. */
START_TEST(nothing_is_left)
{
	static const enum keep_kind kinds[] = { KEEP_NODE, KEEP_OPEN_FILE };
	int container, group;

	restart_start(false);
	attach(&container, &group);
	restart_now();
	ck_assert_uint_eq(fake_kept_count(&restart.kept[1], KEEP_NODE), 4);
	ck_assert_uint_eq(fake_kept_count(&restart.kept[1], KEEP_OPEN_FILE), 2);
	rig_close(group);
	ck_assert_uint_eq(fake_kept_count(&restart.kept[1], KEEP_OPEN_FILE), 1);
	/* The client's other file is taken away with its node. */
	ck_assert_int_eq(service_stop(rig.service), 0);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_uint_eq(fake_kept_count(&restart.kept[1], kinds[i]), 0);
	for (unsigned i = 0; i < restart.kept[1].n; i++)
		ck_assert_int_ne(strncmp(restart.kept[1].files[i].name, "cuse-", 5), 0);
	world_done(&rig.world);
	rig_end();
	restart_end();
}
END_TEST

static unsigned settled;

static void settle(struct fd_keep *fds)
{
	settled++;
	ck_assert_int_eq(fake_kept_find((struct fake_kept *)fds, "cuse-1"), -1);
}

/* Its name can be another device's as soon as it is known to have gone. */
START_TEST(a_node_that_goes_is_waited_for)
{
	struct cused_error err;

	restart_start(false);
	rig.fds->settle = settle;
	ck_assert_int_eq(service_remove_group(rig.service, rig.world.g1, &err), 0);
	ck_assert_uint_eq(settled, 1);
	rig.fds->settle = NULL;
	end();
}
END_TEST

/* ---- calls that come again ---- */

static const enum restart_point points[] = { DIE_BEFORE_COMMIT, DIE_BEFORE_REPLY };

/* _i: where; and by both ways of copying */
START_TEST(a_mapping_is_made_once)
{
	int container, group;
	uint64_t size;

	restart_start(_i / 2);
	attach(&container, &group);
	restart_die(points[_i % 2], 1);
	ck_assert_int_eq(map(container), 0);
	ck_assert_int_eq(map(container), -EEXIST);
	ck_assert_int_eq(unmap(container, &size), 0);
	ck_assert_uint_eq(size, 2 * RIG_PAGE);
	end();
}
END_TEST

START_TEST(a_mapping_goes_once)
{
	static const enum restart_point where[] = { DIE_BEFORE_COMMIT, DIE_BEFORE_COPY,
						    DIE_AFTER_COPY, DIE_BEFORE_REPLY };
	int container, group;
	uint64_t size;

	restart_start(false);
	attach(&container, &group);
	ck_assert_int_eq(map(container), 0);
	restart_die(where[_i], 1);
	ck_assert_int_eq(unmap(container, &size), 0);
	ck_assert_uint_eq(size, 2 * RIG_PAGE);
	ck_assert_int_eq(unmap(container, &size), 0);
	ck_assert_uint_eq(size, 0);
	end();
}
END_TEST

/* The answer waits for as long as it takes. */
START_TEST(a_call_dies_with_several_services)
{
	int container, group;
	uint64_t size;

	restart_start(false);
	attach(&container, &group);
	ck_assert_int_eq(map(container), 0);
	restart_die(_i ? DIE_BEFORE_COPY : DIE_BEFORE_REPLY, 3);
	ck_assert_int_eq(unmap(container, &size), 0);
	ck_assert_uint_eq(size, 2 * RIG_PAGE);
	ck_assert_uint_eq(restart.process, 3);
	end();
}
END_TEST

/* Where the client takes no answer, the call has had its effect all the same. */
START_TEST(an_answer_that_cannot_be_written)
{
	struct vfio_iommu_type1_dma_unmap *arg;
	int container, group;
	uint64_t size;

	restart_start(false);
	arg = (void *)at(RIG_BASE + RIG_CLOSED * RIG_PAGE);
	attach(&container, &group);
	ck_assert_int_eq(map(container), 0);
	*arg = (struct vfio_iommu_type1_dma_unmap){ .argsz = sizeof(*arg), .iova = IOVA,
						    .size = 16 * RIG_PAGE };
	restart_die(_i ? DIE_BEFORE_COPY : DIE_BEFORE_REPLY, 1);
	ck_assert_int_eq(rig_ioctl(container, VFIO_IOMMU_UNMAP_DMA,
				   RIG_BASE + RIG_CLOSED * RIG_PAGE), -EFAULT);
	ck_assert_int_eq(unmap(container, &size), 0);
	ck_assert_uint_eq(size, 0);
	end();
}
END_TEST

START_TEST(a_file_is_opened_once)
{
	int group, container;

	restart_start(false);
	restart_die(points[_i], 1);
	group = rig_open(rig_node(RIG_GROUP1));
	ck_assert_int_ge(group, RIG_FD);
	ck_assert_uint_eq(open_files(), 1);
	restart_die(points[_i], 1);
	container = rig_open(rig_node(RIG_CONTAINER));
	ck_assert_int_ge(container, RIG_FD);
	ck_assert_uint_eq(open_files(), 2);
	*(int32_t *)(void *)at(RIG_BASE) = container;
	restart_die(points[_i], 1);
	ck_assert_int_eq(rig_ioctl(group, VFIO_GROUP_SET_CONTAINER, RIG_BASE), 0);
	ck_assert_uint_eq(status_of(group), VFIO_GROUP_FLAGS_VIABLE |
			  VFIO_GROUP_FLAGS_CONTAINER_SET);
	end();
}
END_TEST

START_TEST(a_file_is_closed_once)
{
	int container, group;

	restart_start(false);
	attach(&container, &group);
	restart_die(points[_i], 1);
	rig_close(group);
	ck_assert_uint_eq(open_files(), 1);
	group = rig_open(rig_node(RIG_GROUP1));
	ck_assert_int_ge(group, RIG_FD);
	ck_assert_uint_eq(status_of(group), VFIO_GROUP_FLAGS_VIABLE);
	restart_die(points[_i], 1);
	rig_close(container);
	ck_assert_uint_eq(open_files(), 1);
	end();
}
END_TEST

/* A close is let go on when its work takes long, so it does not come again. */
START_TEST(a_close_that_was_answered)
{
	static struct rig_wait nobody;
	struct fuse_release_in in = { .flags = O_RDWR };
	int container, group;

	restart_start(false);
	attach(&container, &group);
	restart_die(DIE_IN_CLOSE, 1);
	in.fh = rig_file(group)->fh;
	rig_file(group)->open = false;
	rig_send(rig_node(RIG_GROUP1), &nobody, FUSE_RELEASE, 0, &in, sizeof(in), NULL, 0);
	restart_after_death();
	ck_assert_uint_eq(open_files(), 1);
	group = rig_open(rig_node(RIG_GROUP1));
	ck_assert_int_ge(group, RIG_FD);
	ck_assert_uint_eq(status_of(group), VFIO_GROUP_FLAGS_VIABLE);
	end();
}
END_TEST

/* A courier that did not come to the answer goes for it again; what it was to bring before is
 * void, so that the device is open once. */
START_TEST(a_device_comes_once)
{
	static const enum restart_point where[] = { DIE_BEFORE_COURIER, DIE_AFTER_COURIER };
	struct service_status status;
	int container, group;

	restart_start(false);
	attach(&container, &group);
	restart_die(where[_i], 1);
	ck_assert_int_eq(get_device(group), -EIO);
	if (_i)
		restart_after_death();	/* the client's call was answered before */
	ck_assert_ptr_nonnull(rig_file(group + 1));
	ck_assert_ptr_null(rig_file(group + 2));
	service_get_status(rig.service, &status);
	ck_assert_uint_eq(status.device_files, 1);
	ck_assert_int_eq(rig_ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0), -EBUSY);
	rig_close(group + 1);
	ck_assert_int_eq(rig_ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0), 0);
	end();
}
END_TEST

START_TEST(a_token_comes_once)
{
	static const enum restart_point where[] = { DIE_BEFORE_COMMIT, DIE_BEFORE_COPY,
						    DIE_BEFORE_REPLY };
	struct service_device_token *arg;
	struct service_status status;
	int container, group, device;

	restart_start(false);
	arg = (void *)at(RIG_BASE);
	attach(&container, &group);
	strcpy((char *)at(RIG_BASE + 256), "0000:01:00.0");
	*arg = (struct service_device_token){ .name = RIG_BASE + 256 };
	restart_die(where[_i], 1);
	ck_assert_int_eq(rig_ioctl(group, SERVICE_IOC_DEVICE_TOKEN, RIG_BASE), 0);
	service_get_status(rig.service, &status);
	ck_assert_uint_eq(status.device_files, 1);
	device = rig_take_device(arg->token, &rig.mine, rig_answer);
	ck_assert_int_ge(device, RIG_FD);
	rig_close(device);
	ck_assert_int_eq(rig_ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0), 0);
	end();
}
END_TEST

/* The service has done a call of @minor's, whose caller is lent out, and is killed before it says
 * so. */
static void die_before_the_end(uint32_t minor, uint64_t call, int32_t result)
{
	struct cused_error err;
	struct replays *replays;
	struct replay replay;

	restart_kill();
	ck_assert_int_eq(replays_new(rig.keep, &replays), 0);
	replay_begin(&replay, replays, minor, call);
	keep_drop(rig.keep, KEEP_MAPPING, UINT64_MAX);	/* an effect */
	replay_lend();
	replay_lent(rig.tid, result);
	replay_end(&replay);
	replays_thread_end(replays);
	replays_free(replays);
	ck_assert_int_eq(restart_take_over(&err), 0);
	rig_add_groups();
}

/* For its courier; for anybody else, and another time, it is a command like any unknown one. */
START_TEST(what_came_of_a_lent_call_is_told_once)
{
	int container, group, unknown;

	restart_start(false);
	attach(&container, &group);
	unknown = rig_ioctl(container, SERVICE_IOC_LENT, 100);
	ck_assert_int_lt(unknown, 0);
	die_before_the_end(RIG_CONTAINER, 100, _i ? -ENOSPC : 0);
	ck_assert_int_eq(rig_ioctl(container, SERVICE_IOC_LENT, 102), unknown);
	ck_assert_int_lt(rig_ioctl(group, SERVICE_IOC_LENT, 100), 0);
	ck_assert_int_eq(rig_ioctl(container, SERVICE_IOC_LENT, 100), _i ? 1 + ENOSPC : 1);
	ck_assert_int_eq(rig_ioctl(container, SERVICE_IOC_LENT, 100), unknown);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("restart");
	TCase *tcase = tcase_create("restart");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, what_clients_have_open_goes_on);
	tcase_add_test(tcase, numbers_that_are_not_there);
	tcase_add_test(tcase, many_open_files);
	tcase_add_test(tcase, groups_that_have_gone);
	tcase_add_test(tcase, a_node_without_its_file);
	tcase_add_test(tcase, nothing_is_left);
	tcase_add_test(tcase, a_node_that_goes_is_waited_for);
	tcase_add_loop_test(tcase, a_mapping_is_made_once, 0, 4);
	tcase_add_loop_test(tcase, a_mapping_goes_once, 0, 4);
	tcase_add_loop_test(tcase, a_call_dies_with_several_services, 0, 2);
	tcase_add_loop_test(tcase, an_answer_that_cannot_be_written, 0, 2);
	tcase_add_loop_test(tcase, a_file_is_opened_once, 0, 2);
	tcase_add_loop_test(tcase, a_file_is_closed_once, 0, 2);
	tcase_add_test(tcase, a_close_that_was_answered);
	tcase_add_loop_test(tcase, a_device_comes_once, 0, 2);
	tcase_add_loop_test(tcase, a_token_comes_once, 0, 3);
	tcase_add_loop_test(tcase, what_came_of_a_lent_call_is_told_once, 0, 2);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
