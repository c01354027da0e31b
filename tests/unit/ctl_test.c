/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/ctl_test.c - requests of the control socket, what they answer, and sockets. */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <conf.h>
#include <unit/ctl_rig.h>

static void setup(void)
{
	rig_begin(&rig_service);
}

/* ---- requests ---- */

/* The answer as an object. */
static json_t *ask_bytes(const char *line, size_t size, bool may_change)
{
	uint64_t job = 99;
	char *text = NULL;
	json_t *json;

	ck_assert_int_eq(ctl_request(&rig.ctl, line, size, may_change, &text, &job), 0);
	ck_assert_uint_eq(job, 0);
	ck_assert_ptr_nonnull(text);
	ck_assert_uint_gt(strlen(text), 1);
	ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);	/* one line */
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	ck_assert_ptr_nonnull(json);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "v")), CTL_VERSION);
	free(text);
	return json;
}

static json_t *ask(const char *line)
{
	return ask_bytes(line, strlen(line), true);
}

static void answer_is_bytes(const char *line, size_t size, bool may_change,
			    const char *error, const char *text)
{
	json_t *json = ask_bytes(line, size, may_change);
	const char *is = json_string_value(json_object_get(json, "error"));
	const char *says = json_string_value(json_object_get(json, "text"));

	ck_assert_msg(json_is_false(json_object_get(json, "ok")), "not refused: %s", line);
	ck_assert_ptr_nonnull(is);
	ck_assert_ptr_nonnull(says);
	ck_assert_str_eq(is, error);
	ck_assert_msg(strstr(says, text) != NULL, "\"%s\" is not in: %s", text, says);
	json_decref(json);
}

#define REFUSED(line, error, text) \
	answer_is_bytes(line, strlen(line), true, error, text)

START_TEST(bad_requests)
{
	static const char nul[] = "{\"v\":1,\"command\":\"sta\0tus\"}";
	char deep[20000];

	REFUSED("", "EINVAL", "not JSON");
	REFUSED("status", "EINVAL", "not JSON");
	REFUSED("{\"v\":1,\"command\":\"status\"", "EINVAL", "at byte 25");
	REFUSED("{\"v\":1,\"command\":\"status\"}{}", "EINVAL", "not JSON");
	REFUSED("{\"v\":1,\"v\":1,\"command\":\"status\"}", "EINVAL", "duplicate");
	REFUSED("{\"v\":1,\"command\":\"\xff\"}", "EINVAL", "not JSON");
	REFUSED("[1]", "EINVAL", "object");
	REFUSED("{\"command\":\"status\"}", "EPROTO", "missing");
	REFUSED("{\"v\":2,\"command\":\"status\"}", "EPROTO", "version 1");
	REFUSED("{\"v\":\"1\",\"command\":\"status\"}", "EPROTO", "another");
	REFUSED("{\"v\":1}", "EINVAL", "no member \"command\"");
	REFUSED("{\"v\":1,\"command\":7}", "EINVAL", "\"command\" is no string");
	REFUSED("{\"v\":1,\"command\":\"reboot\"}", "EINVAL",
		"unknown command reboot; known are status, add, remove, stop");
	REFUSED("{\"v\":1,\"command\":\"status\",\"colour\":1}", "EINVAL", "colour");
	REFUSED("{\"v\":1,\"command\":\"status\",\"\":1}", "EINVAL", "no member \"\"");
	REFUSED("{\"v\":1,\"command\":\"remove\",\"name revoke\":1}", "EINVAL", "name revoke");
	REFUSED("{\"v\":1,\"command\":\"add\"}", "EINVAL", "no member \"device\"");
	REFUSED("{\"v\":1,\"command\":\"add\",\"device\":{}}", "EINVAL", "no string");
	REFUSED("{\"v\":1,\"command\":\"add\",\"device\":\"a\\u0000b\"}", "EINVAL",
		"not JSON");
	REFUSED("{\"v\":1,\"command\":\"remove\",\"name\":\"x\",\"revoke\":1}", "EINVAL",
		"neither true nor false");
	REFUSED("{\"v\":1,\"command\":\"stop\",\"name\":\"x\"}", "EINVAL", "revoke");
	answer_is_bytes(nul, sizeof(nul) - 1, true, "EINVAL", "not JSON");
	memset(deep, '[', sizeof(deep));
	answer_is_bytes(deep, sizeof(deep), true, "EINVAL", "not JSON");
	ck_assert_uint_eq(rig.asked, 0);
	rig_end();
}
END_TEST

/* Who may only ask. */
START_TEST(changes_need_a_right)
{
	static const char *const changes[] = {
		"{\"v\":1,\"command\":\"add\",\"device\":\"edu\"}",
		"{\"v\":1,\"command\":\"remove\",\"name\":\"edu0\"}",
		"{\"v\":1,\"command\":\"stop\"}",
	};
	json_t *json;

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		answer_is_bytes(changes[i], strlen(changes[i]), false, "EPERM", "root");
	ck_assert_uint_eq(rig.asked, 0);
	json = ask_bytes("{\"v\":1,\"command\":\"status\"}", 26, false);
	ck_assert(json_is_true(json_object_get(json, "ok")));
	json_decref(json);
	rig_end();
}
END_TEST

START_TEST(changes)
{
	uint64_t job = 0;
	char *text = NULL;
	json_t *json = ask("{\"v\":1,\"command\":\"add\",\"device\":\"nvme,size=1M\"}");
	const json_t *result = json_object_get(json, "result");

	ck_assert_str_eq(rig.said, "add nvme,size=1M");
	ck_assert_str_eq(json_string_value(json_object_get(result, "bdf")), "0000:07:00.0");
	ck_assert_str_eq(json_string_value(json_object_get(result, "group")), "noiommu-7");
	json_decref(json);
	rig.error = -ENOSPC;
	/* What is no JSON, or ends a line, is replaced. */
	REFUSED("{\"v\":1,\"command\":\"add\",\"device\":\"x\"}", "ENOSPC",
		"it is \"said\" with ? and ?");
	json = NULL;
	ck_assert_int_eq(ctl_request(&rig.ctl, "{\"v\":1,\"command\":\"remove\",\"name\":"
				     "\"n\",\"revoke\":true}", 51, true, &text, &job), 0);
	ck_assert_ptr_null(text);
	ck_assert_uint_eq(job, 1);
	ck_assert_str_eq(rig.said, "remove n 1");
	ck_assert_int_eq(ctl_request(&rig.ctl, "{\"v\":1,\"command\":\"stop\"}", 24, true,
				     &text, &job), 0);
	ck_assert_ptr_null(text);
	ck_assert_uint_eq(job, 2);
	ck_assert_str_eq(rig.said, "stop 0");
	rig.error = -ENOENT;
	REFUSED("{\"v\":1,\"command\":\"remove\",\"name\":\"n\"}", "ENOENT", "said");
	text = ctl_done();
	ck_assert_str_eq(text, "{\"v\":1,\"ok\":true,\"result\":{}}\n");
	free(text);
	rig_end();
}
END_TEST

static const struct ctl_ops run_ops = {
	.mode = "run", .files = rig_files, .device_id = rig_device_id,
};

START_TEST(a_run_changes_nothing)
{
	rig.ctl.ops = &run_ops;
	REFUSED("{\"v\":1,\"command\":\"add\",\"device\":\"edu\"}", "EOPNOTSUPP", "serve");
	REFUSED("{\"v\":1,\"command\":\"remove\",\"name\":\"edu\"}", "EOPNOTSUPP", "serve");
	REFUSED("{\"v\":1,\"command\":\"stop\"}", "EOPNOTSUPP", "command");
	rig_end();
}
END_TEST

/* ---- status ---- */

/* Compare with JSON in which ' stands for ". Numbers that are not told are not compared. */
static void has(const json_t *json, const char *member, size_t i, const char *want)
{
	const json_t *item = json_array_get(json_object_get(json, member), i);
	json_t *expected, *is;
	char text[512];
	const char *key;
	json_t *value;

	snprintf(text, sizeof(text), "%s", want);
	for (char *p = text; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	expected = json_loads(text, 0, NULL);
	ck_assert_msg(expected != NULL, "the test's own: %s", text);
	json_object_foreach(expected, key, value) {
		is = json_object_get(item, key);
		ck_assert_msg(json_equal(is, value), "%s[%zu].%s is %s, not %s", member, i, key,
			      json_dumps(is, JSON_ENCODE_ANY),
			      json_dumps(value, JSON_ENCODE_ANY));
	}
	json_decref(expected);
}

static void use(struct client *client)
{
	int container, group, device;

	container = client_open_container(client, rig.world.topology);
	group = client_open_group(client, rig.world.g1);
	ck_assert_int_ge(container, 0);
	ck_assert_int_ge(group, 0);
	ck_assert_int_eq(client_set_container(client, group, container), 0);
	ck_assert_int_eq(client_ioctl(client, container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU),
			 0);
	device = client_get_device(client, group, "0000:01:00.0");
	ck_assert_int_ge(device, 0);
	ck_assert_int_eq(client_map(client, container, 3, client_page(1), 0x10000, 4096), 0);
}

START_TEST(status_tells_all)
{
	struct client client;
	json_t *json, *status;

	client_init(&client);
	use(&client);
	rig.n_notes = 4;
	rig.notes[0] = (struct open_note){ { 77, 1000, "qemu" }, OBJECT_CONTAINER, .container = 1 };
	rig.notes[1] = (struct open_note){ { 78, 0, "other" }, OBJECT_GROUP, .group = 1,
					   .noiommu = true };
	rig.notes[2] = (struct open_note){ { 77, 1000, "qemu" }, OBJECT_GROUP, .group = 1 };
	rig.notes[3] = (struct open_note){ { 77, 1000, "qemu" }, OBJECT_DEVICE, .group = 1,
					   .device = "0000:01:00.0" };
	json = ask("{\"v\":1,\"command\":\"status\"}");
	ck_assert(json_is_true(json_object_get(json, "ok")));
	status = json_object_get(json, "result");
	ck_assert_str_eq(json_string_value(json_object_get(status, "mode")), "serve");
	ck_assert_int_eq(json_integer_value(json_object_get(status, "pid")), getpid());
	ck_assert_uint_eq(json_array_size(json_object_get(status, "groups")), 4);
	has(status, "groups", 0, "{'name':'1','state':'attached','container':1,'viable':true}");
	has(status, "groups", 1, "{'name':'2','state':'closed','viable':true}");
	has(status, "groups", 3, "{'name':'noiommu-1','state':'closed'}");
	has(json_array_get(json_object_get(status, "groups"), 0), "devices", 0,
	    "{'bdf':'0000:01:00.0','id':'scratch0','model':'scratch','state':'open',"
	    "'open_files':1,'dma':{'read_bytes':0,'written_bytes':0,'faults':0,'refused':0},"
	    "'interrupts':{'mode':'none','configured':0,'raised':0,'masked':false,"
	    "'error_event':false,'request_event':false}}");
	has(json_array_get(json_object_get(status, "groups"), 0), "devices", 1,
	    "{'bdf':'0000:01:00.1','id':'','state':'closed','open_files':0}");
	ck_assert_uint_eq(json_array_size(json_object_get(status, "containers")), 1);
	has(status, "containers", 0, "{'id':1,'open':true,'busy':false,'driver':'type1',"
	    "'groups':1,'mappings':1,'mapped_bytes':4096}");
	ck_assert_uint_eq(json_array_size(json_object_get(status, "clients")), 2);
	has(status, "clients", 0, "{'pid':77,'uid':1000,'name':'qemu','containers':[1],"
	    "'groups':['1'],'devices':['0000:01:00.0']}");
	has(status, "clients", 1, "{'pid':78,'uid':0,'name':'other','containers':[],"
	    "'groups':['noiommu-1'],'devices':[]}");
	ck_assert_int_eq(json_integer_value(json_object_get(status, "omitted")), 0);
	json_decref(json);
	ck_assert(client_exit(&client));
	rig_end();
}
END_TEST

/* A client can open as many containers as it likes; not all are listed. _i beyond it */
START_TEST(lists_have_a_limit)
{
	static struct container *containers[CTL_LIST_MAX + 1];
	size_t n = CTL_LIST_MAX + (size_t)_i;
	json_t *json, *status;

	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(container_open(rig.world.topology, &containers[i]), 0);
	json = ask("{\"v\":1,\"command\":\"status\"}");
	status = json_object_get(json, "result");
	ck_assert_uint_eq(json_array_size(json_object_get(status, "containers")), CTL_LIST_MAX);
	ck_assert_int_eq(json_integer_value(json_object_get(status, "omitted")), _i);
	json_decref(json);
	for (size_t i = 0; i < n; i++)
		container_release(containers[i]);
	rig_end();
}
END_TEST

/* As many clients, and as many files of one. _i beyond it */
START_TEST(lists_of_clients_have_a_limit)
{
	json_t *json;
	const json_t *status, *clients;

	rig.n_processes = CTL_LIST_MAX + (size_t)_i;
	rig.n_containers = CTL_LIST_MAX - 1 + (size_t)_i;
	json = ask("{\"v\":1,\"command\":\"status\"}");
	status = json_object_get(json, "result");
	clients = json_object_get(status, "clients");
	ck_assert_uint_eq(json_array_size(clients), CTL_LIST_MAX);
	ck_assert_uint_eq(json_array_size(json_object_get(json_array_get(clients, 0),
							  "containers")), CTL_LIST_MAX);
	ck_assert_uint_eq(json_array_size(json_object_get(json_array_get(clients, 1),
							  "containers")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(status, "omitted")), 2 * _i);
	json_decref(json);
	rig_end();
}
END_TEST

/* What people read has what the objects say, and of a status of another shape no more than
 * what is there. */
START_TEST(print)
{
	json_t *json = ask("{\"v\":1,\"command\":\"status\"}");
	json_t *odd = json_pack("{s:s, s:[i, n, {}], s:{}, s:i}", "version", "x", "groups", 1,
				"containers", "clients", 7);
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	ctl_print_status(f, json_object_get(json, "result"));
	fclose(f);
	ck_assert_ptr_nonnull(strstr(text, "0000:01:00.0  scratch0  1          closed  0"));
	ck_assert_ptr_nonnull(strstr(text, "No clients"));
	free(text);
	text = NULL;
	f = open_memstream(&text, &size);
	ctl_print_status(f, odd);
	ctl_print_status(f, NULL);
	fclose(f);
	ck_assert_ptr_nonnull(strstr(text, "vfio-cused x"));
	free(text);
	json_decref(odd);
	json_decref(json);
	rig_end();
}
END_TEST

/* ---- sockets ---- */

static char folder[] = "/tmp/cused-ctl-XXXXXX";
static char path[128];
static struct cused_error err;

static void folder_begin(void)
{
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/new/ctl", folder);
}

static void folder_end(void)
{
	char name[128];

	unlink(path);
	snprintf(name, sizeof(name), "%s/new", folder);
	rmdir(name);
	ck_assert_int_eq(rmdir(folder), 0);
}

START_TEST(sockets)
{
	struct ctl_socket where = { path, 0640, (uid_t)-1, (gid_t)-1 };
	mode_t mask = umask(077);
	int first, second, peer;
	struct stat st;

	folder_begin();
	ck_assert_int_eq(ctl_connect(path, &peer, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_msg(ctl_listen(&where, &first, &err) == 0, "%s", err.text);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode, S_IFSOCK | 0640);		/* in spite of the umask */
	ck_assert_int_eq(fcntl(first, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(umask(mask), 077);
	ck_assert_int_eq(ctl_connect(path, &peer, &err), 0);
	close(peer);
	/* In use; the one that is there stays. */
	ck_assert_int_eq(ctl_listen(&where, &second, &err), -EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_int_eq(ctl_connect(path, &peer, &err), 0);
	close(peer);
	/* Left behind. */
	close(first);
	ck_assert_int_eq(ctl_connect(path, &peer, &err), -ECONNREFUSED);
	ck_assert_int_eq(ctl_listen(&where, &first, &err), 0);
	close(first);
	/* Something else. */
	unlink(path);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	ck_assert_int_eq(ctl_listen(&where, &first, &err), -EEXIST);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	folder_end();
	rig_end();
}
END_TEST

START_TEST(sockets_that_cannot_be)
{
	struct ctl_socket where = { path, 0600, (uid_t)-1, (gid_t)-1 };
	int fd;

	where.path = "";
	ck_assert_int_eq(ctl_listen(&where, &fd, &err), -EINVAL);
	/* The name fits, and then not any more. */
	folder_begin();
	memset(path + strlen(path), 'x', 107 - strlen(path));
	path[107] = '\0';
	where.path = path;
	ck_assert_msg(ctl_listen(&where, &fd, &err) == 0, "%s", err.text);
	close(fd);
	unlink(path);
	strcpy(path + 107, "x");
	ck_assert_int_eq(ctl_listen(&where, &fd, &err), -ENAMETOOLONG);
	ck_assert_ptr_nonnull(strstr(err.text, "107"));
	ck_assert_int_eq(ctl_connect(path, &fd, &err), -ENAMETOOLONG);
	/* Of folders, the last is made. */
	snprintf(path, sizeof(path), "%s/no/new/ctl", folder);
	ck_assert_int_eq(ctl_listen(&where, &fd, &err), -ENOENT);
	/* Nobody but root gives sockets away. */
	if (geteuid() != 0) {
		snprintf(path, sizeof(path), "%s/new/ctl", folder);
		where.uid = 0;
		ck_assert_int_eq(ctl_listen(&where, &fd, &err), -EPERM);
		ck_assert_int_eq(access(path, F_OK), -1);
	}
	snprintf(path, sizeof(path), "%s/new/ctl", folder);
	folder_end();
	rig_end();
}
END_TEST

static int keys(const char *text, struct ctl_socket *ret)
{
	struct conf conf;
	int r;

	conf_init(&conf);
	r = conf_set_service(&conf, text, &err);
	if (r == 0)
		r = ctl_socket_of(&conf.service_list, conf.service, ret, &err);
	ck_assert(r < 0 || ret->path[0]);
	ret->path = NULL;		/* the configuration's */
	conf_done(&conf);
	return r;
}

START_TEST(keys_of_the_service)
{
	struct ctl_socket where;

	ck_assert_int_eq(keys("", &where), 0);
	ck_assert_uint_eq(where.mode, 0600);
	ck_assert_uint_eq(where.uid, 0);
	ck_assert_uint_eq(where.gid, 0);
	ck_assert_int_eq(keys("ctl=off", &where), 1);
	ck_assert_int_eq(keys("ctl=/x,ctl_mode=0777,ctl_owner=4294967294,ctl_group=12", &where),
			 0);
	ck_assert_uint_eq(where.mode, 0777);
	ck_assert_uint_eq(where.uid, 4294967294);
	ck_assert_uint_eq(where.gid, 12);
	ck_assert_int_eq(keys("ctl_mode=1000", &where), -EINVAL);
	ck_assert_int_eq(keys("ctl_mode=rw", &where), -EINVAL);
	ck_assert_int_eq(keys("ctl_mode=08", &where), -EINVAL);
	ck_assert_int_eq(keys("ctl_mode=", &where), -EINVAL);
	ck_assert_int_eq(keys("ctl_mode=77777777777777777777777", &where), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "ctl_mode=7777"));
	ck_assert_int_eq(keys("ctl_owner=4294967295", &where), -ENOENT);
	ck_assert_int_eq(keys("ctl_owner=no-such-user", &where), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "no-such-user"));
	ck_assert_int_eq(keys("ctl_group=-1", &where), -ENOENT);
	ck_assert_int_eq(keys("ctl_group=", &where), -EINVAL);
	rig_end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, bad_requests);
	tcase_add_test(tc, changes_need_a_right);
	tcase_add_test(tc, changes);
	tcase_add_test(tc, a_run_changes_nothing);
	tcase_add_test(tc, status_tells_all);
	tcase_add_loop_test(tc, lists_have_a_limit, 0, 2);
	tcase_add_loop_test(tc, lists_of_clients_have_a_limit, 0, 2);
	tcase_add_test(tc, print);
	tcase_add_test(tc, sockets);
	tcase_add_test(tc, sockets_that_cannot_be);
	tcase_add_test(tc, keys_of_the_service);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
