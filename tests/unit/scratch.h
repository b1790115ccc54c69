/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A folder of a test's own below TMPDIR. */
struct scratch {
    char path[256];
    int fd;
};

void scratch_make(struct scratch *scratch);
void scratch_remove(struct scratch *scratch);
