/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/xattr_filter.h"

#include <stddef.h>
#include <string.h>

#include "base/utf8.h"
#include "diff/appledouble.h"

enum { DARWIN_NAME_MAX = 127 }; /* bytes */

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_carried_on_linux(const char *name)
{
    if (starts_with(name, "user."))
        return !starts_with(name, "user.overlay.");
    return strcmp(name, "security.capability") == 0 ||
           strcmp(name, "system.posix_acl_access") == 0 ||
           strcmp(name, "system.posix_acl_default") == 0;
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

bool xattr_is_carried(enum layer_system system, const char *name)
{
    if (strchr(name, '='))
        return false;
    if (system == LAYER_LINUX)
        return is_carried_on_linux(name);
    return !appledouble_is_private(name) && !is_left_out_on_linux(name) && !is_about_backup(name);
}

enum xattr_answer xattr_restore(enum layer_system system, const char *name)
{
    if (starts_with(name, "trusted."))
        return XATTR_TRUSTED;
    if (system == LAYER_LINUX)
        return XATTR_RESTORED;
    if (appledouble_is_private(name))
        return XATTR_PRIVATE;
    size_t length = strlen(name);
    return length == 0 || length > DARWIN_NAME_MAX || !utf8_valid(name, length) ? XATTR_UNNAMEABLE
                                                                                : XATTR_RESTORED;
}
