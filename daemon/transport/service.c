/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <core/container.h>
#include <core/device.h>
#include <transport/service_internal.h>
#include <util/cleanup.h>
#include <vfio-cused/log.h>

#define BACKLOG 16

static void device_ioctl(void *arg, struct request *request, struct device_file *file,
			 unsigned cmd, uint64_t arg64)
{
	struct service_ioctl call = {
		.service = arg, .request = request,
		.object = { .kind = OBJECT_DEVICE, .device = file },
		.cmd = cmd, .arg = arg64,
	};

	service_ioctl(&call);
}

/* The agent's socket; in a folder of its own, which anybody may enter. @replace: who listens there
 * is the agent of a process before, which has not yet heard of the end of that. */
static int listen_at(const char *path, bool replace, int *ret, struct cused_error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_close int fd = -1;
	cleanup_free char *folder = strdup(path);
	char *slash;

	if (!folder)
		return cused_error_set(err, -ENOMEM, "out of memory");
	if (strlen(path) >= sizeof(address.sun_path))
		return cused_error_set(err, -ENAMETOOLONG, "the socket's name %s is too long: "
				       "%zu bytes are possible", path,
				       sizeof(address.sun_path) - 1);
	slash = strrchr(folder, '/');
	if (slash && slash != folder) {
		*slash = '\0';
		if (mkdir(folder, 0755) && errno != EEXIST)
			return cused_error_set(err, -errno, "cannot make the folder %s of the "
					       "agent's socket: %s", folder, strerror(errno));
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return cused_error_set(err, -errno, "socket: %s", strerror(errno));
	/* One that nobody listens at was left by a service that was killed. */
	if (replace)
		unlink(path);
	else if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return cused_error_set(err, -EADDRINUSE, "another service listens at %s: stop "
				       "it, or choose another place by --socket", path);
	else if (errno == ECONNREFUSED)
		unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    chmod(path, 0666) || listen(fd, BACKLOG))
		return cused_error_set(err, -errno, "cannot listen at %s: %s", path,
				       strerror(errno));
	*ret = steal_fd(&fd);
	return 0;
}

int service_new(const struct service_params *params, struct service **ret,
		struct cused_error *err)
{
	struct service *service = calloc(1, sizeof(*service));
	int r;

	if (!service)
		return cused_error_set(err, -ENOMEM, "out of memory");
	service->params = *params;
	service->listener = -1;
	pthread_mutex_init(&service->lock, NULL);
	list_init(&service->nodes);
	list_init(&service->looks);
	atomic_init(&service->next_file, open_file_first_id());
	r = server_new(&service->server);
	if (r == 0)
		r = server_keep(service->server, params->keep);
	if (r == 0)
		r = clients_new(&service->clients);
	if (r == 0)
		r = clients_keep(service->clients, params->keep, params->fds);
	if (r == 0)
		r = client_events_new(&service->events);
	if (r == 0)
		r = client_events_keep(service->events, params->keep, params->fds);
	if (r == 0)
		r = host_files_new(params->keep, params->fds, &service->host_files);
	if (r == 0)
		r = iommu_files_new(params->keep, params->fds, &service->iommu_files);
	if (r)
		cused_error_set(err, r, "cannot serve: %s", strerror(-r));
	else
		r = devfs_new(service->server, device_ioctl, service, params->keep, params->fds,
			      &service->devfs, err);
	if (r) {
		service_stop(service);
		return r;
	}
	*ret = service;
	return 0;
}

struct backend_files *service_backend_files(const struct service *service)
{
	return service->iommu_files;
}

bool service_can_map(const struct service *service)
{
	return devfs_can_map(service->devfs);
}

int service_add_device(struct service *service, const struct device *device, int memfd)
{
	return devfs_add_device(service->devfs, device, memfd);
}

void service_remove_device(struct service *service, const struct device *device)
{
	devfs_remove_device(service->devfs, device);
}

/* @group: NULL: that of containers */
static struct node *find_group(struct service *service, const struct group *group)
{
	struct node *found = NULL;

	pthread_mutex_lock(&service->lock);
	list_for_each(it, &service->nodes) {
		struct node *node = container_of(it, struct node, item);

		if (node->group == group)
			found = node;
	}
	pthread_mutex_unlock(&service->lock);
	return found;
}

int service_start(struct service *service, struct topology *topology,
		  struct cused_error *err)
{
	struct agent_params agent = { .connect = service->params.agent_connect,
				      .program = service->params.agent,
				      .argv = service->params.agent_argv };
	struct node *node;
	struct stat iommu;
	int r;

	service->topology = topology;
	if (service->params.dma_swap && stat("/dev/iommu", &iommu) == 0)
		service->iommu = iommu.st_rdev;
	r = service_restore(service, err);
	if (r == 0 && service->params.socket)
		r = listen_at(service->params.socket, service->params.restore, &service->listener,
			      err);
	agent.listener = service->listener;
	agent.mount = devfs_mount(service->devfs);
	if (r == 0)
		r = agent_new(&agent, &service->agent, err);
	if (r == 0 && !find_group(service, NULL))
		r = node_new(service, OBJECT_CONTAINER, NULL, NULL, &node, err);
	return r ? r : service_resume(service, err);
}

int service_sysfs(struct service *service, const struct sysfs_plan *old,
		  const struct sysfs_plan *new, const char *root, struct cused_error *err)
{
	return agent_sysfs(service->agent, old, new, root, err);
}

static int node_claim(struct node *node, const struct access_rights *rights,
		      struct cused_error *err)
{
	node->claimed = true;
	return node->hidden ? node_show(node, rights, err) : node_set_rights(node, rights, err);
}

int service_add_group(struct service *service, struct group *group,
		      const struct access_rights *rights, struct cused_error *err)
{
	static const struct access_rights preset = ACCESS_RIGHTS_DEFAULT;
	struct node *node = find_group(service, group);

	if (!rights)
		rights = &preset;
	if (node && (node->hidden || (node->adopted && !node->claimed)))
		return node_claim(node, rights, err);
	if (node)
		return cused_error_set(err, -EEXIST, "group %u has a node already",
				       group_id(group));
	return node_new(service, OBJECT_GROUP, group, rights, &node, err);
}

static int no_node(const struct group *group, struct cused_error *err)
{
	return cused_error_set(err, -ENOENT, "group %u has no node", group_id(group));
}

int service_set_rights(struct service *service, struct group *group,
		       const struct access_rights *rights, struct cused_error *err)
{
	struct node *node = find_group(service, group);

	return node ? node_claim(node, rights, err) : no_node(group, err);
}

int service_remove_group(struct service *service, struct group *group,
			 struct cused_error *err)
{
	struct node *node = find_group(service, group);
	int r;

	if (!node)
		return no_node(group, err);
	r = node_free(node);
	return r ? cused_error_set(err, r, "a call on group %u is stalled by its client",
				   group_id(group)) : 0;
}

int service_hide_group(struct service *service, struct group *group,
		       struct cused_error *err)
{
	struct node *node = find_group(service, group);

	if (!node || node->hidden)
		return no_node(group, err);
	node_hide(node);
	return 0;
}

static bool is_unused(struct node *node)
{
	bool unused;

	pthread_mutex_lock(&node->lock);
	unused = list_empty(&node->files.all);
	pthread_mutex_unlock(&node->lock);
	return unused;
}

static int any_device(struct device *device, void *arg)
{
	return 1;
}

/* A process before has shown it, was killed as its last device went, and nobody has asked for it
 * since. */
static void hide_unclaimed(struct service *service)
{
	list_for_each(it, &service->nodes) {
		struct node *node = container_of(it, struct node, item);

		if (node->adopted && !node->claimed && !node->hidden && node->group &&
		    !topology_each_device(service->topology, node->group, any_device, NULL))
			node_hide(node);
	}
}

unsigned service_reap(struct service *service)
{
	struct node *node;
	unsigned left;

	hide_unclaimed(service);
	do {
		node = NULL;
		left = 0;
		pthread_mutex_lock(&service->lock);
		list_for_each(it, &service->nodes) {
			struct node *at = container_of(it, struct node, item);

			left += at->hidden;
			if (at->hidden && is_unused(at))
				node = at;
		}
		pthread_mutex_unlock(&service->lock);
	} while (node && node_free(node) == 0);
	return left;
}

dev_t service_node_number(struct service *service, const char *name)
{
	dev_t number = 0;

	pthread_mutex_lock(&service->lock);
	list_for_each(it, &service->nodes) {
		struct node *node = container_of(it, struct node, item);

		if (!strcmp(strchr(node->name, '/') + 1, name))
			number = node->number;
	}
	pthread_mutex_unlock(&service->lock);
	return number;
}

int service_stop(struct service *service)
{
	int r = 0;

	if (!service)
		return 0;
	if (service->topology)
		containers_end(service->topology);
	/* Groups before the container, so that nobody opens half of what is needed. */
	while (r == 0 && !list_empty(&service->nodes))
		r = node_free(container_of(service->nodes.prev, struct node, item));
	/* Of a group that was removed, a call can be stalled to this day. */
	if (r == 0 && service->server && server_is_busy(service->server))
		r = -EBUSY;
	if (r == 0)
		r = devfs_free(service->devfs);
	if (r)
		return r;
	host_files_free(service->host_files);
	iommu_files_free(service->iommu_files);
	agent_free(service->agent);
	if (service->listener >= 0) {
		close(service->listener);
		unlink(service->params.socket);
	}
	client_events_free(service->events);
	clients_free(service->clients);
	server_free(service->server);
	pthread_mutex_destroy(&service->lock);
	free(service);
	return 0;
}

void service_leave(struct service *service)
{
	server_leave(service->server, SERVICE_LEAVE_MS);
}

void service_get_status(struct service *service, struct service_status *ret)
{
	*ret = (struct service_status){ 0 };
	pthread_mutex_lock(&service->lock);
	list_for_each(it, &service->nodes) {
		struct node *node = container_of(it, struct node, item);

		ret->nodes += !node->hidden;
		pthread_mutex_lock(&node->lock);
		list_for_each(f, &node->files.all)
			ret->open_files++;
		pthread_mutex_unlock(&node->lock);
	}
	pthread_mutex_unlock(&service->lock);
	ret->device_files = devfs_count(service->devfs) +
			    host_files_count(service->host_files);
	ret->stalled_calls = server_stalled(service->server);
	ret->agent = service->agent ? agent_pid(service->agent) : 0;
}

int service_files(struct service *service, struct open_notes *ret)
{
	int r = 0;

	pthread_mutex_lock(&service->lock);
	list_for_each(it, &service->nodes) {
		struct node *node = container_of(it, struct node, item);

		pthread_mutex_lock(&node->lock);
		list_for_each(f, &node->files.all) {
			struct open_file *file = container_of(f, struct open_file, item);

			if (r == 0)
				r = open_notes_add(ret, &file->who, file->object);
		}
		pthread_mutex_unlock(&node->lock);
	}
	pthread_mutex_unlock(&service->lock);
	return r ? r : devfs_files(service->devfs, ret);
}
