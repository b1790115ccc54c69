/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/whiteout.h"

#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/stat.h"
#include "diff/entry_path.h"
#include "tree/os.h"
#include "tree/tree.h"
#include "tree/walk.h"

#define PREFIX ".wh."
#define OPAQUE ".wh..wh..opq"

struct opaque {
    struct unpacking *unpacking;
    struct place *place;
    struct walk *walk;
};

bool whiteout_is(const char *name)
{
    return strncmp(name, PREFIX, strlen(PREFIX)) == 0;
}

static uint64_t id_of_dir(const struct opaque *opaque, const struct walk_dir *dir)
{
    size_t depth = 0;
    for (const struct walk_dir *up = dir; up->parent; up = up->parent)
        depth++;
    owned(mem_free) const struct walk_dir **way = mem_alloc_array(depth, sizeof *way);
    for (size_t i = depth; i > 0; dir = dir->parent)
        way[--i] = dir;
    uint64_t id = opaque->place->id;
    for (size_t i = 0; i < depth; i++)
        id = entry_path_id(id, way[i]->name, strlen(way[i]->name));
    return id;
}

static void note_removed(struct opaque *opaque, const struct walk_dir *dir, const char *name)
{
    owned(mem_free) char *below = walk_dir_path(dir, "");
    owned(mem_free) char *path =
        *below ? place_join(opaque->place, below) : mem_strdup(opaque->place->path);
    touched_note(&opaque->unpacking->touched, path, name, true);
}

/* A directory that was unpacked keeps its times. The one that the walk began in is a place, which
 * sees to that itself. */
static int remove_below(struct opaque *opaque, struct walk_dir *dir, const char *name,
                        struct error *error)
{
    struct stat found;
    if (fstat(dir->fds[0], &found) != 0)
        return error_errno(error, "cannot read the attributes");
    int code = tree_remove(dir->fds[0], name, opaque->unpacking->options->cancel, error);
    if (code != 0)
        return code;
    opaque->unpacking->result.removed++;
    note_removed(opaque, dir, name);
    const struct timespec times[2] = {found.st_atim, found.st_mtim};
    if (dir->parent && futimens(dir->fds[0], times) != 0)
        return error_errno(error, "cannot set the times");
    return 0;
}

static int visit(void *context, struct walk_dir *dir, const struct dir_entry *entry,
                 struct error *error)
{
    struct opaque *opaque = context;
    uint64_t max = opaque->unpacking->options->limits.entries;
    if (max > 0 && ++opaque->unpacking->looked > max)
        return error_set(error, ERROR_NO_SPACE,
                         "opaque whiteouts have to look at more than %" PRIu64 " entries", max);
    uint64_t id = entry_path_id(id_of_dir(opaque, dir), entry->name, strlen(entry->name));
    if (!path_set_has(&opaque->unpacking->unpacked, id))
        return remove_below(opaque, dir, entry->name, error);
    int type = walk_entry_type(dir, entry);
    if (type == DT_DIR)
        walk_enter(opaque->walk, dir, entry->name);
    return 0;
}

static int clear_dir(struct unpacking *unpacking, struct place *place, struct error *error)
{
    static const struct walk_visitor visitor = {.entry = visit};
    struct opaque opaque = {.unpacking = unpacking, .place = place};
    struct walk_options options = {.visitor = &visitor,
                                   .context = &opaque,
                                   .cancel = unpacking->options->cancel,
                                   .trees = 1,
                                   .threads = 1};
    int fd = os_open_dir(place->fd, ".");
    if (fd < 0)
        return unpacking_errno(error, "cannot read the directory");
    owned(walk_clear) struct walk *walk = walk_new(&options, (int[]){fd, -1});
    opaque.walk = walk;
    place->changed = true;
    places_forget(unpacking->places);
    int code = walk_run(walk, error);
    if (code == 0)
        collisions_settle(&unpacking->collisions, place->path);
    return code;
}

/* What is there under another spelling is not what the whiteout names. */
static int remove_named(struct unpacking *unpacking, struct place *place, const char *name,
                        struct error *error)
{
    owned(mem_free) char *spelling = NULL;
    int code = collisions_find(&unpacking->collisions, place->fd, name, &spelling, error);
    if (code == 0)
        code = unpacking_remove(unpacking, place, name, error);
    if (code < 0 || unpacking->collisions.count == 0)
        return code < 0 ? code : 0;
    owned(mem_free) char *path = place_join(place, name);
    collisions_settle(&unpacking->collisions, path);
    return 0;
}

int whiteout_apply(struct unpacking *unpacking, struct place *place, const char *name,
                   struct error *error)
{
    if (strcmp(name, OPAQUE) == 0)
        return clear_dir(unpacking, place, error);
    const char *removed = name + strlen(PREFIX);
    if (!*removed || strcmp(removed, ".") == 0 || strcmp(removed, "..") == 0)
        return error_set(error, ERROR_INVALID, "no valid whiteout");
    return remove_named(unpacking, place, removed, error);
}
