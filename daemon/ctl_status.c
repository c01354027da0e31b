/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ctl_status.c - what is served and who uses it, as JSON. Each object of the core fills a
 * plain struct (core/status.c tells how); here are the words for it.
 */
#include <linux/vfio.h>
#include <string.h>
#include <unistd.h>

#include <core/container.h>
#include <core/device.h>
#include <core/group.h>
#include <transport/open_notes.h>
#include <transport/thread.h>

#include "ctl.h"

struct walk {
	const struct ctl *ctl;
	json_t *array;
	json_t *index;			/* of clients: by what tells one from another */
	uint64_t left;			/* how many may still be listed */
	uint64_t omitted;
};

/* JSON's numbers are signed here. */
static json_int_t number(uint64_t value)
{
	return value > INT64_MAX ? INT64_MAX : (json_int_t)value;
}

/* ---- devices ---- */

static const char *irq_mode(const struct device_status *status)
{
	switch (status->irq_mode) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		return "intx";
	case VFIO_PCI_MSI_IRQ_INDEX:
		return "msi";
	case VFIO_PCI_MSIX_IRQ_INDEX:
		return "msix";
	default:
		return "none";
	}
}

static const char *device_word(const struct device_status *s, bool hidden)
{
	if (s->revoked)
		return "revoked";
	if (hidden)
		return "leaving";
	if (!s->open_files)
		return "closed";
	return s->low_power ? "asleep" : "open";
}

static json_t *device_json(const struct ctl *ctl, struct device *device, bool hidden)
{
	const char *id = ctl->ops->device_id(ctl->arg, device_name(device));
	struct device_status s;

	device_get_status(device, &s);
	return json_pack("{s:s, s:s, s:s, s:s, s:i,"
			 " s:{s:s, s:i, s:I, s:b, s:b, s:b},"
			 " s:{s:I, s:I, s:I, s:I}, s:I}",
			 "bdf", device_name(device), "id", id ? id : "",
			 "model", device_ops(device)->name,
			 "state", device_word(&s, hidden),
			 "open_files", (int)s.open_files,
			 "interrupts",
			 "mode", irq_mode(&s), "configured", (int)s.irq_vectors,
			 "raised", number(s.counters.interrupts), "masked", s.intx_masked,
			 "error_event", s.err_set, "request_event", s.req_set,
			 "dma",
			 "read_bytes", number(s.counters.dma_read_bytes),
			 "written_bytes", number(s.counters.dma_write_bytes),
			 "faults", number(s.counters.dma_faults),
			 "refused", number(s.counters.dma_refused),
			 "polls", number(s.counters.polls));
}

static int add_device(struct device *device, void *arg)
{
	struct walk *walk = arg;

	return json_array_append_new(walk->array, device_json(walk->ctl, device, false));
}

static int add_hidden_device(struct device *device, void *arg)
{
	struct walk *walk = arg;

	return json_array_append_new(walk->array, device_json(walk->ctl, device, true));
}

/* ---- groups ---- */

/* As its node in /dev/vfio. */
static void group_name(unsigned id, bool noiommu, char ret[32])
{
	snprintf(ret, 32, "%s%u", noiommu ? "noiommu-" : "", id);
}

static const char *group_word(const struct group_state *state)
{
	if (state->busy)
		return "busy";
	if (!state->open)
		return "closed";
	return state->container ? "attached" : "open";
}

static int add_group(struct group *group, void *arg)
{
	struct walk *walk = arg;
	struct walk devices = { .ctl = walk->ctl, .array = json_array() };
	struct group_state state;
	char name[32];
	json_t *json;

	if (!devices.array)
		return -1;
	group_get_state(group, &state);
	group_name(group_id(group), group_kind(group) == GROUP_NOIOMMU, name);
	if (topology_each_device(walk->ctl->topology, group, add_device, &devices) ||
	    topology_each_hidden_device(walk->ctl->topology, group, add_hidden_device,
					&devices)) {
		json_decref(devices.array);
		return -1;
	}
	/* One that has lost its devices is there only as long as it is open. */
	if (!state.open && !state.busy && json_array_size(devices.array) == 0) {
		json_decref(devices.array);
		return 0;
	}
	json = json_pack("{s:s, s:s, s:b, s:o}", "name", name, "state", group_word(&state),
			 "viable", state.viable, "devices", devices.array);
	if (json && state.container &&
	    json_object_set_new(json, "container", json_integer(number(state.container)))) {
		json_decref(json);
		return -1;
	}
	return json_array_append_new(walk->array, json);
}

/* ---- containers ---- */

static int add_container(struct container *container, void *arg)
{
	struct walk *walk = arg;
	struct container_status s;

	container_get_status(container, &s);
	if (s.kept && !s.file_open)
		return 0;
	if (walk->left == 0) {
		walk->omitted++;
		return 0;
	}
	walk->left--;
	return json_array_append_new(walk->array,
		json_pack("{s:I, s:b, s:b, s:b, s:s?, s:i, s:I, s:I}", "id", number(s.id),
			  "busy", s.busy, "open", s.file_open, "swapped", s.swapped,
			  "driver", s.driver, "groups", (int)s.groups, "mappings",
			  number(s.mappings), "mapped_bytes", number(s.mapped_bytes)));
}

/* ---- clients ---- */

/* The entry of a process, made if need be; NULL: there is no more room, or no memory. */
static json_t *client_of(struct walk *walk, const struct client_who *who)
{
	json_t *client;
	char key[64];

	snprintf(key, sizeof(key), "%d %u %s", (int)who->pid, who->uid, who->name);
	client = json_object_get(walk->index, key);
	if (client)
		return client;
	if (walk->left == 0) {
		walk->omitted++;
		return NULL;
	}
	walk->left--;
	client = json_pack("{s:i, s:I, s:s, s:[], s:[], s:[]}", "pid", (int)who->pid, "uid",
			   (json_int_t)who->uid, "name", who->name, "containers", "groups",
			   "devices");
	if (json_array_append_new(walk->array, client) ||
	    json_object_set(walk->index, key, client))
		return NULL;
	return client;
}

static bool is_full(struct walk *walk, const json_t *files)
{
	bool full = json_array_size(files) >= CTL_LIST_MAX;

	walk->omitted += full;
	return full;
}

static int add_note(struct walk *walk, const struct open_note *note)
{
	uint64_t omitted = walk->omitted;
	json_t *client = client_of(walk, &note->who), *files;
	char name[32];

	if (!client)
		return walk->omitted == omitted ? -1 : 0;
	group_name(note->group, note->noiommu, name);
	switch (note->kind) {
	case OBJECT_CONTAINER:
		files = json_object_get(client, "containers");
		/* A process can open as many as it likes. */
		if (is_full(walk, files))
			return 0;
		return json_array_append_new(files, json_integer(number(note->container)));
	case OBJECT_GROUP:
		return json_array_append_new(json_object_get(client, "groups"),
					     json_string(name));
	default:
		files = json_object_get(client, "devices");
		if (is_full(walk, files))
			return 0;
		return json_array_append_new(files, json_string(note->device));
	}
}

static int add_clients(struct walk *walk)
{
	struct open_notes notes = { 0 };
	int r = walk->ctl->ops->files(walk->ctl->arg, &notes);

	walk->index = json_object();
	for (size_t i = 0; r == 0 && i < notes.n; i++)
		r = add_note(walk, &notes.files[i]);
	json_decref(walk->index);
	open_notes_done(&notes);
	return r;
}

/* ---- all of it ---- */

json_t *ctl_status(const struct ctl *ctl)
{
	struct walk groups = { .ctl = ctl, .array = json_array() };
	struct walk containers = { .ctl = ctl, .array = json_array(), .left = CTL_LIST_MAX };
	struct walk clients = { .ctl = ctl, .array = json_array(), .left = CTL_LIST_MAX };
	json_t *status;
	int r = 0;

	if (groups.array)
		r = topology_each_group(ctl->topology, add_group, &groups);
	if (r == 0 && containers.array)
		r = containers_each(ctl->topology, add_container, &containers);
	if (r == 0 && clients.array)
		r = add_clients(&clients);
	/* Takes over the arrays, and makes nothing if one of them is missing. */
	status = json_pack("{s:s, s:s, s:i, s:I, s:o, s:o, s:o, s:I}", "version", CUSED_VERSION,
			   "mode", ctl->ops->mode, "pid", (int)getpid(), "uptime_ms",
			   number((thread_now_ns() - ctl->began) / 1000000), "groups",
			   groups.array, "containers", containers.array, "clients",
			   clients.array, "omitted",
			   number(containers.omitted + clients.omitted));
	if (r == 0 && status && ctl->ops->status)
		r = ctl->ops->status(ctl->arg, status);
	if (r) {
		json_decref(status);
		return NULL;
	}
	return status;
}
