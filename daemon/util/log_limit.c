/* SPDX-License-Identifier: GPL-2.0-or-later */
/* util/log_limit.c - not more lines about clients than anybody would read. */
#include <pthread.h>

#include <util/log.h>

/* A window begins with its first line and lasts LOG_CLIENT_SECONDS. */
struct window {
	unsigned began;
	unsigned lines, left_out;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct client {
	pid_t pid;
	struct window window;
} clients[LOG_CLIENTS_KNOWN];		/* lock */
static struct window all;		/* lock; left_out: but for those told of a client */

static void window_pass(struct window *window, unsigned now)
{
	if (now - window->began < LOG_CLIENT_SECONDS)
		return;
	window->began = now;
	window->lines = 0;
}

/* Of two that share a place, the one that speaks has it. */
static struct client *client_of(pid_t pid, unsigned now)
{
	struct client *client = &clients[(unsigned)pid % LOG_CLIENTS_KNOWN];

	if (client->pid != pid) {
		all.left_out += client->window.left_out;
		*client = (struct client){ .pid = pid, .window.began = now };
	}
	return client;
}

bool log_limit(pid_t pid, unsigned now, unsigned ret_left_out[2])
{
	struct client *client;
	bool may;

	pthread_mutex_lock(&lock);
	client = client_of(pid, now);
	window_pass(&client->window, now);
	window_pass(&all, now);
	may = client->window.lines < LOG_CLIENT_LINES && all.lines < LOG_CLIENTS_LINES;
	if (may) {
		client->window.lines++;
		all.lines++;
		ret_left_out[0] = client->window.left_out;
		ret_left_out[1] = all.left_out;
		client->window.left_out = all.left_out = 0;
	} else {
		client->window.left_out++;
	}
	pthread_mutex_unlock(&lock);
	return may;
}
