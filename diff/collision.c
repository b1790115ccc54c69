/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/collision.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "diff/entry_path.h"

/* Each whiteout looks at all of them. */
enum { OPEN_LIMIT = 1024 };

struct collision {
    char *path;
    char *spelled_path;
};

/* Two names for messages. */
struct pair_text {
    struct entry_text path;
    struct entry_text spelled_path;
};

static atomic_ulong allowed_count;

enum collision_answer collision_decide(const char *spelled, bool made_here, bool allowed)
{
    if (!spelled)
        return COLLISION_NONE;
    if (allowed)
        return COLLISION_ALLOWED;
    return made_here ? COLLISION_REFUSED : COLLISION_REPLACES;
}

static void clear_item(struct collision *item)
{
    mem_free(&item->path);
    mem_free(&item->spelled_path);
}

void collisions_clear(struct collisions *collisions)
{
    for (size_t i = 0; i < collisions->count; i++)
        clear_item(&collisions->items[i]);
    mem_free(&collisions->items);
    collisions->count = collisions->capacity = 0;
}

int collisions_find(struct collisions *collisions, int dirfd, const char *name, char **out_spelling,
                    struct error *error)
{
    const struct spelling_rules *rules = &collisions->rules->spelling;
    if (!rules->folds)
        return 0;
    if (collisions->max_looked > 0 && collisions->looked > collisions->max_looked)
        return error_set(error, ERROR_NO_SPACE,
                         "to find out how names are spelled takes looks at more than %" PRIu64
                         " entries",
                         collisions->max_looked);
    return spelling_find(rules, dirfd, name, out_spelling, &collisions->looked, error);
}

int collisions_note(struct collisions *collisions, const char *path, const char *spelled_path,
                    uint64_t max_bytes, struct error *error)
{
    if (collisions->count == OPEN_LIMIT)
        return collision_refuse(path, spelled_path, error);
    collisions->bytes += strlen(path) + strlen(spelled_path) + sizeof *collisions->items;
    if (max_bytes > 0 && collisions->bytes > max_bytes)
        return error_set(error, ERROR_NO_SPACE,
                         "the names that differ from others in their spelling alone have more than "
                         "%" PRIu64 " bytes",
                         max_bytes);
    if (collisions->count == collisions->capacity) {
        collisions->capacity = 2 * collisions->capacity + 16;
        collisions->items =
            mem_resize(collisions->items, collisions->capacity, sizeof *collisions->items);
    }
    collisions->items[collisions->count++] =
        (struct collision){.path = mem_strdup(path), .spelled_path = mem_strdup(spelled_path)};
    return 0;
}

static bool is_at_or_below(const char *path, const char *top)
{
    size_t length = strlen(top);
    return length == 0 ||
           (strncmp(path, top, length) == 0 && (path[length] == '\0' || path[length] == '/'));
}

void collisions_settle(struct collisions *collisions, const char *path)
{
    size_t kept = 0;
    for (size_t i = 0; i < collisions->count; i++) {
        struct collision *item = &collisions->items[i];
        if (is_at_or_below(item->spelled_path, path))
            clear_item(item);
        else
            collisions->items[kept++] = *item;
    }
    collisions->count = kept;
}

/* What looks the same on paper is written as bytes. */
static struct pair_text make_text(const char *path, const char *spelled_path)
{
    struct pair_text text;
    void (*make)(struct entry_text *, const char *) =
        strcasecmp(path, spelled_path) == 0 ? entry_text_make : entry_text_make_ascii;
    make(&text.path, path);
    make(&text.spelled_path, spelled_path);
    return text;
}

int collision_refuse(const char *path, const char *spelled_path, struct error *error)
{
    struct pair_text text = make_text(path, spelled_path);
    return error_set(error, ERROR_PRECONDITION,
                     "%.400s and %.400s are one name on this volume, and two in the image: put the "
                     "store on a volume that tells them apart, or allow name_collisions",
                     text.path.text, text.spelled_path.text);
}

int collisions_check(const struct collisions *collisions, struct error *error)
{
    if (collisions->count == 0)
        return 0;
    return collision_refuse(collisions->items[0].path, collisions->items[0].spelled_path, error);
}

void collision_log(const char *path, const char *spelled_path)
{
    if (!log_count(&allowed_count))
        return;
    struct pair_text text = make_text(path, spelled_path);
    log_warn("%.400s and %.400s of an image are one name on this volume; the later takes the place "
             "of the other, as name_collisions allows (logged once)",
             text.path.text, text.spelled_path.text);
}
