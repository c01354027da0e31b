/* SPDX-License-Identifier: GPL-2.0-or-later */
/* journal.c - a journal for guests without systemd: what is sent to the socket PATH is written
 * to standard output. vm-journal PATH */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	char bytes[8192];
	ssize_t n;

	if (argc != 2 || strlen(argv[1]) >= sizeof(address.sun_path))
		return 2;
	strcpy(address.sun_path, argv[1]);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		perror(argv[1]);
		return 1;
	}
	while ((n = recv(fd, bytes, sizeof(bytes), 0)) >= 0) {
		if (write(STDOUT_FILENO, bytes, (size_t)n) != n || write(STDOUT_FILENO, "\n", 1) != 1)
			return 1;
	}
	return 1;
}
