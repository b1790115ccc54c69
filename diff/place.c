/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/stat.h"
#include "diff/entry_path.h"
#include "diff/unpacking.h"
#include "tree/os.h"

enum { PLACES_MAX = 32, LINKS_MAX = 255 };

struct places {
    struct place root;
    struct place open[PLACES_MAX];
    unsigned max_depth;
    const struct path_set *unpacked;
    struct collisions *collisions;
    struct touched *touched;
    struct path_set
        spelled; /* directories known to be spelled as their paths; on volumes that fold */
    uint64_t turn;
    bool stale;      /* paths may lead elsewhere */
    char *last_path; /* what was asked for last, and what was found */
    size_t last_length;
    struct place *last;
};

struct places *places_new(int root_fd, unsigned max_depth, const struct path_set *unpacked,
                          struct collisions *collisions, struct touched *touched)
{
    struct places *places = mem_alloc(sizeof *places);
    places->root = (struct place){.fd = root_fd, .id = ENTRY_PATH_ROOT_ID, .path = mem_strdup("")};
    places->root.has_acl = os_has_acl_at(root_fd, "");
    for (size_t i = 0; i < PLACES_MAX; i++)
        places->open[i].fd = -1;
    places->max_depth = max_depth;
    places->unpacked = unpacked;
    places->collisions = collisions;
    places->touched = touched;
    return places;
}

char *place_join(const struct place *place, const char *name)
{
    return place->path_length > 0 ? mem_printf("%s/%s", place->path, name) : mem_strdup(name);
}

static void place_clear(struct place *place)
{
    fd_close(&place->fd);
    mem_free(&place->path);
}

void places_clear(struct places **places)
{
    if (!*places)
        return;
    for (size_t i = 0; i < PLACES_MAX; i++)
        place_clear(&(*places)->open[i]);
    mem_free(&(*places)->root.path);
    mem_free(&(*places)->last_path);
    path_set_clear(&(*places)->spelled);
    mem_free(places);
}

/* A directory that is gone meanwhile can be closed, too. */
static int place_close(struct place *place, struct error *error)
{
    int code = 0;
    if (place->fd >= 0 && place->keeps_times && place->changed &&
        futimens(place->fd, place->times) != 0)
        code = error_errno(error, "cannot set the times of a directory");
    place_clear(place);
    return code;
}

int places_finish(struct places *places, struct error *error)
{
    int code = 0;
    for (size_t i = 0; i < PLACES_MAX; i++) {
        int closed = place_close(&places->open[i], code == 0 ? error : NULL);
        if (code == 0)
            code = closed;
    }
    path_set_clear(&places->spelled);
    places->last = NULL;
    places->stale = false;
    return code;
}

void places_note_touch(struct places *places, const struct place *place, const char *name)
{
    touched_note(places->touched, place->path, name, false);
}

void places_forget(struct places *places)
{
    places->stale = true;
}

static struct place *find_open(struct places *places, const char *path, size_t length)
{
    for (size_t i = 0; i < PLACES_MAX; i++) {
        struct place *place = &places->open[i];
        if (place->fd >= 0 && place->path_length == length &&
            memcmp(place->path, path, length) == 0)
            return place;
    }
    return NULL;
}

/* A slot for another place: a free one, or the one that was not used for the longest time. */
static int free_slot(struct places *places, struct place **out_place, struct error *error)
{
    struct place *oldest = &places->open[0];
    for (size_t i = 0; i < PLACES_MAX; i++) {
        struct place *place = &places->open[i];
        if (place->fd < 0 || (oldest->fd >= 0 && place->used < oldest->used))
            oldest = place;
    }
    *out_place = oldest;
    if (oldest == places->last)
        places->last = NULL;
    return place_close(oldest, error);
}

/* Takes what is added, also on failure. */
static int add_place(struct places *places, const struct place *added, struct place **out_place,
                     struct error *error)
{
    owned(fd_close) int fd = added->fd;
    owned(mem_free) char *path = added->path;
    int code = free_slot(places, out_place, error);
    if (code != 0)
        return code;
    **out_place = *added;
    (*out_place)->fd = fd_take(&fd);
    (*out_place)->path = mem_take(&path);
    (*out_place)->used = ++places->turn;
    (*out_place)->has_acl = os_has_acl_at((*out_place)->fd, "");
    return 0;
}

static int note_times(struct place *place, struct error *error)
{
    struct stat found;
    if (fstat(place->fd, &found) != 0)
        return error_errno(error, "cannot read the attributes of a directory");
    place->times[0] = found.st_atim;
    place->times[1] = found.st_mtim;
    return 0;
}

/* What is made has the group of its directory on macOS, and on Linux where that says so by its
 * set-group-id bit. An archive means the latter. */
static bool has_stray_group(const struct place *parent, const struct stat *made)
{
    struct stat dir;
    return made->st_gid != getegid() && fstat(parent->fd, &dir) == 0 && !(dir.st_mode & S_ISGID);
}

/* Makes a directory that the archive uses without describing it. */
static int make_missing(const struct place *parent, const char *name, struct error *error)
{
    struct place kept = *parent;
    if (parent->keeps_times && note_times(&kept, error) != 0)
        return ERROR_IO;
    if (mkdirat(parent->fd, name, 0755) != 0)
        return errno == EILSEQ ? unpacking_errno(error, "cannot make a directory on the way")
                               : error_errno(error, "cannot make the directory");
    owned(fd_close) int fd = os_open_dir(parent->fd, name);
    struct stat found;
    if (fd < 0 || fstat(fd, &found) != 0)
        return error_errno(error, "cannot open the directory");
    if ((os_has_acl_at(parent->fd, "") && os_remove_acl(fd) != 0) ||
        (has_stray_group(parent, &found) && fchown(fd, (uid_t) -1, getegid()) != 0) ||
        ((found.st_mode & 07777) != 0755 && fchmod(fd, 0755) != 0) ||
        (parent->keeps_times && futimens(parent->fd, kept.times) != 0))
        return error_errno(error, "cannot set the attributes of the directory");
    return 0;
}

/* Puts what the link name of dirfd says into the path, in place of the component from start to end,
 * and cleans it. 0 if it is no link. */
static int follow(struct places *places, int dirfd, char **path, size_t start, size_t end,
                  struct error *error)
{
    char target[PATH_MAX];
    owned(mem_free) char *name = mem_strndup(*path + start, end - start);
    ssize_t length = readlinkat(dirfd, name, target, sizeof target - 1);
    if (length < 0 && errno == EINVAL)
        return 0;
    if (length < 0)
        return error_errno(error, "cannot read a link");
    target[length] = '\0';
    (*path)[start] = '\0';
    char *joined = mem_printf("%s/%s/%s", *target == '/' ? "" : *path, target, *path + end);
    mem_free(path);
    *path = joined;
    size_t depth = entry_path_clean(joined, joined);
    if (places->max_depth > 0 && depth > places->max_depth)
        return error_set(error, ERROR_NO_SPACE, "links lead to a path of more than %u components",
                         places->max_depth);
    return 1;
}

static int open_error(struct error *error)
{
    if (errno == EXDEV)
        return error_set(error, ERROR_PRECONDITION, "something is mounted there");
    if (errno == ENOENT)
        return error_set(error, ERROR_NOT_FOUND, "a directory on the way is missing");
    if (errno == ENOTDIR || errno == ELOOP)
        return error_set(error, ERROR_INVALID, "what should be a directory on the way is none");
    if (errno == ENAMETOOLONG)
        return error_set(error, ERROR_INVALID, "a name on the way is too long");
    if (errno == EILSEQ)
        return unpacking_errno(error, "a name on the way");
    return error_errno(error, "cannot open a directory on the way");
}

static bool folds(const struct places *places)
{
    return places->collisions->rules->spelling.folds;
}

/* Sees to it that the component of path from start to end, which is there, is spelled as at spells
 * it: 0 if it is, 1 if it is now that this is allowed, or an error code. */
static int check_spelling(struct places *places, const struct place *at, char **path, size_t start,
                          size_t end, struct error *error)
{
    owned(mem_free) char *name = mem_strndup(*path + start, end - start);
    owned(mem_free) char *spelling = NULL;
    int found = collisions_find(places->collisions, at->fd, name, &spelling, error);
    if (found <= 0)
        return found;
    owned(mem_free) char *asked = mem_strndup(*path, end);
    owned(mem_free) char *spelled = mem_printf("%.*s%s", (int) start, *path, spelling);
    if (!places->collisions->rules->allowed)
        return collision_refuse(asked, spelled, error);
    collision_log(asked, spelled);
    char *joined = mem_printf("%s%s", spelled, *path + end);
    mem_free(path);
    *path = joined;
    return 1;
}

/* Steps from at down to the component of path from start to end: 0, 1 if that was a link and path
 * is another one now, or an error code. */
static int step(struct places *places, struct place *at, char **path, size_t start, size_t end,
                bool make, struct error *error)
{
    owned(mem_free) char *name = mem_strndup(*path + start, end - start);
    uint64_t id = entry_path_id(at->id, name, end - start);
    owned(fd_close) int fd = os_open_dir(at->fd, name);
    if (fd < 0 && errno == ENOENT && make) {
        int code = make_missing(at, name, error);
        if (code != 0)
            return code;
        owned(mem_free) char *parent = mem_strndup(*path, start > 0 ? start - 1 : 0);
        touched_note(places->touched, parent, name, false);
        fd = os_open_dir(at->fd, name);
    } else if (folds(places) && !path_set_has(&places->spelled, id)) {
        int sys = errno;
        int code = check_spelling(places, at, path, start, end, error);
        if (code != 0)
            return code;
        errno = sys;
    }
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP)) {
        int sys = errno;
        int followed = follow(places, at->fd, path, start, end, error);
        if (followed != 0)
            return followed;
        errno = sys;
    }
    if (fd < 0)
        return open_error(error);
    if (folds(places))
        path_set_add(&places->spelled, id);
    if (at->fd != places->root.fd)
        fd_close(&at->fd);
    at->fd = fd_take(&fd);
    at->id = id;
    at->keeps_times = path_set_has(places->unpacked, at->id);
    return 0;
}

/* Goes down the path from the root, to at. As step. */
static int descend(struct places *places, struct place *at, char **path, bool make,
                   struct error *error)
{
    size_t start = 0;
    while ((*path)[start]) {
        size_t end = start + strcspn(*path + start, "/");
        int code = step(places, at, path, start, end, make, error);
        if (code != 0)
            return code;
        start = end + ((*path)[end] == '/');
    }
    return 0;
}

static int walk(struct places *places, char **path, bool make, struct place *out_place,
                struct error *error)
{
    int code = 1;
    for (int links = 0; code == 1; links++) {
        if (links > LINKS_MAX)
            return error_set(error, ERROR_INVALID, "more than %d links on the way", LINKS_MAX);
        struct place at = places->root;
        at.changed = false;
        code = descend(places, &at, path, make, error);
        if (code == 0)
            *out_place = at;
        else if (at.fd != places->root.fd)
            fd_close(&at.fd);
    }
    return code;
}

static uint64_t id_of(const char *path)
{
    uint64_t id = ENTRY_PATH_ROOT_ID;
    while (*path) {
        size_t length = strcspn(path, "/");
        id = entry_path_id(id, path, length);
        path += length + (path[length] == '/');
    }
    return id;
}

/* Opens a path in one call, if all of it is spelled so. -1 and errno. */
static int open_at_once(const struct places *places, const char *path, uint64_t id)
{
    if (!folds(places) || path_set_has(&places->spelled, id))
        return os_open_dir(places->root.fd, path);
    errno = ENOENT;
    return -1;
}

/* Opens the directory of a path; on the way there are no links in most cases. */
static int open_place(struct places *places, const char *path, size_t length, bool make,
                      struct place **out_place, struct error *error)
{
    owned(mem_free) char *resolved = mem_strndup(path, length);
    struct place found = {.id = id_of(resolved)};
    found.fd = open_at_once(places, resolved, found.id);
    if (found.fd < 0) {
        if (errno != ENOENT && errno != ELOOP && errno != ENOTDIR && errno != ENAMETOOLONG)
            return open_error(error);
        int code = walk(places, &resolved, make, &found, error);
        if (code != 0)
            return code;
    }
    found.path_length = strlen(resolved);
    struct place *known =
        found.path_length == 0 ? &places->root : find_open(places, resolved, found.path_length);
    if (known) {
        if (found.fd != places->root.fd)
            fd_close(&found.fd);
        *out_place = known;
        return 0;
    }
    found.path = mem_take(&resolved);
    found.keeps_times = path_set_has(places->unpacked, found.id);
    if (found.keeps_times && note_times(&found, error) != 0) {
        place_clear(&found);
        return ERROR_IO;
    }
    return add_place(places, &found, out_place, error);
}

/* Notes that the place was the answer for the path. */
static void remember(struct places *places, const char *path, size_t length, struct place *place)
{
    place->used = ++places->turn;
    if (place == places->last && places->last_length == length &&
        memcmp(places->last_path, path, length) == 0)
        return;
    mem_free(&places->last_path);
    places->last_path = mem_strndup(path, length);
    places->last_length = length;
    places->last = place;
}

int places_find(struct places *places, const char *path, size_t length, bool make,
                struct place **out_place, struct error *error)
{
    struct place *place = NULL;
    int code = places->stale ? places_finish(places, error) : 0;
    if (code == 0 && length == 0)
        place = &places->root;
    else if (code == 0 && places->last && places->last_length == length &&
             memcmp(places->last_path, path, length) == 0)
        place = places->last;
    else if (code == 0)
        place = find_open(places, path, length);
    if (code == 0 && !place)
        code = open_place(places, path, length, make, &place, error);
    if (code != 0 || !place)
        return code;
    remember(places, path, length, place);
    *out_place = place;
    return 0;
}

int places_put(struct places *places, const struct place *parent, const char *name, int take_fd,
               const struct timespec times[2], struct error *error)
{
    owned(fd_close) int fd = take_fd;
    owned(mem_free) char *path = place_join(parent, name);
    size_t length = strlen(path);
    struct place *known = find_open(places, path, length);
    if (known) {
        known->keeps_times = true;
        known->has_acl = os_has_acl_at(known->fd, "");
        known->times[0] = times[0];
        known->times[1] = times[1];
        return 0;
    }
    if (places->stale)
        return 0;
    uint64_t id = entry_path_id(parent->id, name, strlen(name));
    if (folds(places))
        path_set_add(&places->spelled, id);
    struct place added = {.fd = fd_take(&fd),
                          .id = id,
                          .path = mem_take(&path),
                          .path_length = length,
                          .times = {times[0], times[1]},
                          .keeps_times = true};
    return add_place(places, &added, &known, error);
}
