/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cases of the sPAPR TCE IOMMU. A kernel for x86 has no such driver: what can be asked
 * there is that its extensions are not there, and that its commands are nobody's. Where
 * there is one, cases of the driver's own commands go here.
 */
#include "conf.h"

#define ENABLE _IO(VFIO_TYPE, VFIO_BASE + 15)
#define DISABLE _IO(VFIO_TYPE, VFIO_BASE + 16)
#define UNREGISTER_MEMORY _IO(VFIO_TYPE, VFIO_BASE + 18)
#define TCE_CREATE _IO(VFIO_TYPE, VFIO_BASE + 19)
#define TCE_REMOVE _IO(VFIO_TYPE, VFIO_BASE + 20)
#define EEH_PE_OP _IO(VFIO_TYPE, VFIO_BASE + 21)

static void try_commands(const char *when, int container)
{
	static const struct { const char *name; unsigned long cmd; } commands[] = {
		{ "ENABLE", ENABLE }, { "DISABLE", DISABLE },
		{ "UNREGISTER_MEMORY", UNREGISTER_MEMORY }, { "TCE_CREATE", TCE_CREATE },
		{ "TCE_REMOVE", TCE_REMOVE }, { "EEH_PE_OP", EEH_PE_OP },
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		uint32_t arg[16] = { sizeof(arg) };

		STEP("CG-046 CG-048", CALL(container, commands[i].cmd, &arg), "%s: %s",
		     when, commands[i].name);
		STEP("CG-046 CG-048", T->ioctl(container, commands[i].cmd, conf_nowhere()),
		     "%s: %s where nothing may be read", when, commands[i].name);
	}
}

static void spapr_absent(void)
{
	static const unsigned ids[] = { VFIO_SPAPR_TCE_IOMMU, VFIO_EEH,
					VFIO_SPAPR_TCE_v2_IOMMU };
	int container = conf_container(), group = conf_group(0);

	for (unsigned attached = 0; attached < 2; attached++) {
		const char *when = attached ? "attached" : "empty";

		for (size_t i = 0; i < 3; i++) {
			STEP("CG-026 CG-029 CG-031",
			     T->ioctl(container, VFIO_CHECK_EXTENSION, ids[i]),
			     "%s: extension %u", when, ids[i]);
			STEP("CG-044", T->ioctl(container, VFIO_SET_IOMMU, ids[i]),
			     "%s: SET_IOMMU %u", when, ids[i]);
		}
		try_commands(when, container);
		if (!attached && conf_attach(group, container))
			conf_abort("SET_CONTAINER", -1);
	}
	if (T->ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		conf_abort("SET_IOMMU", -1);
	try_commands("type1", container);
}

const struct conf_case cases_spapr[] = {
	CASE(spapr_absent, "CG-026 CG-029 CG-031 CG-044"),
	{ .name = NULL },
};
