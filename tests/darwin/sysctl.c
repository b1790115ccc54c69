/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "tests/darwin/include/sys/sysctl.h"

/* What a Mac says where nobody raised it. */
int sysctlbyname(const char *name, void *old, size_t *old_size, void *value, size_t size)
{
    const int level = 0;
    (void) value;
    (void) size;
    if (strcmp(name, "kern.securelevel") != 0 || *old_size < sizeof level) {
        errno = ENOENT;
        return -1;
    }
    memcpy(old, &level, sizeof level);
    *old_size = sizeof level;
    return 0;
}
