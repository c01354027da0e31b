/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-host-watch - writes down what host_watch.c tells, a line each, for guest/host-watch.sh.
 *
 *   vm-host-watch BDF NUMBER    "ready", then NUMBER events of that device
 *   vm-host-watch --lost FILE   "ready", then: more events are made than fit, by writing
 *                               "add" to FILE (a uevent of sysfs), before the first is taken
 */
#include <errno.h>
#include <fcntl.h>
#include <host_watch.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOO_MANY 20000
#define PATIENCE_MS 20000

static const char *const names[] = {
	"added", "removed", "bound", "unbound", "node added", "node removed",
};

/* Return: whether there is something to take, before patience ends. */
static int wait_for(const struct host_watch *watch)
{
	struct pollfd p = { .fd = host_watch_fd(watch), .events = POLLIN };

	return poll(&p, 1, PATIENCE_MS) > 0;
}

static int tell(struct host_watch *watch, const char *device, int number)
{
	struct host_event event;
	int r;

	while (number > 0) {
		r = host_watch_take(watch, &event);
		if (r < 0 || (r == 0 && !wait_for(watch))) {
			printf("%s\n", r < 0 ? strerror(-r) : "nothing more");
			return 1;
		}
		if (r == 0 || strcmp(event.device, device) != 0)
			continue;
		printf("%s%s%s\n", names[event.kind], event.node[0] ? " " : "", event.node);
		number--;
	}
	return 0;
}

static int lose(struct host_watch *watch, const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), lost = 0, taken = 0, r;
	struct host_event event;

	for (int i = 0; i < TOO_MANY; i++)
		if (write(fd, "add", 3) != 3) {
			perror(path);
			return 1;
		}
	close(fd);
	while ((r = host_watch_take(watch, &event)) != 0) {
		if (r == -ENOBUFS)
			lost++;
		else if (r == 1 && event.kind == HOST_EVENT_ADDED)
			taken++;
		else
			return 1;
	}
	printf("lost %d, %s\n", lost, taken > 0 && taken < TOO_MANY ? "others are there" :
	       "all or none are there");
	return 0;
}

int main(int argc, char **argv)
{
	struct host_watch *watch;
	int r = argc == 3 ? host_watch_new(&watch) : -EINVAL;

	if (r < 0) {
		fprintf(stderr, "vm-host-watch: %s\n", strerror(-r));
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	r = strcmp(argv[1], "--lost") == 0 ? lose(watch, argv[2]) :
		tell(watch, argv[1], atoi(argv[2]));
	host_watch_free(watch);
	return r;
}
