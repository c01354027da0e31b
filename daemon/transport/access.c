/* SPDX-License-Identifier: GPL-2.0-or-later */
#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <transport/access.h>
#include <util/cleanup.h>
#include <util/log.h>

#define READ_OR_WRITE 06u

struct access {
	char group[32];
	atomic_uint refs;
	atomic_bool checked;		/* rights.checked, for who needs to know no more */
	pthread_mutex_t lock;
	struct access_rights rights;	/* lock */
	unsigned rules;			/* lock; number of the rules, from 1 on */
};

int access_new(const char *group, const struct access_rights *rights, struct access **ret)
{
	struct access *access = calloc(1, sizeof(*access));

	if (!access)
		return -ENOMEM;
	snprintf(access->group, sizeof(access->group), "%s", group);
	atomic_init(&access->refs, 1);
	pthread_mutex_init(&access->lock, NULL);
	access_set(access, rights);
	*ret = access;
	return 0;
}

struct access *access_ref(struct access *access)
{
	atomic_fetch_add(&access->refs, 1);
	return access;
}

void access_unref(struct access *access)
{
	if (!access || atomic_fetch_sub(&access->refs, 1) != 1)
		return;
	pthread_mutex_destroy(&access->lock);
	free(access);
}

void access_set(struct access *access, const struct access_rights *rights)
{
	pthread_mutex_lock(&access->lock);
	access->rights = *rights;
	if (++access->rules == 0)	/* 0 stands for none */
		access->rules = 1;
	atomic_store(&access->checked, rights->checked);
	pthread_mutex_unlock(&access->lock);
}

/* Who cannot be looked at is in no other group. */
static bool in_group(const struct request *request, gid_t gid)
{
	cleanup_free gid_t *groups = NULL;
	int n;

	if (request->gid == gid)
		return true;
	if (request->tid == 0)		/* of a pid namespace that is not below ours */
		return false;
	groups = malloc(ACCESS_GROUPS_MAX * sizeof(*groups));
	if (!groups)
		return false;
	n = fuse_req_getgroups(request->fuse, (int)ACCESS_GROUPS_MAX, groups);
	for (int i = 0; i < n && i < (int)ACCESS_GROUPS_MAX; i++) {
		if (groups[i] == gid)
			return true;
	}
	return false;
}

/* As the kernel does for a file: the first class that fits decides. */
static bool judge(const struct access_rights *rights, const struct request *request)
{
	unsigned mode = rights->mode;

	if (request->uid == 0)
		return true;
	if (request->uid == rights->uid)
		return mode >> 6 & READ_OR_WRITE;
	/* Reading /proc is for where it makes a difference. */
	if (!(mode >> 3 & READ_OR_WRITE) == !(mode & READ_OR_WRITE))
		return mode & READ_OR_WRITE;
	return in_group(request, rights->gid) ? mode >> 3 & READ_OR_WRITE :
						mode & READ_OR_WRITE;
}

static void tell_refused(const struct access *access, const struct request *request)
{
	struct log_about about = { .pid = request->tid, .group = access->group };

	/* Without a number it would be no client's line, and so have no limit. */
	if (request->tid)
		log_about(&about, CUSED_LOG_INFO, "access", "process %d of user %u may not use "
			  "group %s", (int)request->tid, request->uid, access->group);
}

bool access_allows(struct access *access, struct access_seen *seen,
		   const struct request *request)
{
	struct access_rights rights;
	unsigned rules;
	bool known;

	if (!atomic_load(&access->checked))
		return true;
	pthread_mutex_lock(&access->lock);
	rights = access->rights;
	rules = access->rules;
	known = seen->rules == rules && seen->uid == request->uid && seen->gid == request->gid;
	pthread_mutex_unlock(&access->lock);
	if (known)
		return true;
	if (rights.checked && !judge(&rights, request)) {
		tell_refused(access, request);
		return false;
	}
	pthread_mutex_lock(&access->lock);
	*seen = (struct access_seen){ request->uid, request->gid, rules };
	pthread_mutex_unlock(&access->lock);
	return true;
}
