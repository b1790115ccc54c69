/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "diff/appledouble.h"

static atomic_ulong acl_count;

bool appledouble_local_name(const char *name, char out[APPLEDOUBLE_NAME_SIZE])
{
    if (appledouble_is_private(name))
        return false;
    if (strcmp(name, APPLEDOUBLE_ACL) == 0) {
        if (log_count(&acl_count))
            log_warn("ACLs of macOS in a layer left out: this system has nothing like them (logged "
                     "once)");
        return false;
    }
    int length = snprintf(out, APPLEDOUBLE_NAME_SIZE, "user.%s", name);
    return length > 0 && length < APPLEDOUBLE_NAME_SIZE;
}
