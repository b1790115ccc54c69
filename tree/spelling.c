/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/spelling.h"

#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tree/dir_stream.h"
#include "tree/os.h"

/* One file with a letter of either case, and one that has an accent in it or after it. */
static const char asked_name[] = ".clonefs-spelling-\xc3\xa9";
static const char other_case[] = ".CLONEFS-spelling-\xc3\xa9";
static const char other_normalisation[] = ".clonefs-spelling-e\xcc\x81";

static bool exists(int dirfd, const char *name)
{
    return faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* What a killed daemon left goes first. */
int spelling_ask(int dirfd, struct spelling_rules *out_rules, struct error *error)
{
    (void) unlinkat(dirfd, asked_name, 0);
    owned(fd_close) int fd =
        openat(dirfd, asked_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, "cannot create a file to try spellings of its name");
    bool case_folds = exists(dirfd, other_case);
    bool folds = case_folds || exists(dirfd, other_normalisation);
    *out_rules = (struct spelling_rules){
        .folds = folds,
        .told = folds && os_is_spelled(dirfd, asked_name) &&
                !os_is_spelled(dirfd, case_folds ? other_case : other_normalisation),
    };
    return unlinkat(dirfd, asked_name, 0) == 0
               ? 0
               : error_errno(error, "cannot remove the file to try spellings of its name");
}

/* The search for the entry that a name found. */
struct search {
    const char *name;
    const struct os_stat *found; /* or NULL: by the exact name */
    char *spelling;
    uint64_t looked;
};

static bool is_same_inode(int fd, const char *name, const struct os_stat *found)
{
    struct os_stat stat;
    return os_stat_at(fd, name, &stat) == 0 && stat.dev == found->dev && stat.ino == found->ino;
}

/* True if it is known now. Of several links to one inode the one that looks most like it counts. */
static bool visit(struct search *search, int fd, const struct dir_entry *entry)
{
    search->looked++;
    if (!search->found)
        return strcmp(entry->name, search->name) == 0;
    bool alike = strcasecmp(entry->name, search->name) == 0;
    if ((search->spelling && !alike) || !is_same_inode(fd, entry->name, search->found))
        return false;
    mem_free(&search->spelling);
    search->spelling = mem_strdup(entry->name);
    return alike;
}

/* 1 if it is known now, 0 if all were looked at, -1 and errno. */
static int run(struct search *search, int dirfd)
{
    struct dir_stream stream;
    struct dir_entry entry;
    owned(fd_close) int fd = os_open_dir(dirfd, ".");
    if (fd < 0)
        return -1;
    dir_stream_init(&stream);
    int result = dir_stream_fill(&stream, fd);
    for (; result > 0; result = dir_stream_fill(&stream, fd)) {
        bool known = false;
        while (!known && dir_stream_next(&stream, &entry))
            known = visit(search, fd, &entry);
        if (known)
            break;
    }
    dir_stream_clear(&stream);
    return result;
}

int spelling_find(const struct spelling_rules *rules, int dirfd, const char *name,
                  char **out_spelling, uint64_t *looked, struct error *error)
{
    struct os_stat found;
    struct search search = {.name = name};
    if (os_stat_at(dirfd, name, &found) != 0)
        return 0;
    if (rules->told && os_is_spelled(dirfd, name))
        return 0;
    int result = run(&search, dirfd);
    if (result == 0) {
        search.found = &found;
        result = run(&search, dirfd);
        result = result < 0 ? result : search.spelling ? 2 : 1; /* gone meanwhile */
    }
    *looked += search.looked;
    if (result == 2)
        *out_spelling = mem_take(&search.spelling);
    mem_free(&search.spelling);
    return result < 0 ? error_errno(error, "cannot read the directory") : result - 1;
}
