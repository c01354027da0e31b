/* SPDX-License-Identifier: GPL-2.0-or-later */
/* conf_load.c and conf_rights.c: a file, the options over it, and what is refused, by file
 * and line. */
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <conf_load.h>
#include <registry.h>
#include <util/log.h>
#include <unit/conf_widget.h>

#define NO_SYSFS "/nonexistent"

static struct conf conf;
static struct cused_error err;
static char folder[] = "/tmp/cused-load-XXXXXX", path[64];

static void setup(void)
{
	conf_init(&conf);
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/conf", folder);
}

static void teardown(void)
{
	conf_done(&conf);
	unlink(path);
	ck_assert_int_eq(rmdir(folder), 0);
}

static int parse_bytes(const char *text, size_t size)
{
	conf_done(&conf);
	err.text[0] = '\0';
	return conf_parse(&conf, "F", text, size, &err);
}

static int parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

static void good(const char *text)
{
	int r = parse(text);

	ck_assert_msg(r == 0, "%s: %s", text, err.text);
}

static void says(const char *part)
{
	ck_assert_msg(strstr(err.text, part) != NULL, "no \"%s\" in \"%s\"", part, err.text);
}

/* @beginning: "F:3: …" */
static void refused(const char *text, int code, const char *beginning, const char *part)
{
	ck_assert_msg(parse(text) == code, "%s: %s", text, err.text);
	ck_assert_msg(!strncmp(err.text, beginning, strlen(beginning)), "%s", err.text);
	says(part);
}

static void put(const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

static char *dump(void)
{
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	int r = conf_finish(&conf, NO_SYSFS, &err);

	ck_assert_msg(r == 0, "%s", err.text);
	conf_dump(&conf, f);
	fclose(f);
	return text;
}

#define WIRES "[iommu]\nbackend = wires\n"

START_TEST(sections_and_keys)
{
	good("# a comment\n\n[device \"first\"]\n\tbackend = widget\nimage=  a, b;c #d\n"
	     " size : 2K \r\n; another\n[device \"second\"]\nbackend=widget\ngroup=4\n"
	     "[group \"4\"]\nmode = 640\nowner = 12\ngroup=0\n" WIRES
	     "memlock = enforce\naperture = 48\n[service]\nmemory = retry");
	ck_assert_int_eq(conf_finish(&conf, NO_SYSFS, &err), 0);
	ck_assert_uint_eq(conf.n_devices, 2);
	ck_assert_str_eq(conf.devices[0].id, "first");
	ck_assert_str_eq(conf.devices[0].values[0].string, "a, b;c #d");
	ck_assert_uint_eq(conf.devices[0].values[1].number, 2048);
	ck_assert_uint_eq(conf.devices[1].group, 4);
	ck_assert_ptr_eq(conf.iommu, &wires_ops);
	ck_assert_uint_eq(conf.iommu_values[0].number, 48);
	ck_assert_str_eq(conf.iommu_common[CONF_IOMMU_MEMLOCK].string, "enforce");
	ck_assert_str_eq(conf.service[CONF_SERVICE_MEMORY].string, "retry");
	ck_assert_uint_eq(conf_rights(&conf, 4).mode, 0640);
	ck_assert_uint_eq(conf_rights(&conf, 4).uid, 12);
	ck_assert_uint_eq(conf_rights(&conf, 0).mode, 0600);
	good("\xef\xbb\xbf[service]\nsysfs = off\n");
	ck_assert_uint_eq(conf.service[CONF_SERVICE_SYSFS].number, 0);
	good("");
	good("\n\n  \n#");
}
END_TEST

START_TEST(what_is_dumped_is_read_again_and_dumped_the_same)
{
	char *once, *again;

	ck_assert_int_eq(conf_set_iommu(&conf, "wires,aperture=50,memlock=enforce", &err), 0);
	ck_assert_int_eq(conf_set_service(&conf, "courier=off", &err), 0);
	ck_assert_int_eq(conf_add_device(&conf, "widget,image=a,,b;c # d = [e],group=7", &err),
			 0);
	ck_assert_int_eq(conf_add_device(&conf, "widget,size=1536,id=second", &err), 0);
	ck_assert_int_eq(conf_set_group(&conf, "7,owner=0,mode=0660", &err), 0);
	ck_assert_int_eq(conf_set_log(&conf, "widget=debug,all=error", &err), 0);
	once = dump();
	good(once);
	again = dump();
	ck_assert_str_eq(once, again);
	free(again);
	free(once);
}
END_TEST

START_TEST(the_command_line_stands_over_the_file)
{
	struct conf_option options[] = {
		{ conf_add_device, "widget,id=b,size=8" },
		{ conf_add_device, "widget" },
		{ conf_set_iommu, "wires,aperture=40" },
		{ conf_set_iommu, "wires,aperture=41" },
		{ conf_set_service, "courier=off" },
		{ conf_set_group, "3,mode=0666" },
	};
	struct conf_source source = { path, false, options, 6 };

	put("[device \"a\"]\nbackend = widget\n[device \"b\"]\nbackend = widget\ngroup = 3\n"
	    "[device \"c\"]\nbackend = widget\ngroup = 3\n"
	    "[group \"3\"]\nowner = 5\nmode = 0640\n" WIRES "dma_entry_limit = 9\n"
	    "aperture = 30\n[service]\nsysfs = off\n");
	ck_assert_msg(conf_load(&conf, &source, &err) == 0, "%s", err.text);
	ck_assert_msg(conf_finish(&conf, NO_SYSFS, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(conf.n_devices, 4);
	ck_assert_str_eq(conf.devices[1].id, "b");		/* as a whole, in its place */
	ck_assert_uint_eq(conf.devices[1].values[1].number, 8);
	ck_assert_uint_ne(conf.devices[1].group, 3);
	ck_assert_str_eq(conf.devices[3].id, "widget0");
	/* The last --iommu stands for all of them, and over the file. */
	ck_assert_uint_eq(conf.iommu_values[0].number, 41);
	ck_assert_uint_eq(conf.service[CONF_SERVICE_SYSFS].number, 0);
	ck_assert_uint_eq(conf.service[CONF_SERVICE_COURIER].number, 0);
	ck_assert_uint_eq(conf_rights(&conf, 3).mode, 0666);
	ck_assert_uint_eq(conf_rights(&conf, 3).uid, 5);
	/* An option that is refused leaves what the file said, and says where it was. */
	ck_assert_int_eq(conf_set_service(&conf, "memory=x", &err), -EINVAL);
	says("--service: memory=x");
	ck_assert_uint_eq(conf.service[CONF_SERVICE_SYSFS].number, 0);
	ck_assert_int_eq(conf_set_group(&conf, "3,mode=9", &err), -EINVAL);
	ck_assert_uint_eq(conf_rights(&conf, 3).mode, 0666);
}
END_TEST

/* What is written of a module, as of conf_log_apply(). */
static enum cused_log_level level_of(const char *module)
{
	enum cused_log_level level = CUSED_LOG_ERROR;

	while (level < CUSED_LOG_DEBUG && log_wants(level + 1, module))
		level++;
	return level;
}

START_TEST(levels_of_modules)
{
	good("[log]\nwidget = debug\nserve = error\n");
	conf_log_apply(&conf, CUSED_LOG_INFO);
	ck_assert_int_eq(level_of("widget"), CUSED_LOG_DEBUG);
	ck_assert_int_eq(level_of("serve"), CUSED_LOG_ERROR);
	ck_assert_int_eq(level_of("call"), CUSED_LOG_INFO);
	/* -v is beside "all", and the more talkative counts. */
	conf.verbose = 2;
	conf_log_apply(&conf, CUSED_LOG_INFO);
	ck_assert_int_eq(level_of("serve"), CUSED_LOG_ERROR);
	ck_assert_int_eq(level_of("call"), CUSED_LOG_DEBUG);
	good("[log]\nall = error\n");
	conf_log_apply(&conf, CUSED_LOG_INFO);
	ck_assert_int_eq(level_of("widget"), CUSED_LOG_ERROR);
	conf.verbose = 1;
	conf_log_apply(&conf, CUSED_LOG_INFO);
	ck_assert_int_eq(level_of("widget"), CUSED_LOG_INFO);
	/* Of the command line, one key leaves the others. */
	good("[log]\nall = error\nserve = debug\n");
	ck_assert_int_eq(conf_set_log(&conf, "all=loud", &err), -EINVAL);
	says("--log: all=loud");
	ck_assert_int_eq(conf_set_log(&conf, "all=warning", &err), 0);
	conf_log_apply(&conf, CUSED_LOG_INFO);
	ck_assert_int_eq(level_of("call"), CUSED_LOG_WARNING);
	ck_assert_int_eq(level_of("serve"), CUSED_LOG_DEBUG);
}
END_TEST

START_TEST(one_iommu_key_of_the_command_line_leaves_the_others)
{
	good(WIRES "dma_entry_limit = 9\naperture = 30\n");
	ck_assert_int_eq(conf_set_iommu(&conf, "wires,aperture=3", &err), -ERANGE);
	ck_assert_uint_eq(conf.iommu_values[0].number, 30);
	ck_assert_int_eq(conf_set_iommu(&conf, "wires,aperture=33", &err), 0);
	ck_assert_uint_eq(conf.iommu_values[0].number, 33);
	ck_assert_uint_eq(conf.iommu_common[CONF_IOMMU_DMA_ENTRY_LIMIT].number, 9);
	/* Of a value below, the message names the line. */
	good("[service]\nmemory = retry\n");
	ck_assert_int_eq(conf_set_service(&conf, "courier=maybe", &err), -EINVAL);
	says("--service: courier=maybe");
}
END_TEST

START_TEST(no_default_device_beside_a_file)
{
	struct conf_source source = { .file = path };

	put(WIRES);
	ck_assert_int_eq(conf_load(&conf, &source, &err), 0);
	ck_assert_int_eq(conf_finish(&conf, NO_SYSFS, &err), 0);
	ck_assert_uint_eq(conf.n_devices, 0);
}
END_TEST

START_TEST(mistakes_are_named_by_file_and_line)
{
	refused("\n[device \"a\"]\nbackend = wodget\n", -ENOENT, "F:2: [device \"a\"]: ",
		"wodget: no such device; known are");
	refused(WIRES "[device \"a\"]\nbackend = widget\n\ncolour = red\n", -EINVAL,
		"F:6: [device \"a\"]: ", "bdf, group, id, noiommu, image, size");
	refused("[device \"a\"]\nbackend = widget\nsize = x\n", -EINVAL, "F:3: ", "size=x");
	refused("[device \"a\"]\nbackend = widget\nsize = 1\nsize = 2\n", -EINVAL, "F:4: ",
		"given twice (1 and 2)");
	refused("[device \"a\"]\nbackend = widget\nbackend = widget\n", -EINVAL, "F:3: ",
		"backend is given twice");
	refused("[device \"a\"]\nsize = 1\n[iommu]\n", -EINVAL, "F:1: [device \"a\"]: ",
		"no backend is named; add backend = NAME, known are");
	refused("[iommu]\nbackend = sime\n", -ENOENT, "F:1: ", "wires");
	refused("[iommu]\n", -EINVAL, "F:1: [iommu]: ", "no backend");
	refused("[device \"a\"]\nbackend = widget\nid = b\n", -EINVAL, "F:3: ", "given twice");
	refused("[device \"a b\"]\nbackend = widget\n", -EINVAL, "F:1: ", "id=a b");
	refused("[device \"a\"]\nbackend = widget\nbdf = x\n", -EINVAL, "F:3: ", "0000:01:00.0");
	refused("[device \"a\"]\nbackend = widget\n[device \"a\"]\nbackend = widget\n", -EINVAL,
		"F:3: ", "is there already, at line 1");
	refused(WIRES "[service]\n" WIRES, -EINVAL, "F:4: [iommu] ", "line 1");
	refused("[service]\n[service]\n", -EINVAL, "F:2: ", "line 1");
	refused("[group \"7\"]\n[group \"7\"]\n", -EINVAL, "F:2: ", "line 1");
	refused("[group \"07\"]\n", -EINVAL, "F:1: ", "'07' is no group");
	refused("[group \"65536\"]\n", -EINVAL, "F:1: ", "0 to 65535");
	good("[group \"65535\"]\n");
	refused("[wheel]\n", -EINVAL, "F:1: [wheel] is no section",
		"[device \"ID\"], [group \"NUMBER\"], [iommu], [service] and [log]");
	refused("[device]\n", -EINVAL, "F:1: [device] is no section", "[device \"ID\"]");
	refused("[device \"\"]\n", -EINVAL, "F:1: ", "is no section");
	refused("[device \"a]\n", -EINVAL, "F:1: ", "is no section");
	refused("[iommu \"x\"]\n", -EINVAL, "F:1: ", "is no section");
	refused("[]\n", -EINVAL, "F:1: [] is no section", "known are");
	refused("[iommu\n", -EINVAL, "F:1: ", "'[iommu' has no ']'");
	refused("  [iommu] backend = wires\n", -EINVAL, "F:1: ", "behind '[iommu]'");
	refused("\nsize = 3\n", -EINVAL, "F:2: size stands in no section", "[iommu]");
	refused(WIRES "aperture\n", -EINVAL, "F:3: ", "neither [SECTION] nor KEY = VALUE");
	refused(WIRES "= 3\n", -EINVAL, "F:3: ", "unknown key");
	refused(WIRES "memlock =\n", -EINVAL, "F:3: ", "memlock= is empty");
	refused(WIRES "memlock = perhaps\n", -EINVAL, "F:3: ", "memlock=perhaps");
	refused("[log]\nserve = loud\n", -EINVAL, "F:2: [log]: ", "serve=loud");
	refused("[log]\nall = info\nnvm = info\n", -EINVAL, "F:3: [log]: ", "unknown key nvm;");
	refused("[log]\n[log]\n", -EINVAL, "F:2: ", "line 1");
	refused("[service]\nmemory = x\n", -EINVAL, "F:2: [service]: ", "memory=x");
}
END_TEST

START_TEST(mistakes_that_show_at_the_end_are_named_too)
{
	good(WIRES "[device \"a\"]\nbackend = widget\nbdf = 1:0.0\n[device \"b\"]\n"
	     "bdf = 1:0.0\nbackend = widget\n");
	ck_assert_int_eq(conf_finish(&conf, NO_SYSFS, &err), -EEXIST);
	says("F:7: [device \"b\"]: bdf=0000:01:00.0 is given to F:5: [device \"a\"] too");
	good(WIRES "[group \"7\"]\n[device \"a\"]\nbackend = widget\ngroup = 8\n");
	ck_assert_int_eq(conf_finish(&conf, NO_SYSFS, &err), -ENOENT);
	says("F:3: [group \"7\"]: no device is in group 7");
	good(WIRES "[device \"a\"]\nbackend = widget\n\nnoiommu = on\n");
	ck_assert_int_eq(conf_finish(&conf, NO_SYSFS, &err), -EINVAL);
	says("F:6: [device \"a\"]: noiommu=on");
}
END_TEST

START_TEST(what_is_no_text)
{
	static const char junk[] = "[service]\nmem\0ory = auto\n";

	ck_assert_int_eq(parse_bytes(junk, sizeof(junk) - 1), -EINVAL);
	says("F:2: a control character (code 0) at byte 4");
	refused("[service]\n\x7f" "ELF\n", -EINVAL, "F:2: ", "code 127");
	refused("[service]\rmemory = auto\n", -EINVAL, "F:1: ", "code 13");
	good("[service]\r\nmemory = auto\r\n");
}
END_TEST

/* [service] and then "memory = aaa…", a line of @length. */
static int long_line(size_t length, const char *key)
{
	char *text = malloc(length + 64), *line;
	int r;

	line = stpcpy(text, "[device \"a\"]\nbackend = widget\n");
	memset(line, 'a', length);
	memcpy(line, key, strlen(key));
	line[length] = '\0';
	r = parse(text);
	free(text);
	return r;
}

START_TEST(limits_of_lines_and_values)
{
	const size_t key = strlen("image = ");

	ck_assert_int_eq(long_line(PARAMS_TEXT_MAX + key, "image = "), 0);
	ck_assert_uint_eq(strlen(conf.devices[0].values[0].string), PARAMS_TEXT_MAX);
	ck_assert_int_eq(long_line(PARAMS_TEXT_MAX + key + 1, "image = "), -E2BIG);
	says("F:3: the value of image is 8193 bytes long; at most 8192");
	ck_assert_int_eq(long_line(CONF_LINE_MAX, "#"), 0);
	ck_assert_int_eq(long_line(CONF_LINE_MAX + 1, "#"), -E2BIG);
	says("F:3: the line is 8449 bytes long; at most 8448");
}
END_TEST

START_TEST(limit_of_devices)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	for (unsigned i = 0; i < CONF_DEVICES_MAX; i++)
		fprintf(f, "[device \"d%u\"]\nbackend = widget\n", i);
	fflush(f);
	good(text);
	fputs("[device \"more\"]\nbackend = widget\n", f);
	fclose(f);
	refused(text, -E2BIG, "F:257: ", "128");
	free(text);
}
END_TEST

START_TEST(limit_of_groups)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	for (unsigned i = 0; i < CONF_GROUPS_MAX; i++)
		fprintf(f, "[group \"%u\"]\n", i);
	fflush(f);
	good(text);
	ck_assert_int_eq(conf_set_group(&conf, "1,mode=0660", &err), 0);
	ck_assert_int_eq(conf_set_group(&conf, "9999", &err), -E2BIG);
	ck_assert_uint_eq(conf.n_groups, CONF_GROUPS_MAX);
	fputs("[group \"9999\"]\n", f);
	fclose(f);
	refused(text, -E2BIG, "F:129: [group \"9999\"]", "128");
	free(text);
}
END_TEST

START_TEST(files_that_cannot_be_read)
{
	struct conf_source source = { .file = path };

	ck_assert_int_eq(conf_load(&conf, &source, &err), -ENOENT);
	says(path);
	source.may_be_missing = true;
	ck_assert_int_eq(conf_load(&conf, &source, &err), 0);
	ck_assert(!conf.file_read);
	source.file = folder;
	ck_assert_int_eq(conf_load(&conf, &source, &err), -EINVAL);
	says("no regular file");
	/* A pipe is not waited for. */
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	source.file = path;
	ck_assert_int_eq(conf_load(&conf, &source, &err), -EINVAL);
	unlink(path);
	put("");
	ck_assert_int_eq(truncate(path, CONF_FILE_MAX + 1), 0);
	ck_assert_int_eq(conf_load(&conf, &source, &err), -E2BIG);
	says("1048577 bytes long; at most 1048576");
	ck_assert_int_eq(truncate(path, CONF_FILE_MAX), 0);
	ck_assert_int_eq(conf_load(&conf, &source, &err), -E2BIG);	/* one line of NULs */
	says(":1: the line is");
	if (geteuid() == 0)
		return;
	ck_assert_int_eq(chmod(path, 0), 0);
	ck_assert_int_eq(conf_load(&conf, &source, &err), -EACCES);
}
END_TEST

START_TEST(rights)
{
	static const char *const bad[] = {
		"1,mode=66", "1,mode=06600", "1,mode=1666", "1,mode=668", "1,mode=rw-",
		"1,owner=no-such-user-here", "1,group=no-such-group-here", "1,owner=4294967295",
		"1,owner=-1", "1,group=99999999999", "x", "", "-1", "65536", "01", "1,colour=red",
	};
	static const char *const good_ones[] = {
		"1", "0,mode=000", "1,mode=0777", "1,owner=4294967294,group=4294967294",
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(conf_set_group(&conf, bad[i], &err) < 0, "%s", bad[i]);
		ck_assert_msg(!strncmp(err.text, "--group", 7), "%s", err.text);
		ck_assert_uint_eq(conf.n_groups, 0);
	}
	for (unsigned i = 0; i < sizeof(good_ones) / sizeof(good_ones[0]); i++)
		ck_assert_msg(conf_set_group(&conf, good_ones[i], &err) == 0, "%s", err.text);
	ck_assert_uint_eq(conf.n_groups, 2);
	/* The last one of a number stands for all. */
	ck_assert_uint_eq(conf_rights(&conf, 1).mode, 0600);
	ck_assert_uint_eq(conf_rights(&conf, 1).uid, 4294967294u);
	if (!access("/etc/passwd", R_OK)) {
		ck_assert_int_eq(conf_set_group(&conf, "1,owner=root,group=root", &err), 0);
		ck_assert_uint_eq(conf_rights(&conf, 1).uid, 0);
	}
}
END_TEST

/* A file has no way to write them. */
START_TEST(words_that_no_file_can_hold)
{
	ck_assert_int_eq(conf_add_device(&conf, "widget,image=a\nb", &err), -EINVAL);
	says("code 10");
	ck_assert_int_eq(conf_add_device(&conf, "widget,image= a", &err), -EINVAL);
	says("blank");
	ck_assert_int_eq(conf_add_device(&conf, "widget,image=a ", &err), -EINVAL);
	ck_assert_int_eq(conf_add_device(&conf, "widget,image=a b", &err), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conf_load");
	TCase *tc = tcase_create("conf_load");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, sections_and_keys);
	tcase_add_test(tc, what_is_dumped_is_read_again_and_dumped_the_same);
	tcase_add_test(tc, the_command_line_stands_over_the_file);
	tcase_add_test(tc, levels_of_modules);
	tcase_add_test(tc, one_iommu_key_of_the_command_line_leaves_the_others);
	tcase_add_test(tc, no_default_device_beside_a_file);
	tcase_add_test(tc, mistakes_are_named_by_file_and_line);
	tcase_add_test(tc, mistakes_that_show_at_the_end_are_named_too);
	tcase_add_test(tc, what_is_no_text);
	tcase_add_test(tc, limits_of_lines_and_values);
	tcase_add_test(tc, limit_of_devices);
	tcase_add_test(tc, limit_of_groups);
	tcase_add_test(tc, files_that_cannot_be_read);
	tcase_add_test(tc, rights);
	tcase_add_test(tc, words_that_no_file_can_hold);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
