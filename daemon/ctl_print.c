/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ctl_print.c - a status as text for people: tables whose columns are as wide as need be. */
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

#define COLUMNS_MAX 9
#define CELL_SIZE 64

struct table {
	unsigned columns;
	size_t rows, room;
	char (*cells)[COLUMNS_MAX][CELL_SIZE];
};

/* ---- tables ---- */

/* Return: cells of a new row, all empty; NULL: no memory. */
static char (*row_new(struct table *table))[CELL_SIZE]
{
	if (table->rows == table->room) {
		size_t room = table->room ? 2 * table->room : 16;
		void *grown = reallocarray(table->cells, room, sizeof(*table->cells));

		if (!grown)
			return NULL;
		table->cells = grown;
		table->room = room;
	}
	memset(table->cells[table->rows], 0, sizeof(*table->cells));
	return table->cells[table->rows++];
}

static void table_print(FILE *f, struct table *table, const char *title)
{
	size_t width[COLUMNS_MAX] = { 0 };

	if (table->rows > 1)
		fprintf(f, "\n%s\n", title);
	for (size_t r = 0; r < table->rows; r++)
		for (unsigned c = 0; c < table->columns; c++)
			if (strlen(table->cells[r][c]) > width[c])
				width[c] = strlen(table->cells[r][c]);
	for (size_t r = 0; table->rows > 1 && r < table->rows; r++) {
		for (unsigned c = 0; c < table->columns; c++)
			fprintf(f, "  %-*s", c + 1 < table->columns ? (int)width[c] : 0,
				table->cells[r][c]);
		fputc('\n', f);
	}
	free(table->cells);
}

/* A table whose first row are these words, separated by '|'. */
static struct table table_of(const char *heads)
{
	struct table table = { 0 };
	char (*row)[CELL_SIZE] = row_new(&table);

	while (row && *heads) {
		size_t n = strcspn(heads, "|");

		snprintf(row[table.columns++], CELL_SIZE, "%.*s", (int)n, heads);
		heads += n + (heads[n] == '|');
	}
	return table;
}

/* ---- members ---- */

static const char *string_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "-";
}

static json_int_t number_of(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

/* With a binary suffix where that loses little. */
static void bytes_cell(char cell[CELL_SIZE], json_int_t bytes)
{
	static const char suffixes[] = "BKMGTPE";
	double value = (double)bytes;
	unsigned i = 0;

	while (value >= 10240 && suffixes[i + 1]) {
		value /= 1024;
		i++;
	}
	snprintf(cell, CELL_SIZE, "%.0f%c", value, suffixes[i]);
}

/* Words or numbers of a list, separated by commas, as many as fit. */
static void list_cell(char cell[CELL_SIZE], const json_t *list)
{
	char word[CELL_SIZE];
	const json_t *item;
	size_t i, at = 0;

	snprintf(cell, CELL_SIZE, "-");
	json_array_foreach(list, i, item) {
		int n;

		if (json_is_string(item))
			n = snprintf(word, sizeof(word), "%s%.32s", at ? "," : "",
				     json_string_value(item));
		else
			n = snprintf(word, sizeof(word), "%s%lld", at ? "," : "",
				     (long long)json_integer_value(item));
		if (at + (size_t)n + 3 >= CELL_SIZE) {
			snprintf(cell + at, CELL_SIZE - at, ",..");
			return;
		}
		at += (size_t)snprintf(cell + at, CELL_SIZE - at, "%s", word);
	}
}

/* ---- the tables of a status ---- */

static void device_row(struct table *table, const char *group, const json_t *device)
{
	const json_t *irq = json_object_get(device, "interrupts");
	const json_t *dma = json_object_get(device, "dma");
	char (*row)[CELL_SIZE] = row_new(table);

	if (!row)
		return;
	snprintf(row[0], CELL_SIZE, "%s", string_of(device, "bdf"));
	snprintf(row[1], CELL_SIZE, "%.40s", string_of(device, "id"));
	snprintf(row[2], CELL_SIZE, "%s", group);
	snprintf(row[3], CELL_SIZE, "%s", string_of(device, "state"));
	snprintf(row[4], CELL_SIZE, "%lld", (long long)number_of(device, "open_files"));
	snprintf(row[5], CELL_SIZE, "%s %lld/%lld", string_of(irq, "mode"),
		 (long long)number_of(irq, "configured"), (long long)number_of(irq, "raised"));
	bytes_cell(row[6], number_of(dma, "read_bytes"));
	bytes_cell(row[7], number_of(dma, "written_bytes"));
	snprintf(row[8], CELL_SIZE, "%lld/%lld", (long long)number_of(dma, "faults"),
		 (long long)number_of(dma, "refused"));
}

static void print_groups(FILE *f, const json_t *groups)
{
	struct table table = table_of("GROUP|STATE|CONTAINER|DEVICES");
	struct table devices = table_of("DEVICE|ID|GROUP|STATE|FILES|IRQS SET/RAISED|DMA READ|"
					"WRITTEN|FAULTS/REFUSED");
	const json_t *group, *device;
	size_t i, k;

	json_array_foreach(groups, i, group) {
		const json_t *list = json_object_get(group, "devices");
		char (*row)[CELL_SIZE] = row_new(&table);

		if (!row)
			break;
		snprintf(row[0], CELL_SIZE, "%.32s", string_of(group, "name"));
		snprintf(row[1], CELL_SIZE, "%s%s", string_of(group, "state"),
			 json_is_true(json_object_get(group, "viable")) ||
			 !strcmp(string_of(group, "state"), "busy") ? "" : ", not viable");
		if (number_of(group, "container"))
			snprintf(row[2], CELL_SIZE, "%lld",
				 (long long)number_of(group, "container"));
		else
			strcpy(row[2], "-");
		snprintf(row[3], CELL_SIZE, "%zu", json_array_size(list));
		json_array_foreach(list, k, device)
			device_row(&devices, row[0], device);
	}
	table_print(f, &table, "Groups");
	table_print(f, &devices, "Devices");
}

static void print_containers(FILE *f, const json_t *containers)
{
	struct table table = table_of("CONTAINER|DRIVER|GROUPS|MAPPINGS|MAPPED|FILE");
	const json_t *container;
	size_t i;

	json_array_foreach(containers, i, container) {
		bool busy = json_is_true(json_object_get(container, "busy"));
		char (*row)[CELL_SIZE] = row_new(&table);

		if (!row)
			break;
		snprintf(row[0], CELL_SIZE, "%lld", (long long)number_of(container, "id"));
		snprintf(row[1], CELL_SIZE, "%.32s", busy ? "busy" :
			 string_of(container, "driver"));
		snprintf(row[2], CELL_SIZE, "%lld", (long long)number_of(container, "groups"));
		snprintf(row[3], CELL_SIZE, "%lld",
			 (long long)number_of(container, "mappings"));
		bytes_cell(row[4], number_of(container, "mapped_bytes"));
		strcpy(row[5], json_is_true(json_object_get(container, "swapped")) ? "swapped" :
		       json_is_true(json_object_get(container, "open")) ? "open" : "closed");
	}
	table_print(f, &table, "Containers");
}

static void print_clients(FILE *f, const json_t *clients)
{
	struct table table = table_of("PID|NAME|UID|CONTAINERS|GROUPS|DEVICES");
	const json_t *client;
	size_t i;

	json_array_foreach(clients, i, client) {
		char (*row)[CELL_SIZE] = row_new(&table);

		if (!row)
			break;
		snprintf(row[0], CELL_SIZE, "%lld", (long long)number_of(client, "pid"));
		snprintf(row[1], CELL_SIZE, "%.16s", string_of(client, "name"));
		snprintf(row[2], CELL_SIZE, "%lld", (long long)number_of(client, "uid"));
		list_cell(row[3], json_object_get(client, "containers"));
		list_cell(row[4], json_object_get(client, "groups"));
		list_cell(row[5], json_object_get(client, "devices"));
	}
	if (table.rows == 1)
		fputs("\nNo clients\n", f);
	table_print(f, &table, "Clients");
}

void ctl_print_status(FILE *f, const json_t *status)
{
	json_int_t seconds = number_of(status, "uptime_ms") / 1000;

	fprintf(f, "vfio-cused %s, %s, process %lld, up %lld:%02lld:%02lld%s\n",
		string_of(status, "version"), string_of(status, "mode"),
		(long long)number_of(status, "pid"), (long long)(seconds / 3600),
		(long long)(seconds / 60 % 60), (long long)(seconds % 60),
		json_is_true(json_object_get(status, "stopping")) ? ", stopping" : "");
	print_groups(f, json_object_get(status, "groups"));
	print_containers(f, json_object_get(status, "containers"));
	print_clients(f, json_object_get(status, "clients"));
	if (number_of(status, "omitted"))
		fprintf(f, "\n%lld more are left out\n",
			(long long)number_of(status, "omitted"));
}
