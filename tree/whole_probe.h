/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/*
 * Tries whether a clone of a directory by one call keeps all that no fix-up list has
 * (tree/fixups.h): a small tree in dirfd is cloned, its directories are repaired, and both
 * compared. A system that loses more is found out here, and that is logged. False also if
 * directories cannot be cloned so, or on failure. Nothing stays behind, and what a killed process
 * left is taken away.
 */
bool whole_probe(int dirfd);
