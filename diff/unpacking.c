/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/unpacking.h"

#include <errno.h>
#include <sys/stat.h>

#include "tree/os.h"
#include "tree/tree.h"

int unpacking_remove(struct unpacking *unpacking, struct place *place, const char *name,
                     struct error *error)
{
    struct os_stat found;
    if (os_stat_at(place->fd, name, &found) != 0)
        return errno == ENOENT ? 0 : unpacking_errno(error, "cannot look at what is there");
    place->changed = true;
    if (S_ISDIR(found.mode) || S_ISLNK(found.mode))
        places_forget(unpacking->places);
    unpacking->result.removed++;
    return tree_remove(place->fd, name, unpacking->options->cancel, error);
}

int unpacking_errno(struct error *error, const char *what)
{
    int code = error_errno(error, "%s", what);
    switch (errno) {
    case E2BIG:
    case EEXIST:
    case EFBIG:
    case EINVAL:
    case EISDIR:
    case ELOOP:
    case EMLINK:
    case ENAMETOOLONG:
    case ENOENT:
    case ENOTDIR:
    case ERANGE:
        code = ERROR_INVALID;
        break;
    default:
        break;
    }
    if (error)
        error->code = code;
    return code;
}
