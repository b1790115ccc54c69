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
    touched_note(&unpacking->touched, place->path, name, true);
    return tree_remove(place->fd, name, unpacking->options->cancel, error);
}

/* What the system's own words leave open, or NULL. */
static const char *explain(int sys)
{
    switch (sys) {
    case EILSEQ:
        return "this volume takes names in valid UTF-8 alone";
    case EMLINK:
        return "there are as many links to the file, or folders in the folder, as the volume takes";
    default:
        return NULL;
    }
}

int unpacking_errno(struct error *error, const char *what)
{
    const char *explanation = explain(errno);
    if (explanation)
        return error_set(error, ERROR_INVALID, "%s: %s", what, explanation);
    int code = error_errno(error, "%s", what);
    switch (errno) {
    case E2BIG:
    case EEXIST:
    case EFBIG:
    case EINVAL:
    case EISDIR:
    case ELOOP:
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
