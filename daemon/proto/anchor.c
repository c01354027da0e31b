/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keeps the archive non-empty until the first real file lands. */
extern int cused_proto_anchor;
int cused_proto_anchor;
