/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/conf_widget.h - a model and a backend for tests of the configuration, in the registry like
 * any other. */
#ifndef UNIT_CONF_WIDGET_H
#define UNIT_CONF_WIDGET_H

#include <vfio-cused/device.h>
#include <vfio-cused/iommu.h>

static const struct cused_param widget_params[] = {
	{ "image", CUSED_PARAM_PATH, NULL, 0, 0, "a file" },
	{ "size", CUSED_PARAM_SIZE, "64M", 0, 0, "a size" },
};
static const struct cused_device_ops widget_ops = {
	.size = sizeof(widget_ops), .version = CUSED_API_VERSION, .name = "widget",
	.summary = "a widget", .params = widget_params, .n_params = 2,
};
CUSED_DEVICE(widget_ops);

static const struct cused_param wires_params[] = {
	{ "aperture", CUSED_PARAM_UINT, "39", 16, 64, "bits" },
};
static const struct cused_iommu_ops wires_ops = {
	.size = sizeof(wires_ops), .version = CUSED_API_VERSION, .name = "wires",
	.summary = "no IOMMU at all", .params = wires_params, .n_params = 1,
};
CUSED_IOMMU(wires_ops);

#endif
