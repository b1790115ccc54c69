/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/appledouble.h"

#include <string.h>

/* ACLs, resource forks and the Finder's information too: os_xattr_set knows the names. */
bool appledouble_local_name(const char *name, char out[APPLEDOUBLE_NAME_SIZE])
{
    size_t length = strlen(name);
    if (appledouble_is_private(name) || length >= APPLEDOUBLE_NAME_SIZE)
        return false;
    memcpy(out, name, length + 1);
    return true;
}
