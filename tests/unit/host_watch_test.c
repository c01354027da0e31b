/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host_watch.c: what messages mean, and that a process's message is not the kernel's. What the
 * kernel sends, and when, vm/iommufd-facts shows.
 */
#include <check.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <host_watch.h>

#define PCI "/devices/pci0000:00/0000:00:10.0/0000:01:00.0"

static struct host_event event;

/* A message with blanks for NULs. Return: whether it means anything. */
static bool parse(const char *text)
{
	char buf[512];
	size_t len = strlen(text);

	ck_assert_uint_lt(len, sizeof(buf));
	memcpy(buf, text, len + 1);
	for (size_t i = 0; i < len; i++)
		if (buf[i] == ' ')
			buf[i] = '\0';
	memset(&event, 0, sizeof(event));
	return host_watch_parse(buf, len + 1, &event);
}

static void means(const char *text, enum host_event_kind kind, const char *device,
		  const char *node)
{
	ck_assert_msg(parse(text), "nothing: %s", text);
	ck_assert_int_eq(event.kind, kind);
	ck_assert_str_eq(event.device, device);
	ck_assert_str_eq(event.node, node);
}

START_TEST(events)
{
	means("add@" PCI " ACTION=add DEVPATH=" PCI " SUBSYSTEM=pci PCI_SLOT_NAME=x SEQNUM=9",
	      HOST_EVENT_ADDED, "0000:01:00.0", "");
	means("remove@" PCI " ACTION=remove DEVPATH=" PCI " SUBSYSTEM=pci", HOST_EVENT_REMOVED,
	      "0000:01:00.0", "");
	means("bind@" PCI " ACTION=bind DEVPATH=" PCI " SUBSYSTEM=pci DRIVER=vfio-pci",
	      HOST_EVENT_BOUND, "0000:01:00.0", "");
	means("unbind@" PCI " ACTION=unbind DEVPATH=" PCI " SUBSYSTEM=pci", HOST_EVENT_UNBOUND,
	      "0000:01:00.0", "");
	means("add@" PCI "/vfio-dev/vfio3 ACTION=add DEVPATH=" PCI "/vfio-dev/vfio3 "
	      "SUBSYSTEM=vfio-dev MAJOR=511 MINOR=3 DEVNAME=vfio/devices/vfio3",
	      HOST_EVENT_NODE_ADDED, "0000:01:00.0", "vfio3");
	means("remove@x ACTION=remove DEVPATH=" PCI "/vfio-dev/vfio3 SUBSYSTEM=vfio-dev",
	      HOST_EVENT_NODE_REMOVED, "0000:01:00.0", "vfio3");
	/* Keys in another order, and one that ends like another. */
	means("add@x XACTION=remove SUBSYSTEM=pci DEVPATH=/devices/a ACTION=add",
	      HOST_EVENT_ADDED, "a", "");
}
END_TEST

START_TEST(of_no_interest)
{
	ck_assert(!parse("change@" PCI " ACTION=change DEVPATH=" PCI " SUBSYSTEM=pci"));
	ck_assert(!parse("add@x ACTION=add DEVPATH=/devices/x SUBSYSTEM=block"));
	ck_assert(!parse("add@x ACTION=add DEVPATH=/devices/x SUBSYSTEM=pci_express"));
	ck_assert(!parse("add@x ACTION=addx DEVPATH=/devices/x SUBSYSTEM=pci"));
}
END_TEST

START_TEST(not_as_they_should_be)
{
	char text[512];

	ck_assert(!parse(""));
	ck_assert(!parse("add@x"));
	ck_assert(!parse("add@x ACTION=add SUBSYSTEM=pci"));
	ck_assert(!parse("add@x ACTION=add DEVPATH=/devices/x"));
	ck_assert(!parse("add@x DEVPATH=/devices/x SUBSYSTEM=pci"));
	ck_assert(!parse("add@x ACTION=add DEVPATH=x SUBSYSTEM=pci"));
	ck_assert(!parse("add@x ACTION=add DEVPATH=/devices/ SUBSYSTEM=pci"));
	ck_assert(!parse("add@x ACTION=add DEVPATH= SUBSYSTEM=pci"));
	ck_assert(!parse("add@x ACTION=add DEVPATH=/vfio-dev/ SUBSYSTEM=vfio-dev"));
	ck_assert(!parse("add@x ACTION=add DEVPATH=/vfio-dev/vfio0 SUBSYSTEM=vfio-dev"));
	ck_assert(!parse("add@x ACTION=add DEVPATH=/a/vfio-dev/ SUBSYSTEM=vfio-dev"));
	ck_assert(!parse("add@x ACTION=add DEVPATH=/a/vfio-dev/v/w SUBSYSTEM=vfio-dev"));
	ck_assert(!parse("add@x ACTION=add DEVPATH=/a/vfio0 SUBSYSTEM=vfio-dev"));
	ck_assert(!host_watch_parse(NULL, 0, &event));
	/* No NUL at the end. */
	strcpy(text, "ACTION=add");
	strcpy(text + 11, "SUBSYSTEM=pci");
	strcpy(text + 25, "DEVPATH=/devices/x");
	ck_assert(host_watch_parse(text, 25 + sizeof("DEVPATH=/devices/x"), &event));
	ck_assert(!host_watch_parse(text, 25 + sizeof("DEVPATH=/devices/x") - 1, &event));
}
END_TEST

/* The longest names, and one letter more. */
START_TEST(long_names)
{
	char text[512], name[65];

	memset(name, 'x', sizeof(name) - 1);
	name[64] = '\0';
	snprintf(text, sizeof(text), "ACTION=add DEVPATH=/d/%s SUBSYSTEM=pci", name);
	ck_assert(!parse(text));
	snprintf(text, sizeof(text), "ACTION=add DEVPATH=/d/%s SUBSYSTEM=pci", name + 1);
	means(text, HOST_EVENT_ADDED, name + 1, "");
	snprintf(text, sizeof(text), "ACTION=add DEVPATH=/d/a/vfio-dev/%s SUBSYSTEM=vfio-dev",
		 name + 64 - 32);
	ck_assert(!parse(text));
	snprintf(text, sizeof(text), "ACTION=add DEVPATH=/d/a/vfio-dev/%s SUBSYSTEM=vfio-dev",
		 name + 64 - 31);
	means(text, HOST_EVENT_NODE_ADDED, "a", name + 64 - 31);
}
END_TEST

/* Root may send to anybody's netlink socket; others are stopped by the kernel. */
START_TEST(only_the_kernel_is_believed)
{
	static const char text[] = "add@/d/x\0ACTION=add\0DEVPATH=/d/x\0SUBSYSTEM=pci";
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	struct sockaddr_nl to = { 0 };
	socklen_t len = sizeof(to);
	struct host_watch *watch;
	ssize_t n;
	int r;

	ck_assert(host_watch_parse(text, sizeof(text), &event));
	ck_assert_int_eq(host_watch_new(&watch), 0);
	ck_assert_int_eq(getsockname(host_watch_fd(watch), (struct sockaddr *)&to, &len), 0);
	ck_assert_uint_ne(to.nl_pid, 0);
	to.nl_groups = 0;
	n = sendto(fd, text, sizeof(text), 0, (struct sockaddr *)&to, sizeof(to));
	ck_assert_msg(n == (ssize_t)sizeof(text) || (n < 0 && errno == EPERM && geteuid() != 0),
		      "%s", strerror(errno));
	/* The machine's own news may come in between. */
	while ((r = host_watch_take(watch, &event)) == 1)
		ck_assert_str_ne(event.device, "x");
	ck_assert_int_eq(r, 0);
	close(fd);
	host_watch_free(watch);
	host_watch_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host_watch");
	TCase *tc = tcase_create("host_watch");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, events);
	tcase_add_test(tc, of_no_interest);
	tcase_add_test(tc, not_as_they_should_be);
	tcase_add_test(tc, long_names);
	tcase_add_test(tc, only_the_kernel_is_believed);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
