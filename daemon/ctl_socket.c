/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <util/cleanup.h>

#include "conf.h"
#include "ctl.h"

#define BACKLOG 16

/* ---- what the user wants ---- */

int ctl_socket_of(const struct params_list *list, const struct cused_value *service,
		  struct ctl_socket *ret, struct cused_error *err)
{
	struct ctl_socket where = { .path = service[CONF_SERVICE_CTL].string };
	unsigned mode, uid, gid;
	int r = conf_parse_mode(list, "ctl_mode", service[CONF_SERVICE_CTL_MODE].string, &mode,
				err);

	if (r == 0)
		r = conf_parse_who(list, "ctl_owner", service[CONF_SERVICE_CTL_OWNER].string,
				   true, &uid, err);
	if (r == 0)
		r = conf_parse_who(list, "ctl_group", service[CONF_SERVICE_CTL_GROUP].string,
				   false, &gid, err);
	if (r)
		return r;
	where.mode = mode;
	where.uid = uid;
	where.gid = gid;
	*ret = where;
	return !strcmp(where.path, "off");
}

/* ---- sockets ---- */

static int address_of(const char *path, struct sockaddr_un *ret, struct cused_error *err)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (!*path)
		return cused_error_set(err, -EINVAL, "the name of the control socket is empty; "
				       "give it one, or the default %s", CTL_SOCKET);
	if (strlen(path) >= sizeof(ret->sun_path))
		return cused_error_set(err, -ENAMETOOLONG, "the control socket's name %s is too "
				       "long: %zu bytes are possible; choose a shorter one",
				       path, sizeof(ret->sun_path) - 1);
	strcpy(ret->sun_path, path);
	return 0;
}

/* The folder is made, as one that anybody may enter, if only that is missing. */
static int folder_make(const char *path, struct cused_error *err)
{
	cleanup_free char *folder = strdup(path);
	char *slash;

	if (!folder)
		return cused_error_set(err, -ENOMEM, "out of memory");
	slash = strrchr(folder, '/');
	if (!slash || slash == folder)
		return 0;
	*slash = '\0';
	if (mkdir(folder, 0755) && errno != EEXIST)
		return cused_error_set(err, -errno, "cannot make the folder %s of the control "
				       "socket: %s", folder, strerror(errno));
	return 0;
}

/* What is at the name already: nothing, or a socket that its owner left behind. */
static int make_room(const char *path, const struct sockaddr_un *address,
		     struct cused_error *err)
{
	cleanup_close int probe = -1;
	struct stat st;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : cused_error_set(err, -errno, "cannot look at the "
			"control socket %s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return cused_error_set(err, -EEXIST, "the control socket cannot be %s: there is "
				       "something else of that name; take it away, or choose "
				       "another name", path);
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe < 0)
		return cused_error_set(err, -errno, "socket: %s", strerror(errno));
	/* One whose queue is full is alive, too. */
	if (connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	    errno == EAGAIN)
		return cused_error_set(err, -EADDRINUSE, "another vfio-cused has the control "
				       "socket %s: stop it (vfio-cused ctl --socket %s stop), "
				       "or choose another name", path, path);
	if (errno != ECONNREFUSED)
		return cused_error_set(err, -errno, "cannot tell whether the control socket %s "
				       "is in use: %s", path, strerror(errno));
	if (unlink(path) && errno != ENOENT)
		return cused_error_set(err, -errno, "cannot replace the control socket %s that "
				       "was left behind: %s", path, strerror(errno));
	return 0;
}

int ctl_listen(const struct ctl_socket *where, int *ret, struct cused_error *err)
{
	struct sockaddr_un address;
	cleanup_close int fd = -1;
	mode_t mask;
	int r = address_of(where->path, &address, err);

	if (r == 0)
		r = folder_make(where->path, err);
	if (r == 0)
		r = make_room(where->path, &address, err);
	if (r)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return cused_error_set(err, -errno, "socket: %s", strerror(errno));
	/* Nobody else gets in before it has its owner and mode. */
	mask = umask(0777);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
	umask(mask);
	if (r)
		return cused_error_set(err, r, "cannot make the control socket %s: %s",
				       where->path, strerror(-r));
	if ((where->uid != (uid_t)-1 || where->gid != (gid_t)-1) &&
	    lchown(where->path, where->uid, where->gid))
		r = cused_error_set(err, -errno, "cannot give the control socket %s its owner: "
				    "%s", where->path, strerror(errno));
	else if (chmod(where->path, where->mode) || listen(fd, BACKLOG))
		r = cused_error_set(err, -errno, "cannot listen at the control socket %s: %s",
				    where->path, strerror(errno));
	if (r) {
		unlink(where->path);
		return r;
	}
	*ret = steal_fd(&fd);
	return 0;
}

static const char *connect_cure(int error)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		return "nothing serves there; start vfio-cused serve, or name the socket by "
		       "--socket";
	case EACCES:
		return "only its owner and group may ask; see to the key ctl_mode of --service";
	case EAGAIN:
		return "too many want to ask at the same time; try again";
	default:
		return "name the socket of a running vfio-cused by --socket";
	}
}

int ctl_connect(const char *path, int *ret, struct cused_error *err)
{
	struct sockaddr_un address;
	cleanup_close int fd = -1;
	int r = address_of(path, &address, err);

	if (r)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return cused_error_set(err, -errno, "socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return cused_error_set(err, -errno, "cannot reach the control socket %s: %s: %s",
				       path, strerror(errno), connect_cure(errno));
	*ret = steal_fd(&fd);
	return 0;
}
