/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/xattr_filter.h"

#include <string.h>

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool xattr_is_carried(const char *name)
{
    if (strchr(name, '='))
        return false;
    if (starts_with(name, "user."))
        return !starts_with(name, "user.overlay.");
    return strcmp(name, "security.capability") == 0 ||
           strcmp(name, "system.posix_acl_access") == 0 ||
           strcmp(name, "system.posix_acl_default") == 0;
}
