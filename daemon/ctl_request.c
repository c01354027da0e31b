/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ctl_request.c - a line of a peer, to a line of ours.
 *
 *   {"v": 1, "command": "remove", "name": "nvme0", "revoke": true}
 *   {"v": 1, "ok": true, "result": {…}}
 *   {"v": 1, "ok": false, "error": "ENOENT", "text": "…"}
 *
 * Members that a command does not have are errors, as a program that asks for what this
 * version does not know had better be told.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "ctl.h"


struct request {
	const struct ctl *ctl;
	json_t *json;
	bool may_change;
	json_t *result;			/* out; NULL: an empty object */
	uint64_t job;			/* out */
	struct cused_error err;
};

struct command {
	const char *name;
	bool changes;
	const char *members;		/* beside v and command: " name revoke " */
	/* Return: 0; -errno with request->err set. */
	int (*run)(struct request *request);
};

/* ---- members ---- */

static int string_member(struct request *rq, const char *name, const char **ret)
{
	const json_t *member = json_object_get(rq->json, name);

	*ret = json_string_value(member);
	if (!*ret)
		return cused_error_set(&rq->err, -EINVAL, member ?
				       "the member \"%s\" is no string; write it in quotes" :
				       "there is no member \"%s\"; add it", name);
	/* What counts ends at a NUL. */
	if (strlen(*ret) != json_string_length(member))
		return cused_error_set(&rq->err, -EINVAL, "the member \"%s\" has a NUL; take "
				       "it out", name);
	return 0;
}

static int revoke_member(struct request *rq, bool *ret)
{
	const json_t *member = json_object_get(rq->json, "revoke");

	if (member && !json_is_boolean(member))
		return cused_error_set(&rq->err, -EINVAL, "the member \"revoke\" is neither "
				       "true nor false; write one of them");
	*ret = json_is_true(member);
	return 0;
}

/* ---- commands ---- */

static int cannot(struct request *rq, const char *what)
{
	return cused_error_set(&rq->err, -EOPNOTSUPP, "vfio-cused %s cannot %s; only the "
			       "service can (vfio-cused serve)", rq->ctl->ops->mode, what);
}

static int run_status(struct request *rq)
{
	rq->result = ctl_status(rq->ctl);
	return rq->result ? 0 : -ENOMEM;
}

static int run_add(struct request *rq)
{
	char bdf[16] = "", group[32] = "";
	const char *text;
	int r = string_member(rq, "device", &text);

	if (r)
		return r;
	if (!rq->ctl->ops->add)
		return cannot(rq, "add devices while it runs");
	r = rq->ctl->ops->add(rq->ctl->arg, text, bdf, group, &rq->err);
	if (r)
		return r;
	rq->result = json_pack("{s:s, s:s}", "bdf", bdf, "group", group);
	return rq->result ? 0 : -ENOMEM;
}

static int run_remove(struct request *rq)
{
	const char *name;
	bool revoke = false;
	int r = string_member(rq, "name", &name);

	if (r == 0)
		r = revoke_member(rq, &revoke);
	if (r)
		return r;
	if (!rq->ctl->ops->remove)
		return cannot(rq, "remove devices while it runs");
	return rq->ctl->ops->remove(rq->ctl->arg, name, revoke, &rq->job, &rq->err);
}

static int run_stop(struct request *rq)
{
	bool revoke = false;
	int r = revoke_member(rq, &revoke);

	if (r)
		return r;
	if (!rq->ctl->ops->stop)
		return cused_error_set(&rq->err, -EOPNOTSUPP, "vfio-cused %s ends with its "
				       "command; end that one", rq->ctl->ops->mode);
	return rq->ctl->ops->stop(rq->ctl->arg, revoke, &rq->job, &rq->err);
}

static const struct command commands[] = {
	{ "status", false, " ", run_status },
	{ "add", true, " device ", run_add },
	{ "remove", true, " name revoke ", run_remove },
	{ "stop", true, " revoke ", run_stop },
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int unknown_command(struct request *rq, const char *name)
{
	char known[64] = "";

	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (i)
			strcat(known, ", ");
		strcat(known, commands[i].name);
	}
	return cused_error_set(&rq->err, -EINVAL, "unknown command %.40s; known are %s", name,
			       known);
}

static int check_members(struct request *rq, const struct command *command)
{
	char word[32];
	const char *key;
	json_t *value;

	json_object_foreach(rq->json, key, value) {
		if (!strcmp(key, "v") || !strcmp(key, "command"))
			continue;
		if ((size_t)snprintf(word, sizeof(word), " %s ", key) < sizeof(word) &&
		    !strchr(key, ' ') && *key && strstr(command->members, word))
			continue;
		return cused_error_set(&rq->err, -EINVAL, "%s has no member \"%.40s\"%s%s; leave "
				       "it out", command->name, key, command->members[1] ?
				       "; it has" : "", command->members[1] ?
				       command->members : "");
	}
	return 0;
}

static int enter_and_run(struct request *rq, const struct command *command)
{
	const struct ctl *ctl = rq->ctl;
	int r = ctl->ops->enter ? ctl->ops->enter(ctl->arg) : 0;

	if (r)
		return cused_error_set(&rq->err, r, "%s is held up by a device that comes or "
				       "leaves; try again", ctl->ops->mode);
	r = command->run(rq);
	if (ctl->ops->leave)
		ctl->ops->leave(ctl->arg);
	return r;
}

static int dispatch(struct request *rq)
{
	const json_t *version = json_object_get(rq->json, "v");
	const char *name;
	int r;

	if (!json_is_object(rq->json))
		return cused_error_set(&rq->err, -EINVAL, "a request is a JSON object");
	if (!json_is_integer(version) || json_integer_value(version) != CTL_VERSION)
		return cused_error_set(&rq->err, -EPROTO, "the member \"v\", the version of the "
				       "protocol, is %s; this is version %d",
				       version ? "another" : "missing", CTL_VERSION);
	r = string_member(rq, "command", &name);
	if (r)
		return r;
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i].name, name))
			continue;
		if (commands[i].changes && !rq->may_change)
			return cused_error_set(&rq->err, -EPERM, "%s is for root and the owner "
					       "of the control socket; ask as one of them",
					       name);
		r = check_members(rq, &commands[i]);
		return r ? r : enter_and_run(rq, &commands[i]);
	}
	return unknown_command(rq, name);
}

/* ---- answers ---- */

/* Takes over @json, which may be NULL. */
static char *line_of(json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	size_t n = text ? strlen(text) : 0;
	char *line = text ? realloc(text, n + 2) : NULL;

	json_decref(json);
	if (!line) {
		free(text);
		return NULL;
	}
	strcpy(line + n, "\n");
	return line;
}

static char *answer(json_t *result)
{
	return line_of(json_pack("{s:i, s:b, s:o}", "v", CTL_VERSION, "ok", 1, "result",
				 result ? result : json_object()));
}

char *ctl_done(void)
{
	return answer(NULL);
}

/* Text can quote what a peer or a file name brought, which need not be UTF-8. */
static void make_ascii(char *text)
{
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			*text = '?';
	}
}

char *ctl_refusal(int code, const char *text)
{
	const char *name = strerrorname_np(-code);
	struct cused_error err;

	cused_error_set(&err, code, "%s", text);
	make_ascii(err.text);
	return line_of(json_pack("{s:i, s:b, s:s, s:s}", "v", CTL_VERSION, "ok", 0, "error",
				 name ? name : "EIO", "text", err.text));
}

int ctl_request(const struct ctl *ctl, const char *line, size_t size, bool may_change,
		char **ret_answer, uint64_t *ret_job)
{
	struct request rq = { .ctl = ctl, .may_change = may_change };
	json_error_t where;
	char *text;
	int r;

	rq.json = json_loadb(line, size, JSON_REJECT_DUPLICATES, &where);
	if (!rq.json)
		r = cused_error_set(&rq.err, -EINVAL, "the request is not JSON: %s, at byte %d",
				    where.text, where.position);
	else
		r = dispatch(&rq);
	json_decref(rq.json);
	*ret_job = r == 0 ? rq.job : 0;
	if (*ret_job) {
		*ret_answer = NULL;
		return 0;
	}
	if (r == -ENOMEM && !rq.err.text[0])
		cused_error_set(&rq.err, r, "out of memory");
	text = r ? ctl_refusal(r, rq.err.text) : answer(rq.result);
	if (!text)
		return -ENOMEM;
	*ret_answer = text;
	return 0;
}
