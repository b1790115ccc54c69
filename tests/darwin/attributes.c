/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/darwin/pack.h"

/* An answer that is too long is cut off; its length says how much came. */
static int answer(const struct attrlist *wanted, const struct subject *subject, void *buffer,
                  size_t size, uint64_t options)
{
    char whole[4096];
    struct packing packing = {.buffer = whole, .size = sizeof whole};
    if (pack_record(&packing, wanted, subject, options) != 0)
        return -1;
    size_t given = packing.used < size ? packing.used : size;
    uint32_t length = (uint32_t) (options & FSOPT_REPORT_FULLSIZE ? packing.used : given);
    if (size < sizeof length) {
        errno = ERANGE;
        return -1;
    }
    memcpy(buffer, whole, given);
    memcpy(buffer, &length, sizeof length);
    return 0;
}

/* The one attribute of volumes that is asked for. */
static int answer_volume(int dirfd, const char *path, void *buffer, size_t size)
{
    struct {
        uint32_t length;
        vol_capabilities_attr_t capabilities;
    } whole = {.length = sizeof whole};
    struct darwin_statfs volume;
    int fd = openat(dirfd, path[0] ? path : ".", O_PATH | O_CLOEXEC);
    int result = fd < 0 ? -1 : darwin_fstatfs(fd, &volume);
    if (fd >= 0)
        (void) close(fd);
    if (result != 0 || size < sizeof whole) {
        errno = result != 0 ? errno : ERANGE;
        return -1;
    }
    bool clones = strcmp(volume.f_fstypename, "apfs") == 0;
    whole.capabilities.valid[VOL_CAPABILITIES_FORMAT] = ~0U;
    whole.capabilities.valid[VOL_CAPABILITIES_INTERFACES] = ~0U;
    whole.capabilities.capabilities[VOL_CAPABILITIES_FORMAT] =
        VOL_CAP_FMT_CASE_SENSITIVE | VOL_CAP_FMT_CASE_PRESERVING;
    whole.capabilities.capabilities[VOL_CAPABILITIES_INTERFACES] =
        VOL_CAP_INT_RENAME_SWAP | VOL_CAP_INT_RENAME_EXCL | (clones ? VOL_CAP_INT_CLONE : 0);
    memcpy(buffer, &whole, sizeof whole);
    return 0;
}

static int ask(int dirfd, const char *path, int flags, const struct attrlist *wanted, void *buffer,
               size_t size, uint64_t options)
{
    struct subject subject = {.dirfd = dirfd, .path = path};
    if (wanted->volattr == (ATTR_VOL_INFO | ATTR_VOL_CAPABILITIES))
        return answer_volume(dirfd, path, buffer, size);
    if (!path_fits(path) || inode_read(dirfd, path, flags, &subject.inode) != 0)
        return -1;
    return answer(wanted, &subject, buffer, size, options);
}

int getattrlistat(int dirfd, const char *path, void *wanted, void *buffer, size_t size,
                  unsigned long options)
{
    return ask(dirfd, path, options & FSOPT_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0, wanted, buffer,
               size, options);
}

int getattrlist(const char *path, void *wanted, void *buffer, size_t size, unsigned options)
{
    return getattrlistat(AT_FDCWD, path, wanted, buffer, size, options);
}

int fgetattrlist(int fd, void *wanted, void *buffer, size_t size, unsigned options)
{
    return ask(fd, "", AT_EMPTY_PATH, wanted, buffer, size, options);
}

/* As the kernel gives them. */
struct entry {
    uint64_t inode;
    int64_t next; /* where the next one is read */
    uint16_t length;
    unsigned char type;
    char name[];
};

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Only the attributes that a walk asks for come without a look at the inode. */
static bool needs_inode(const struct attrlist *wanted, const struct entry *entry)
{
    return entry->type == DT_UNKNOWN || wanted->dirattr || wanted->fileattr || wanted->forkattr ||
           (wanted->commonattr &
            ~(ATTR_CMN_RETURNED_ATTRS | ATTR_CMN_NAME | ATTR_CMN_ERROR | ATTR_CMN_OBJTYPE));
}

/* 1: packed; 0: left out, it is gone */
static int pack_entry(struct packing *packing, int dirfd, const struct entry *entry,
                      const struct attrlist *wanted, uint64_t options)
{
    struct subject subject = {.dirfd = dirfd, .path = entry->name};
    if (is_dots(entry->name))
        return 0;
    subject.inode.stat.st_mode = DTTOIF(entry->type);
    if (needs_inode(wanted, entry) &&
        inode_read(dirfd, entry->name, AT_SYMLINK_NOFOLLOW, &subject.inode) != 0)
        return errno == ENOENT ? 0 : -1;
    return pack_record(packing, wanted, &subject, options) == 0 ? 1 : -1;
}

/* Packs what was read up to the first that does not fit, and has the descriptor stand there. */
static int pack_entries(struct packing *packing, int dirfd, const char *entries, size_t length,
                        int64_t start, const struct attrlist *wanted, uint64_t options)
{
    int count = 0;
    for (size_t at = 0; at < length;) {
        const struct entry *entry = (const struct entry *) (const void *) (entries + at);
        size_t used = packing->used;
        int packed = pack_entry(packing, dirfd, entry, wanted, options);
        if (packed < 0)
            return -1;
        if (packing->used > packing->size) {
            packing->used = used;
            errno = ERANGE;
            return lseek(dirfd, start, SEEK_SET) < 0 || count == 0 ? -1 : count;
        }
        count += packed;
        start = entry->next;
        at += entry->length;
    }
    return count;
}

int getattrlistbulk(int dirfd, void *wanted, void *buffer, size_t size, uint64_t options)
{
    enum { ENTRIES_BYTES = 16384 };
    _Alignas(8) char entries[ENTRIES_BYTES];
    const struct attrlist *list = wanted;
    const attrgroup_t needed = ATTR_CMN_NAME | ATTR_CMN_RETURNED_ATTRS;
    struct packing packing = {.buffer = buffer, .size = size};
    if ((list->commonattr & needed) != needed || list->volattr != 0) {
        errno = EINVAL;
        return -1;
    }
    int count = 0;
    while (count == 0) {
        int64_t start = lseek(dirfd, 0, SEEK_CUR);
        if (start < 0)
            return -1;
        long length = syscall(SYS_getdents64, dirfd, entries, sizeof entries);
        if (length <= 0)
            return (int) length;
        count = pack_entries(&packing, dirfd, entries, (size_t) length, start, list, options);
    }
    return count;
}

/* Takes the next value of a buffer; false if it is too short. */
static bool take(const char **at, size_t *left, void *value, size_t size)
{
    if (*left < size)
        return false;
    memcpy(value, *at, size);
    *at += size;
    *left -= size;
    return true;
}

/* In the order of the bits; what stands later in the buffer wins over what earlier ones imply. */
static int set_attributes(int fd, const struct attrlist *wanted, const char *at, size_t left)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
    struct timespec birth;
    struct timespec change;
    const attrgroup_t all = wanted->commonattr;
    const attrgroup_t can =
        ATTR_CMN_CRTIME | ATTR_CMN_MODTIME | ATTR_CMN_CHGTIME | ATTR_CMN_ACCTIME;
    errno = EINVAL;
    if (wanted->bitmapcount != ATTR_BIT_MAP_COUNT || (all & ~can) || wanted->volattr ||
        wanted->dirattr || wanted->fileattr || wanted->forkattr ||
        ((all & ATTR_CMN_CRTIME) && !take(&at, &left, &birth, sizeof birth)) ||
        ((all & ATTR_CMN_MODTIME) && !take(&at, &left, &times[1], sizeof times[1])) ||
        ((all & ATTR_CMN_CHGTIME) && !take(&at, &left, &change, sizeof change)) ||
        ((all & ATTR_CMN_ACCTIME) && !take(&at, &left, &times[0], sizeof times[0])))
        return -1;
    if (utimensat(fd, "", times, AT_EMPTY_PATH) != 0)
        return -1;
    return all & ATTR_CMN_CRTIME ? birth_set(fd, &birth) : 0;
}

int fsetattrlist(int fd, void *wanted, void *buffer, size_t size, unsigned options)
{
    (void) options;
    return set_attributes(fd, wanted, buffer, size);
}

int setattrlistat(int dirfd, const char *path, void *wanted, void *buffer, size_t size,
                  uint32_t options)
{
    int follow = options & FSOPT_NOFOLLOW ? O_NOFOLLOW : 0;
    int fd = path_fits(path) ? openat(dirfd, path, O_PATH | O_CLOEXEC | follow) : -1;
    if (fd < 0)
        return -1;
    int result = set_attributes(fd, wanted, buffer, size);
    int saved = errno;
    (void) close(fd);
    errno = saved;
    return result;
}
