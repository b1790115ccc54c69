/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/* True if APFS says that both files have one data stream: one was cloned from the other, or both
 * from a third, and none was written since. False and errno (0: a plain no). */
bool clone_id_equal(int a_fd, int b_fd);
