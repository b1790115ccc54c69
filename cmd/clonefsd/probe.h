/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/* clonefsd --probe: prints what the volume of the folder does, one line for each answer. */
int probe(const char *folder, struct error *error);
