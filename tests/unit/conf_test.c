/* SPDX-License-Identifier: GPL-2.0-or-later */
/* conf.c and registry.c: defaults, what is refused, and the configuration that is shown. */
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <conf.h>
#include <registry.h>
#include <unit/conf_widget.h>

static struct conf conf;
static struct cused_error err;
static char sysfs[] = "/tmp/cused-conf-XXXXXX";

static void shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *fmt, ...)
{
	char command[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	ck_assert_int_eq(system(command), 0);
}

static void setup(void)
{
	conf_init(&conf);
	strcpy(sysfs + strlen(sysfs) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(sysfs));
	ck_assert_int_eq(conf_set_iommu(&conf, "wires", &err), 0);
}

static void teardown(void)
{
	conf_done(&conf);
	shell("rm -r %s", sysfs);
}

static void add(const char *text)
{
	int r = conf_add_device(&conf, text, &err);

	ck_assert_msg(r == 0, "%s: %s", text, err.text);
}

static void finish(void)
{
	int r = conf_finish(&conf, sysfs, &err);

	ck_assert_msg(r == 0, "%s", err.text);
}

static void says(const char *part)
{
	ck_assert_msg(strstr(err.text, part) != NULL, "no \"%s\" in \"%s\"", part, err.text);
}

START_TEST(registry_is_sorted)
{
	const struct cused_device_ops *last = NULL, *ops;

	for (size_t i = 0; (ops = registry_device(i)); i++, last = ops)
		if (last)
			ck_assert_int_lt(strcmp(last->name, ops->name), 0);
	ck_assert_ptr_nonnull(last);
	ck_assert_ptr_eq(registry_find_device("widget"), &widget_ops);
	ck_assert_ptr_eq(registry_find_iommu("wires"), &wires_ops);
	ck_assert_ptr_null(registry_find_device("wires"));
	ck_assert_ptr_null(registry_find_iommu(""));
}
END_TEST

/* One section holds the keys of every device and those of the model, and "backend". */
static void check_keys(const char *name, const struct cused_param *params, size_t n,
		       const struct cused_param *common, size_t n_common)
{
	for (size_t i = 0; i < n; i++) {
		ck_assert_msg(strcmp(params[i].name, "backend") != 0, "%s: backend", name);
		ck_assert_msg(params[i].text && *params[i].text, "%s: no text", name);
		for (size_t k = 0; k < n_common; k++)
			ck_assert_msg(strcmp(params[i].name, common[k].name) != 0,
				      "%s has a key %s of its own", name, params[i].name);
		for (size_t k = 0; k < i; k++)
			ck_assert_msg(strcmp(params[i].name, params[k].name) != 0,
				      "%s has the key %s twice", name, params[i].name);
	}
}

START_TEST(keys_do_not_collide)
{
	const struct cused_device_ops *device;
	const struct cused_iommu_ops *iommu;

	for (size_t i = 0; (device = registry_device(i)); i++)
		check_keys(device->name, device->params, device->n_params,
			   conf_device_params, CONF_DEVICE_KEYS);
	for (size_t i = 0; (iommu = registry_iommu(i)); i++)
		check_keys(iommu->name, iommu->params, iommu->n_params, conf_iommu_params,
			   CONF_IOMMU_KEYS);
}
END_TEST

START_TEST(defaults_are_the_first_free)
{
	add("widget");
	add("widget");
	finish();
	ck_assert_str_eq(conf.devices[0].bdf, "0000:01:00.0");
	ck_assert_str_eq(conf.devices[1].bdf, "0000:02:00.0");
	ck_assert_uint_eq(conf.devices[0].group, 0);
	ck_assert_uint_eq(conf.devices[1].group, 1);
	ck_assert_str_eq(conf.devices[0].id, "widget0");
	ck_assert_str_eq(conf.devices[1].id, "widget1");
	ck_assert_uint_eq(conf.devices[0].values[1].number, 64u << 20);
}
END_TEST

START_TEST(defaults_step_around_the_machine)
{
	shell("cd %s && mkdir -p bus/pci/devices/0000:01:00.0 bus/pci/devices/0000:03:1f.7 "
	      "bus/pci/devices/0001:04:00.0 kernel/iommu_groups/0 kernel/iommu_groups/2",
	      sysfs);
	add("widget");
	add("widget,bdf=0000:02:00.0,group=1");
	add("widget");
	finish();
	ck_assert_str_eq(conf.devices[0].bdf, "0000:04:00.0");
	ck_assert_str_eq(conf.devices[1].bdf, "0000:02:00.0");
	ck_assert_str_eq(conf.devices[2].bdf, "0000:05:00.0");
	ck_assert_uint_eq(conf.devices[0].group, 3);
	ck_assert_uint_eq(conf.devices[2].group, 4);
}
END_TEST

START_TEST(every_bus_is_taken)
{
	char path[128];

	shell("mkdir -p %s/bus/pci/devices", sysfs);
	for (unsigned bus = 1; bus < 256; bus++) {
		snprintf(path, sizeof(path), "%s/bus/pci/devices/0000:%02x:00.0", sysfs, bus);
		ck_assert_int_eq(mkdir(path, 0700), 0);
	}
	add("widget");
	ck_assert_int_eq(conf_finish(&conf, sysfs, &err), -ENOSPC);
	says("bdf=");
}
END_TEST

START_TEST(groups_are_shared_if_asked)
{
	add("widget,group=7,bdf=01:00.0");
	add("widget,group=7,bdf=01:00.1");
	add("widget");
	finish();
	ck_assert_uint_eq(conf.devices[0].group, 7);
	ck_assert_uint_eq(conf.devices[1].group, 7);
	ck_assert_uint_eq(conf.devices[2].group, 0);
	ck_assert_str_eq(conf.devices[1].bdf, "0000:01:00.1");
	ck_assert_str_eq(conf.devices[2].bdf, "0000:02:00.0");
}
END_TEST

START_TEST(address_given_twice)
{
	add("widget,bdf=0000:0a:00.0");
	add("widget,bdf=a:0.0");
	ck_assert_int_eq(conf_finish(&conf, sysfs, &err), -EEXIST);
	says("bdf=0000:0a:00.0");
	says("leave bdf out");
}
END_TEST

START_TEST(address_of_the_machine)
{
	shell("mkdir -p %s/bus/pci/devices && ln -s nowhere %s/bus/pci/devices/0000:05:00.0",
	      sysfs, sysfs);
	add("widget,bdf=0000:05:00.0");
	ck_assert_int_eq(conf_finish(&conf, sysfs, &err), -EEXIST);
	says("0000:05:00.0 is a device of this machine");
}
END_TEST

START_TEST(group_of_the_machine)
{
	shell("mkdir -p %s/kernel/iommu_groups/9", sysfs);
	add("widget,group=9");
	ck_assert_int_eq(conf_finish(&conf, sysfs, &err), -EEXIST);
	says("group=9 is a group of this machine");
}
END_TEST

START_TEST(addresses_are_parsed)
{
	static const struct { const char *text; struct pci_address address; } good[] = {
		{ "0000:01:00.0", { 0, 1, 0, 0 } }, { "ffff:fF:1f.7", { 0xffff, 255, 31, 7 } },
		{ "3:4.5", { 0, 3, 4, 5 } }, { "1:2:3.4", { 1, 2, 3, 4 } },
	};
	static const char *const bad[] = {
		"", ":", "0000:zz:00.0", "0000:e0:20.0", "0000:e0:00.8", "0000:e0:00", "e0.0",
		"10000:01:00.0", "0000:001:00.0", "0000:01:00.0 ", "0000:01:00.0.0",
		" 0000:01:00.0", "0000:01:00.00", "::.", "0:0:0:0.0", "0000:01:00:0",
	};
	struct pci_address a;

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_msg(conf_parse_bdf(good[i].text, &a) == 0, "%s", good[i].text);
		ck_assert_uint_eq(a.segment, good[i].address.segment);
		ck_assert_uint_eq(a.bus, good[i].address.bus);
		ck_assert_uint_eq(a.slot, good[i].address.slot);
		ck_assert_uint_eq(a.function, good[i].address.function);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(conf_parse_bdf(bad[i], &a) == -EINVAL, "%s", bad[i]);
	ck_assert_int_eq(conf_add_device(&conf, "widget,bdf=0000:zz:00.0", &err), -EINVAL);
	says("bdf=0000:zz:00.0");
	says("0000:01:00.0");
}
END_TEST

static void machine_has(const char *bdf, const char *group)
{
	shell("mkdir -p %s/bus/pci/devices/%s && ln -s ../../../pci %s/bus/pci/devices/%s/subsystem",
	      sysfs, bdf, sysfs, bdf);
	if (group)
		shell("mkdir -p %s/kernel/iommu_groups/%s && ln -s ../../../../kernel/iommu_groups/%s "
		      "%s/bus/pci/devices/%s/iommu_group", sysfs, group, group, sysfs, bdf);
}

START_TEST(devices_of_the_machine_are_where_they_are)
{
	machine_has("0000:00:04.0", "0");
	machine_has("0000:00:05.0", "17");
	machine_has("0000:00:06.0", NULL);
	add("host,bdf=00:05.0");
	add("widget");
	add("host,bdf=0000:00:04.0");
	finish();
	ck_assert(conf_is_host(&conf.devices[0]));
	ck_assert(!conf_is_host(&conf.devices[1]));
	ck_assert_str_eq(conf.devices[0].bdf, "0000:00:05.0");
	ck_assert_uint_eq(conf.devices[0].group, 17);
	ck_assert_str_eq(conf.devices[0].id, "host0");
	ck_assert_uint_eq(conf.devices[2].group, 0);
	/* Neither of the machine's. */
	ck_assert_uint_eq(conf.devices[1].group, CONF_GROUP_BESIDE);
	ck_assert_str_eq(conf.devices[1].bdf, "0000:01:00.0");
}
END_TEST

START_TEST(devices_that_may_come_later)
{
	struct conf_device same;

	machine_has("0000:00:04.0", "4");
	add("host,bdf=0000:00:07.0,wait=on");
	add("host,bdf=0000:00:04.0,wait=on");
	add("widget");
	ck_assert_int_eq(conf_set_group(&conf, "77,owner=1000", &err), 0);
	finish();
	ck_assert(conf_waits(&conf.devices[0]));
	ck_assert(conf.devices[0].absent);
	ck_assert(!conf.devices[1].absent);
	ck_assert_uint_eq(conf.devices[1].group, 4);
	ck_assert(!conf_waits(&conf.devices[2]));
	/* What is not known yet, takes no number, and is no difference. */
	ck_assert_uint_eq(conf.devices[2].group, CONF_GROUP_BESIDE);
	same = conf.devices[0];
	same.group = 12;
	same.absent = false;
	ck_assert(conf_device_same(&same, &conf.devices[0]));
	conf_done(&conf);
	/* Rights of a group that no device can come in are a mistake. */
	add("host,bdf=0000:00:04.0,wait=on");
	ck_assert_int_eq(conf_set_group(&conf, "77,owner=1000", &err), 0);
	ck_assert_int_eq(conf_finish(&conf, sysfs, &err), -ENOENT);
	conf_done(&conf);
	add("host,bdf=0000:00:07.0");
	ck_assert_int_eq(conf_finish(&conf, sysfs, &err), -ENODEV);
	says("wait=on");
}
END_TEST

START_TEST(devices_that_the_machine_has_not)
{
	machine_has("0000:00:06.0", NULL);
	ck_assert_int_eq(conf_add_device(&conf, "host", &err), -EINVAL);
	says("no bdf");
	ck_assert_int_eq(conf_add_device(&conf, "host,bdf=0000:00:04.0,group=3", &err), -EINVAL);
	says("group=3");
	ck_assert_int_eq(conf_add_device(&conf, "host,bdf=0000:00:04.0,noiommu=on", &err),
			 -EINVAL);
	says("noiommu=on");
	add("host,bdf=0000:00:06.0");
	ck_assert_int_eq(conf_finish(&conf, sysfs, &err), -ENODEV);
	says("0000:00:06.0 has no IOMMU group");
	conf_done(&conf);
	add("host,bdf=0000:00:07.0");
	ck_assert_int_eq(conf_finish(&conf, sysfs, &err), -ENODEV);
	says("bdf=0000:00:07.0 is no device of this machine");
}
END_TEST

/* What a running service shows of its own is under /sys as well. */
START_TEST(simulated_devices_are_not_of_the_machine)
{
	struct conf_running running = {
		.id = "widget0", .ops = registry_find_device("widget"),
		.address = { .bus = 3 }, .group = 5,
	};

	machine_has("0000:03:00.0", "5");
	conf.running = &running;
	conf.n_running = 1;
	add("host,bdf=0000:03:00.0");
	ck_assert_int_eq(conf_finish(&conf, sysfs, &err), -ENODEV);
	says("bdf=0000:03:00.0 is no device of this machine");
}
END_TEST

/* Where it is, is the machine's to say; what is dumped can be loaded. */
START_TEST(dump_of_a_device_of_the_machine)
{
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	machine_has("0000:00:05.0", "17");
	add("host,bdf=00:05.0");
	finish();
	conf_dump(&conf, f);
	fclose(f);
	ck_assert_msg(strncmp(text, "[device \"host0\"]\nbackend = host\nbdf = 0000:00:05.0\n"
			      "wait = off\n\n", 63) == 0, "%s", text);
	free(text);
}
END_TEST

/* An ops struct of before there were flags ends before them. */
START_TEST(old_models_are_not_of_the_machine)
{
	struct cused_device_ops old = { .size = sizeof(old), .flags = CUSED_DEVICE_HOST };
	struct conf_device device = { .ops = &old };

	ck_assert(conf_is_host(&device));
	old.size = offsetof(struct cused_device_ops, flags);
	ck_assert(!conf_is_host(&device));
}
END_TEST

START_TEST(ways_of_mapping)
{
	ck_assert_int_eq(conf_set_service(&conf, "dma=swop", &err), -EINVAL);
	says("dma=swop");
	ck_assert_int_eq(conf_set_service(&conf, "dma=swap,courier=off", &err), -EINVAL);
	says("courier=off");
	ck_assert_int_eq(conf_set_service(&conf, "dma=swap", &err), 0);
	ck_assert_str_eq(conf.service[CONF_SERVICE_DMA].string, "swap");
	ck_assert_int_eq(conf_set_service(&conf, "dma=file", &err), 0);
	ck_assert_str_eq(conf.service[CONF_SERVICE_DMA].string, "file");
	ck_assert_int_eq(conf_set_service(&conf, "", &err), 0);
	ck_assert_str_eq(conf.service[CONF_SERVICE_DMA].string, "auto");
}
END_TEST

START_TEST(ids)
{
	add("widget");
	add("widget,id=widget0");
	finish();
	ck_assert_str_eq(conf.devices[0].id, "widget1");
	add("widget,id=widget0");
	ck_assert_int_eq(conf_finish(&conf, sysfs, &err), -EEXIST);
	says("id=widget0");
	ck_assert_int_eq(conf_add_device(&conf, "widget,id=a b", &err), -EINVAL);
	ck_assert_int_eq(conf_add_device(&conf, "widget,id=12345678901234567890123456789012",
					 &err), -EINVAL);
	ck_assert_int_eq(conf_add_device(&conf, "widget,id=1234567890123456789012345678901",
					 &err), 0);
}
END_TEST

START_TEST(unknown_names_list_the_known)
{
	ck_assert_int_eq(conf_add_device(&conf, "wodget", &err), -ENOENT);
	says("--device wodget: no such device");
	says("widget");
	ck_assert_int_eq(conf_set_iommu(&conf, "sime", &err), -ENOENT);
	says("--iommu sime");
	says("wires");
	ck_assert_int_eq(conf_add_device(&conf, "widget,colour=red", &err), -EINVAL);
	says("bdf, group, id, noiommu, image, size");
	ck_assert_int_eq(conf_set_iommu(&conf, "wires,x=1", &err), -EINVAL);
	says("dma_entry_limit, memlock, unsafe_noiommu, nesting, aperture");
	/* What failed changed nothing. */
	ck_assert_uint_eq(conf.n_devices, 0);
	ck_assert_ptr_eq(conf.iommu, &wires_ops);
	ck_assert_uint_eq(conf.iommu_values[0].number, 39);
}
END_TEST

START_TEST(last_iommu_wins)
{
	ck_assert_int_eq(conf_set_iommu(&conf, "wires,aperture=48,memlock=enforce", &err), 0);
	ck_assert_int_eq(conf_set_iommu(&conf, "wires,dma_entry_limit=5", &err), 0);
	ck_assert_uint_eq(conf.iommu_values[0].number, 39);
	ck_assert_uint_eq(conf.iommu_common[CONF_IOMMU_DMA_ENTRY_LIMIT].number, 5);
	ck_assert_str_eq(conf.iommu_common[CONF_IOMMU_MEMLOCK].string, "off");
	ck_assert_int_eq(conf_set_iommu(&conf, "wires,memlock=perhaps", &err), -EINVAL);
	says("memlock=perhaps");
	ck_assert_int_eq(conf_set_iommu(&conf, "wires,dma_entry_limit=0", &err), -ERANGE);
	ck_assert_int_eq(conf_set_iommu(&conf, "wires,dma_entry_limit=4294967296", &err),
			 -ERANGE);
}
END_TEST

/* SD-062, SD-063 */
START_TEST(sd_062_noiommu_has_to_be_enabled)
{
	add("widget,noiommu=on");
	ck_assert_int_eq(conf_finish(&conf, sysfs, &err), -EINVAL);
	says("unsafe_noiommu=on");
	ck_assert_int_eq(conf_set_iommu(&conf, "wires,unsafe_noiommu=on", &err), 0);
	finish();
	ck_assert(conf.devices[0].noiommu);
	/* One device alone, and one set of numbers. */
	add("widget,noiommu=on,group=3");
	add("widget,group=3");
	ck_assert_int_eq(conf_finish(&conf, sysfs, &err), -EEXIST);
	says("group=3");
}
END_TEST

START_TEST(as_many_devices_as_an_offset_can_name)
{
	for (unsigned i = 0; i < CONF_DEVICES_MAX; i++)
		add("widget");
	ck_assert_int_eq(conf_add_device(&conf, "widget", &err), -E2BIG);
	says("128");
	finish();
	ck_assert_str_eq(conf.devices[127].bdf, "0000:80:00.0");
	ck_assert_uint_eq(conf.devices[127].group, 127);
}
END_TEST

START_TEST(dump_uses_the_words_of_the_command_line)
{
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	add("widget,image=a,,b,group=7");
	add("widget,size=1536,id=second");
	finish();
	conf_dump(&conf, f);
	fclose(f);
	ck_assert_str_eq(text,
		"[device \"widget0\"]\nbackend = widget\nbdf = 0000:01:00.0\ngroup = 7\n"
		"noiommu = off\nimage = a,b\nsize = 64M\n\n"
		"[device \"second\"]\nbackend = widget\nbdf = 0000:02:00.0\ngroup = 0\n"
		"noiommu = off\nsize = 1536\n\n"
		"[iommu]\nbackend = wires\ndma_entry_limit = 65535\nmemlock = off\n"
		"unsafe_noiommu = off\nnesting = off\naperture = 39\n\n"
		"[service]\nmemory = auto\ncourier = on\nsysfs = on\n"
		"prefix = vfio\nreplace = off\ndma = auto\n"
		"ctl = /run/vfio-cused/ctl\nctl_mode = 0600\nctl_owner = 0\n"
		"ctl_group = 0\n"
		"agent = off\n");
	free(text);
}
END_TEST

/* A service that runs loads its configuration again; its devices are in the machine's /sys. */
static void run_again(struct conf_running *running, size_t n)
{
	conf_done(&conf);
	ck_assert_int_eq(conf_set_iommu(&conf, "wires", &err), 0);
	conf.running = running;
	conf.n_running = n;
}

START_TEST(what_runs_keeps_its_place)
{
	struct conf_running running[] = {
		{ "widget0", &widget_ops, { .bus = 1 }, 0, false },
		{ "b", &widget_ops, { .bus = 2 }, 1, false },
		{ "", &widget_ops, { .bus = 3 }, 2, false },	/* it is leaving */
	};

	shell("cd %s && mkdir -p bus/pci/devices/0000:01:00.0 bus/pci/devices/0000:02:00.0 "
	      "bus/pci/devices/0000:03:00.0 kernel/iommu_groups/0 kernel/iommu_groups/1 "
	      "kernel/iommu_groups/2 kernel/iommu_groups/9", sysfs);
	/* In another order, and with others before and behind. */
	run_again(running, 3);
	add("widget,id=new");
	add("widget,id=b");
	add("widget");
	add("widget");
	finish();
	ck_assert_str_eq(conf.devices[0].bdf, "0000:04:00.0");
	ck_assert_uint_eq(conf.devices[0].group, 3);
	ck_assert_str_eq(conf.devices[1].bdf, "0000:02:00.0");
	ck_assert_uint_eq(conf.devices[1].group, 1);
	ck_assert_str_eq(conf.devices[2].bdf, "0000:01:00.0");
	ck_assert_uint_eq(conf.devices[2].group, 0);
	ck_assert_str_eq(conf.devices[3].bdf, "0000:05:00.0");
	/* Given ones go before, and may be ours; the machine's may not. */
	run_again(running, 3);
	add("widget,id=b");
	add("widget,id=new,bdf=2:0.0,group=1");
	add("widget,bdf=3:0.0,group=2");
	finish();
	ck_assert_str_eq(conf.devices[0].bdf, "0000:04:00.0");
	ck_assert_uint_eq(conf.devices[0].group, 3);
	run_again(running, 3);
	add("widget,group=9");
	ck_assert_int_eq(conf_finish(&conf, sysfs, &err), -EEXIST);
	run_again(running, 1);
	add("widget,bdf=3:0.0");
	ck_assert_int_eq(conf_finish(&conf, sysfs, &err), -EEXIST);
}
END_TEST

START_TEST(what_has_changed)
{
	static const struct { const char *device; bool same; } cases[] = {
		{ "widget,bdf=1:0.0,group=0", true }, { "widget,id=widget0,size=65536K", true },
		{ "widget,size=65M", false }, { "widget,image=x", false },
		{ "widget,group=1", false }, { "widget,bdf=2:0.0", false },
		{ "widget,id=other", false },
	};
	struct conf old;

	add("widget");
	finish();
	old = conf;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		conf_init(&conf);
		ck_assert_int_eq(conf_set_iommu(&conf, "wires", &err), 0);
		add(cases[i].device);
		finish();
		ck_assert_msg(conf_device_same(&old.devices[0], &conf.devices[0]) ==
				      cases[i].same, "%s", cases[i].device);
		ck_assert(conf_settings_same(&old, &conf));
		ck_assert_int_eq(conf_set_service(&conf, "courier=off", &err), 0);
		ck_assert(!conf_settings_same(&old, &conf));
		ck_assert_int_eq(conf_set_service(&conf, "", &err), 0);
		ck_assert_int_eq(conf_set_iommu(&conf, "wires,aperture=40", &err), 0);
		ck_assert(!conf_settings_same(&old, &conf));
		ck_assert_int_eq(conf_set_iommu(&conf, "wires,memlock=enforce", &err), 0);
		ck_assert(!conf_settings_same(&old, &conf));
		conf_done(&conf);
	}
	conf = old;
}
END_TEST

static void beside(struct conf_running *running, size_t n, const char *text)
{
	conf_done(&conf);
	conf.running = running;
	conf.n_running = n;
	add(text);
}

/* A device that is added to a service: what is served is in /sys by now, and stays as it is. */
START_TEST(devices_that_come_beside_others)
{
	struct conf_running running[] = {
		{ "first", &widget_ops, { .bus = 1 }, 7, false },
		{ "widget0", &widget_ops, { .bus = 2 }, 0, false },
		{ "", &widget_ops, { .bus = 3 }, 1, false },	/* it is leaving */
		{ "alone", &widget_ops, { .bus = 4 }, 8, true },
	};
	static const struct { const char *text, *says; } refused[] = {
		{ "widget,bdf=1:0.0", "0000:01:00.0" }, { "widget,bdf=3:0.0", "0000:03:00.0" },
		{ "widget,group=3", "group=3" },	/* the machine's */
		{ "widget,id=first", "id=first" }, { "widget,group=8", "group=8" },
		{ "widget,group=0,noiommu=on", "group=0" },
	};
	struct conf settings;

	conf_init(&settings);
	ck_assert_int_eq(conf_set_iommu(&settings, "wires,unsafe_noiommu=on", &err), 0);
	shell("cd %s && mkdir -p bus/pci/devices/0000:01:00.0 bus/pci/devices/0000:02:00.0 "
	      "bus/pci/devices/0000:03:00.0 bus/pci/devices/0000:04:00.0 kernel/iommu_groups/0 "
	      "kernel/iommu_groups/1 kernel/iommu_groups/3 kernel/iommu_groups/7 "
	      "kernel/iommu_groups/8", sysfs);
	beside(running, 4, "widget");
	ck_assert_int_eq(conf_finish_beside(&conf, &settings, sysfs, &err), 0);
	ck_assert_str_eq(conf.devices[0].bdf, "0000:05:00.0");
	ck_assert_uint_eq(conf.devices[0].group, 2);
	ck_assert_str_eq(conf.devices[0].id, "widget1");
	/* Into a group that is served, and in /sys. */
	beside(running, 4, "widget,group=7,id=second");
	ck_assert_int_eq(conf_finish_beside(&conf, &settings, sysfs, &err), 0);
	ck_assert_uint_eq(conf.devices[0].group, 7);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		beside(running, 4, refused[i].text);
		ck_assert_msg(conf_finish_beside(&conf, &settings, sysfs, &err) == -EEXIST,
			      "%s", refused[i].text);
		says(refused[i].says);
	}
	beside(running, 4, "widget,noiommu=on");
	ck_assert_int_eq(conf_finish_beside(&conf, &settings, sysfs, &err), 0);
	conf_done(&settings);
	ck_assert_int_eq(conf_set_iommu(&settings, "wires", &err), 0);
	beside(running, 4, "widget,noiommu=on");
	ck_assert_int_eq(conf_finish_beside(&conf, &settings, sysfs, &err), -EINVAL);
	conf_done(&settings);
}
END_TEST

/* Without --device and --iommu; as far as the models are part of this build. */
START_TEST(nothing_given)
{
	conf_done(&conf);
	if (!registry_find_device("nvme") || !registry_find_iommu("sim"))
		return;
	finish();
	ck_assert_uint_eq(conf.n_devices, 1);
	ck_assert_str_eq(conf.devices[0].ops->name, "nvme");
	ck_assert_str_eq(conf.devices[0].id, "nvme0");
	ck_assert_str_eq(conf.iommu->name, "sim");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conf");
	TCase *tc = tcase_create("conf");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, registry_is_sorted);
	tcase_add_test(tc, keys_do_not_collide);
	tcase_add_test(tc, defaults_are_the_first_free);
	tcase_add_test(tc, defaults_step_around_the_machine);
	tcase_add_test(tc, every_bus_is_taken);
	tcase_add_test(tc, groups_are_shared_if_asked);
	tcase_add_test(tc, address_given_twice);
	tcase_add_test(tc, address_of_the_machine);
	tcase_add_test(tc, group_of_the_machine);
	tcase_add_test(tc, addresses_are_parsed);
	tcase_add_test(tc, ids);
	tcase_add_test(tc, devices_of_the_machine_are_where_they_are);
	tcase_add_test(tc, devices_that_the_machine_has_not);
	tcase_add_test(tc, devices_that_may_come_later);
	tcase_add_test(tc, simulated_devices_are_not_of_the_machine);
	tcase_add_test(tc, dump_of_a_device_of_the_machine);
	tcase_add_test(tc, old_models_are_not_of_the_machine);
	tcase_add_test(tc, ways_of_mapping);
	tcase_add_test(tc, unknown_names_list_the_known);
	tcase_add_test(tc, last_iommu_wins);
	tcase_add_test(tc, sd_062_noiommu_has_to_be_enabled);
	tcase_add_test(tc, as_many_devices_as_an_offset_can_name);
	tcase_add_test(tc, dump_uses_the_words_of_the_command_line);
	tcase_add_test(tc, what_runs_keeps_its_place);
	tcase_add_test(tc, what_has_changed);
	tcase_add_test(tc, devices_that_come_beside_others);
	tcase_add_test(tc, nothing_given);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
