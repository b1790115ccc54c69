/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/file_flags.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "diff/entry_path.h"
#include "diff/unpacking.h"
#include "tree/os.h"

struct file_flags_item {
    char *path;
    unsigned flags;
};

static atomic_ulong unsupported_count;

void file_flags_clear(struct file_flags *flags)
{
    for (size_t i = 0; i < flags->count; i++)
        mem_free(&flags->items[i].path);
    mem_free(&flags->items);
    *flags = FILE_FLAGS_NULL;
}

/* The first word of a flag is the one that is written. What only root may clear again is restored
 * as what its owner may. */
static const struct {
    const char *word;
    unsigned flag;
    unsigned restored;
} known[] = {{"arch", OS_FLAG_ARCHIVED, OS_FLAG_ARCHIVED},
             {"archived", OS_FLAG_ARCHIVED, OS_FLAG_ARCHIVED},
             {"hidden", OS_FLAG_HIDDEN, OS_FLAG_HIDDEN},
             {"uhidden", OS_FLAG_HIDDEN, OS_FLAG_HIDDEN},
             {"nodump", OS_FLAG_NODUMP, OS_FLAG_NODUMP},
             {"opaque", OS_FLAG_OPAQUE, OS_FLAG_OPAQUE},
             {"sappnd", OS_FLAG_SYSTEM_APPEND, OS_FLAG_APPEND},
             {"sappend", OS_FLAG_SYSTEM_APPEND, OS_FLAG_APPEND},
             {"schg", OS_FLAG_SYSTEM_IMMUTABLE, OS_FLAG_IMMUTABLE},
             {"schange", OS_FLAG_SYSTEM_IMMUTABLE, OS_FLAG_IMMUTABLE},
             {"simmutable", OS_FLAG_SYSTEM_IMMUTABLE, OS_FLAG_IMMUTABLE},
             {"uappnd", OS_FLAG_APPEND, OS_FLAG_APPEND},
             {"uappend", OS_FLAG_APPEND, OS_FLAG_APPEND},
             {"uchg", OS_FLAG_IMMUTABLE, OS_FLAG_IMMUTABLE},
             {"uchange", OS_FLAG_IMMUTABLE, OS_FLAG_IMMUTABLE},
             {"uimmutable", OS_FLAG_IMMUTABLE, OS_FLAG_IMMUTABLE}};

enum {
    KNOWN = sizeof known / sizeof known[0],
    LINUX_FLAGS = OS_FLAG_IMMUTABLE | OS_FLAG_APPEND | OS_FLAG_NODUMP
};

static unsigned parse_word(const char *word, size_t length)
{
    for (size_t i = 0; i < KNOWN; i++)
        if (strlen(known[i].word) == length && memcmp(known[i].word, word, length) == 0)
            return known[i].restored;
    return 0;
}

unsigned file_flags_parse(enum layer_system system, const char *text)
{
    unsigned flags = 0;
    while (*text) {
        size_t length = strcspn(text, ", ");
        flags |= parse_word(text, length);
        text += length + (text[length] != '\0');
    }
    return system == LAYER_LINUX ? flags & LINUX_FLAGS : flags;
}

unsigned file_flags_carried(enum layer_system system, unsigned flags)
{
    unsigned carried = 0;
    for (size_t i = 0; i < KNOWN; i++)
        carried |= known[i].flag;
    return system == LAYER_LINUX ? 0 : flags & carried;
}

void file_flags_text(unsigned flags, char out[FILE_FLAGS_TEXT_SIZE])
{
    char *end = out;
    for (size_t i = 0; i < KNOWN; i++) {
        if (!(flags & known[i].flag))
            continue;
        flags &= ~known[i].flag;
        if (end > out)
            *end++ = ',';
        end = stpcpy(end, known[i].word);
    }
    *end = '\0';
}

int file_flags_note(struct file_flags *flags, const char *path, unsigned wanted, uint64_t max_bytes,
                    struct error *error)
{
    flags->bytes += strlen(path) + sizeof *flags->items;
    if (max_bytes > 0 && flags->bytes > max_bytes)
        return error_set(error, ERROR_NO_SPACE,
                         "the names of files with flags have more than %" PRIu64 " bytes",
                         max_bytes);
    if (flags->count == flags->capacity) {
        flags->capacity = 2 * flags->capacity + 16;
        flags->items = mem_resize(flags->items, flags->capacity, sizeof *flags->items);
    }
    flags->items[flags->count++] =
        (struct file_flags_item){.path = mem_strdup(path), .flags = wanted};
    return 0;
}

static int set_item(const struct file_flags_item *item, struct places *places, struct error *error)
{
    struct place *place = NULL;
    struct os_stat found;
    int code =
        places_find(places, item->path, entry_path_parent_length(item->path), false, &place, error);
    if (code != 0)
        return code == ERROR_NOT_FOUND || code == ERROR_INVALID ? 0 : code; /* replaced later */
    const char *name = entry_path_base(item->path);
    if (os_stat_at(place->fd, name, &found) != 0 || !(S_ISREG(found.mode) || S_ISDIR(found.mode)))
        return 0;
    owned(fd_close) int fd = os_open_file(place->fd, name);
    if (fd < 0)
        return unpacking_errno(error, "cannot open it for its flags");
    places_note_touch(places, place, name);
    if (os_change_flags(fd, item->flags, true) == 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != ENOTTY)
        return unpacking_errno(error, "cannot set its flags");
    if (log_count(&unsupported_count))
        log_warn("flags of files in a layer left out: the file system does not support them "
                 "(logged once)");
    return 0;
}

int file_flags_set(const struct file_flags *flags, struct places *places, struct error *error)
{
    for (size_t i = 0; i < flags->count; i++) {
        int code = set_item(&flags->items[i], places, error);
        if (code != 0) {
            struct entry_text name;
            entry_text_make(&name, flags->items[i].path);
            (void) error_wrap(error, "entry %s", name.text);
            return code;
        }
    }
    return 0;
}
