/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bench_inside.h - the part that runs as the client. */
#ifndef BENCH_INSIDE_H
#define BENCH_INSIDE_H

/* @argv: "calls" EDU_BDF, or "nvme" MEMORY_BDF IMAGE_BDF. Return: exit status. */
int bench_inside(int argc, char **argv);

#endif
