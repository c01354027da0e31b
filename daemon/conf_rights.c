/* SPDX-License-Identifier: GPL-2.0-or-later */
/* conf_rights.c - who may use a group's node: --group, and [group "N"] of a file. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <util/cleanup.h>

#include "conf.h"

#define ENTRY_SIZE_MAX (1u << 20)	/* of a group with very many members */
#define ID_MAX 4294967294ul		/* the next one means "nobody" to chown() */

/* "660" or "0660". */
int conf_parse_mode(const struct params_list *list, const char *key, const char *text,
		    unsigned *ret, struct cused_error *err)
{
	struct params_place place;
	size_t length = strlen(text);

	if (text[strspn(text, "01234567")] || length < 3 || length > 4 ||
	    (length == 4 && text[0] != '0'))
		return cused_error_set(err, -EINVAL, "%s: %s=%.60s is not three octal digits, "
				       "or four that begin with 0; write it like 0660",
				       params_place(list, key, &place), key, text);
	*ret = (unsigned)strtoul(text, NULL, 8);
	return 0;
}

/* The data base's entry in a buffer that grows as it asks for. Return: 0, -ENOENT, -errno. */
static int look_up(bool user, const char *name, unsigned *ret)
{
	for (size_t size = 1024; size <= ENTRY_SIZE_MAX; size *= 4) {
		cleanup_free char *buf = malloc(size);
		struct passwd user_space, *found_user = NULL;
		struct group group_space, *found_group = NULL;
		int r;

		if (!buf)
			return -ENOMEM;
		r = user ? getpwnam_r(name, &user_space, buf, size, &found_user) :
			   getgrnam_r(name, &group_space, buf, size, &found_group);
		if (r == ERANGE)
			continue;
		if (found_user)
			*ret = found_user->pw_uid;
		if (found_group)
			*ret = found_group->gr_gid;
		/* Of the errnos that mean "not found", some are of a missing data base. */
		return found_user || found_group ? 0 : r == ENOMEM || r == EIO ? -r : -ENOENT;
	}
	return -ENOMEM;
}

/* A name, or a number for which there need not be one. */
int conf_parse_who(const struct params_list *list, const char *key, const char *text, bool user,
		   unsigned *ret, struct cused_error *err)
{
	struct params_place place;
	unsigned long number;
	int r;

	if (!text[strspn(text, "0123456789")] && strlen(text) <= 10) {
		number = strtoul(text, NULL, 10);
		if (number <= ID_MAX) {
			*ret = (unsigned)number;
			return 0;
		}
	}
	r = look_up(user, text, ret);
	if (r == 0)
		return 0;
	return cused_error_set(err, r, r == -ENOENT ?
			       "%s: %s=%.60s: there is no such %s on this machine; add it, or "
			       "write a number up to 4294967294" :
			       "%s: %s=%.60s: the %s cannot be looked up",
			       params_place(list, key, &place), key, text,
			       user ? "user" : "group");
}

static int parse_rights(struct conf_group *group, struct cused_error *err)
{
	const struct cused_value *values = group->values;
	struct conf_rights *rights = &group->rights;
	int r = conf_parse_mode(&group->list, "mode", values[CONF_GROUP_MODE].string,
				&rights->mode, err);

	rights->given = true;
	if (r == 0)
		r = conf_parse_who(&group->list, "owner", values[CONF_GROUP_OWNER].string, true,
				   &rights->uid, err);
	if (r == 0)
		r = conf_parse_who(&group->list, "group", values[CONF_GROUP_GROUP].string, false,
				   &rights->gid, err);
	return r;
}

static int parse_number(const struct params_list *list, unsigned *ret, struct cused_error *err)
{
	const char *text = list->name;
	struct params_place place;

	*ret = (unsigned)strtoul(text, NULL, 10);
	/* Not "07" either: one group, one name. */
	if (*text && !text[strspn(text, "0123456789")] && strlen(text) <= 5 &&
	    !(text[0] == '0' && text[1]) && *ret <= CONF_GROUP_MAX)
		return 0;
	return cused_error_set(err, -EINVAL, "%s: '%.60s' is no group; write its number, 0 to %u",
			       params_place(list, NULL, &place), text, CONF_GROUP_MAX);
}

static struct conf_group *find_group(const struct conf *conf, unsigned id)
{
	for (size_t i = 0; i < conf->n_groups; i++)
		if (conf->groups[i].id == id)
			return &conf->groups[i];
	return NULL;
}

/* A place for the rules of group @id. Return: 0; -E2BIG, -ENOMEM with @err set. */
static int new_group(struct conf *conf, const struct params_list *list, unsigned id,
		     struct conf_group **ret, struct cused_error *err)
{
	struct params_place place;
	struct conf_group *grown;

	if (conf->n_groups == CONF_GROUPS_MAX)
		return cused_error_set(err, -E2BIG, "%s: there are rights of %d groups already, "
				       "and that is the most; leave one out",
				       params_place(list, NULL, &place), CONF_GROUPS_MAX);
	grown = realloc(conf->groups, (conf->n_groups + 1) * sizeof(*grown));
	if (!grown)
		return cused_error_set(err, -ENOMEM, "%s: out of memory",
				       params_place(list, NULL, &place));
	conf->groups = grown;
	grown[conf->n_groups] = (struct conf_group){ .id = id };
	*ret = &grown[conf->n_groups++];
	return 0;
}

int conf_take_group(struct conf *conf, struct params_list *list, struct cused_error *err)
{
	struct conf_group group = { 0 }, *old = NULL;
	struct params_table table = { conf_group_params, CONF_GROUP_KEYS, group.values };
	bool is_new = false;
	int r = parse_number(list, &group.id, err);

	if (r == 0) {
		old = find_group(conf, group.id);
		is_new = !old;
	}
	if (is_new)
		r = new_group(conf, list, group.id, &old, err);
	if (r == 0)
		r = params_lay(list, &old->list, err);
	if (r == 0)
		r = params_parse(list, &table, 1, err);
	group.list = *list;		/* borrowed, for messages */
	if (r == 0)
		r = parse_rights(&group, err);
	if (old)
		params_lay_end(list, &old->list, r == 0);
	else
		params_list_done(list);
	if (r == 0) {
		memcpy(old->values, group.values, sizeof(group.values));
		old->rights = group.rights;
	} else if (is_new && old) {
		conf->n_groups--;
	}
	return r;
}

int conf_set_group(struct conf *conf, const char *text, struct cused_error *err)
{
	struct params_list list;
	int r = params_split("--group", text, &list, err);

	return r ? r : conf_take_group(conf, &list, err);
}

struct conf_rights conf_rights(const struct conf *conf, unsigned group)
{
	const struct conf_group *found = find_group(conf, group);

	return found ? found->rights : CONF_RIGHTS_DEFAULT;
}
