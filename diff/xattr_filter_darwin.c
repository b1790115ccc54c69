/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/xattr_filter.h"

#include <stddef.h>
#include <string.h>

#include "diff/appledouble.h"

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* What Linux means something else by, or no applier takes. */
static bool is_left_out_on_linux(const char *name)
{
    return starts_with(name, "user.overlay.") || starts_with(name, "trusted.") ||
           (starts_with(name, "security.") && strcmp(name, "security.capability") != 0);
}

/* Marks of this Mac's backup, not of the file. */
static bool is_about_backup(const char *name)
{
    return starts_with(name, "com.apple.metadata:com_apple_backup_excludeItem");
}

bool xattr_is_carried(const char *name)
{
    return !strchr(name, '=') && !appledouble_is_private(name) && !is_left_out_on_linux(name) &&
           !is_about_backup(name);
}
