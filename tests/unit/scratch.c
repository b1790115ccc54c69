/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/scratch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"
#include "tree/tree.h"

void scratch_make(struct scratch *scratch)
{
    const char *folder = getenv("TMPDIR");
    (void) snprintf(scratch->path, sizeof scratch->path, "%s/clonefs-unit-XXXXXX",
                    folder ? folder : "/tmp");
    if (!mkdtemp(scratch->path))
        abort();
    scratch->fd = fd_open_dir(AT_FDCWD, scratch->path);
    if (scratch->fd < 0)
        abort();
}

void scratch_remove(struct scratch *scratch)
{
    fd_close(&scratch->fd);
    (void) tree_remove(AT_FDCWD, scratch->path, NULL, NULL);
}
