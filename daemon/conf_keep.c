/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <util/cleanup.h>

#include "conf_keep.h"
#include "conf_load.h"

#define NAME "the state of the service before"	/* of the text, for messages */
/* Addresses and groups are ours already: no machine is asked whether it has them. */
#define NO_SYSFS "/dev/null"

/* Before the text of KEEP_SERVICE. */
struct head {
	uint64_t last_id, left_at;
};

/* ---- writing ---- */

void conf_keep_device(struct keep *keep, uint64_t id, const struct conf_device *device,
		      const struct conf *settings)
{
	struct keep_batch batch;
	char *text = NULL;
	size_t size = 0;
	FILE *f;

	if (!keep)
		return;
	keep_begin(keep, &batch);
	f = open_memstream(&text, &size);
	if (f)
		conf_dump_device(device, true, f);
	if (f && fclose(f) == 0)
		keep_put(keep, KEEP_CONF_DEVICE, id, text, size);
	else
		keep_break(keep);
	conf_keep_settings(keep, settings, id, 0);
	keep_end(&batch);
	free(text);
}

void conf_keep_drop(struct keep *keep, uint64_t id)
{
	keep_drop(keep, KEEP_CONF_DEVICE, id);
}

void conf_keep_settings(struct keep *keep, const struct conf *settings, uint64_t last_id,
			uint64_t left_at)
{
	const struct head head = { last_id, left_at };
	char *text = NULL;
	size_t size = 0;
	FILE *f;

	if (!keep)
		return;
	f = open_memstream(&text, &size);
	if (f && fwrite(&head, sizeof(head), 1, f) == 1)
		conf_dump_settings(settings, f);
	if (f && fclose(f) == 0)
		keep_put(keep, KEEP_SERVICE, 0, text, size);
	else
		keep_break(keep);
	free(text);
}

/* ---- reading ---- */

static int bad_message(struct cused_error *err, const char *what)
{
	return cused_error_set(err, -EBADMSG, NAME ": %s", what);
}

/* What we wrote and cannot read is no mistake of a user's. */
static int bad_unless_memory(int r)
{
	return r == 0 || r == -ENOMEM ? r : -EBADMSG;
}

int conf_kept_settings(struct keep *keep, struct conf *ret, uint64_t *ret_last_id,
		       uint64_t *ret_left_at, struct cused_error *err)
{
	long size = keep_get(keep, KEEP_SERVICE, 0, NULL, 0);
	cleanup_free char *bytes = NULL;
	struct head head;
	int r;

	conf_init(ret);
	if (size < (long)sizeof(head))
		return bad_message(err, "there are no settings");
	bytes = malloc((size_t)size + 1);
	if (!bytes)
		return cused_error_set(err, -ENOMEM, "out of memory");
	keep_get(keep, KEEP_SERVICE, 0, bytes, (size_t)size);
	bytes[size] = '\0';
	memcpy(&head, bytes, sizeof(head));
	ret->file_read = true;		/* so that there is no default device */
	r = conf_parse(ret, NAME, bytes + sizeof(head), (size_t)size - sizeof(head), err);
	if (r == 0 && (ret->n_devices || ret->n_groups || !ret->iommu || !ret->service_list.name))
		r = bad_message(err, "what ought to be settings is not");
	if (r == 0)
		r = conf_finish(ret, NO_SYSFS, err);
	*ret_last_id = head.last_id;
	*ret_left_at = head.left_at;
	return bad_unless_memory(r);
}

struct walk {
	const struct conf *settings;
	conf_kept_fn *fn;
	void *arg;
	struct cused_error *err;
};

static bool is_complete(const struct conf *conf)
{
	const struct cused_value *common;

	if (conf->n_devices != 1)
		return false;
	common = conf->devices[0].common;
	return common[CONF_DEVICE_BDF].set && common[CONF_DEVICE_ID].set &&
	       (common[CONF_DEVICE_GROUP].set || conf_is_host(&conf->devices[0]));
}

static int take_device(void *arg, uint64_t id, const void *data, size_t size)
{
	cleanup_free char *text = strndup(data ? data : "", size);
	struct walk *walk = arg;
	struct conf conf;
	int r;

	if (!text)
		return cused_error_set(walk->err, -ENOMEM, "out of memory");
	conf_init(&conf);
	conf.kept = true;
	r = conf_parse(&conf, NAME, text, strlen(text), walk->err);
	if (r == 0 && !is_complete(&conf))
		r = bad_message(walk->err, "what ought to be a device is not");
	if (r == 0)
		r = conf_finish_beside(&conf, walk->settings, NO_SYSFS, walk->err);
	r = bad_unless_memory(r);
	if (r == 0)
		r = walk->fn(walk->arg, id, &conf, walk->err);
	conf_done(&conf);
	return r;
}

int conf_kept_devices(struct keep *keep, const struct conf *settings, conf_kept_fn *fn,
		      void *arg, struct cused_error *err)
{
	struct walk walk = { settings, fn, arg, err };

	cused_error_set(err, -ENOMEM, "out of memory");
	return keep_each(keep, KEEP_CONF_DEVICE, take_device, &walk);
}
