/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/darwin/pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { ALIGNMENT = 4, RECORD_ALIGNMENT = 8 };

void pack_bytes(struct packing *packing, const void *bytes, size_t size)
{
    static const char zeros[RECORD_ALIGNMENT];
    size_t padding = (ALIGNMENT - size % ALIGNMENT) % ALIGNMENT;
    if (packing->used + size + padding <= packing->size) {
        memcpy(packing->buffer + packing->used, bytes, size);
        memcpy(packing->buffer + packing->used + size, zeros, padding);
    }
    packing->used += size + padding;
}

static void pack_u32(struct packing *packing, uint32_t value)
{
    pack_bytes(packing, &value, sizeof value);
}

static void pack_u64(struct packing *packing, uint64_t value)
{
    pack_bytes(packing, &value, sizeof value);
}

static void patch(struct packing *packing, size_t at, const void *bytes, size_t size)
{
    if (at + size <= packing->size)
        memcpy(packing->buffer + at, bytes, size);
}

/* The numbers of vnodes, sys/vnode.h */
static uint32_t vnode_type(mode_t mode)
{
    static const uint32_t types[16] = {[DT_REG] = 1, [DT_DIR] = 2,  [DT_BLK] = 3, [DT_CHR] = 4,
                                       [DT_LNK] = 5, [DT_SOCK] = 6, [DT_FIFO] = 7};
    return types[IFTODT(mode)];
}

static void pack_common_times(struct packing *packing, attrgroup_t wanted,
                              const struct darwin_stat *stat)
{
    if (wanted & ATTR_CMN_CRTIME)
        pack_bytes(packing, &stat->st_birthtimespec, sizeof stat->st_birthtimespec);
    if (wanted & ATTR_CMN_MODTIME)
        pack_bytes(packing, &stat->st_mtimespec, sizeof stat->st_mtimespec);
    if (wanted & ATTR_CMN_CHGTIME)
        pack_bytes(packing, &stat->st_ctimespec, sizeof stat->st_ctimespec);
    if (wanted & ATTR_CMN_ACCTIME)
        pack_bytes(packing, &stat->st_atimespec, sizeof stat->st_atimespec);
}

/* Where the references stand whose data follows, 0 without one. */
struct references {
    size_t name;
    size_t security;
};

static size_t pack_reference(struct packing *packing)
{
    size_t at = packing->used;
    pack_u64(packing, 0);
    return at;
}

static struct references pack_common(struct packing *packing, attrgroup_t wanted,
                                     const struct subject *subject)
{
    const struct darwin_stat *stat = &subject->inode.stat;
    struct references references = {0};
    if (wanted & ATTR_CMN_NAME)
        references.name = pack_reference(packing);
    if (wanted & ATTR_CMN_DEVID)
        pack_u32(packing, (uint32_t) stat->st_dev);
    if (wanted & ATTR_CMN_FSID)
        pack_u64(packing, subject->inode.mount);
    if (wanted & ATTR_CMN_OBJTYPE)
        pack_u32(packing, vnode_type(stat->st_mode));
    pack_common_times(packing, wanted, stat);
    if (wanted & ATTR_CMN_OWNERID)
        pack_u32(packing, stat->st_uid);
    if (wanted & ATTR_CMN_GRPID)
        pack_u32(packing, stat->st_gid);
    if (wanted & ATTR_CMN_ACCESSMASK)
        pack_u32(packing, stat->st_mode);
    if (wanted & ATTR_CMN_FLAGS)
        pack_u32(packing, stat->st_flags);
    if (wanted & ATTR_CMN_EXTENDED_SECURITY)
        references.security = pack_reference(packing);
    if (wanted & ATTR_CMN_FILEID)
        pack_u64(packing, stat->st_ino);
    return references;
}

static void pack_dir(struct packing *packing, attrgroup_t wanted, const struct inode *inode)
{
    if (wanted & ATTR_DIR_LINKCOUNT)
        pack_u32(packing, 1);
    if (wanted & ATTR_DIR_MOUNTSTATUS)
        pack_u32(packing, inode->mount_root ? DIR_MNTSTATUS_MNTPOINT : 0);
}

static void pack_file(struct packing *packing, attrgroup_t wanted, const struct darwin_stat *stat)
{
    if (wanted & ATTR_FILE_LINKCOUNT)
        pack_u32(packing, stat->st_nlink);
    if (wanted & ATTR_FILE_TOTALSIZE)
        pack_u64(packing, (uint64_t) stat->st_size);
    if (wanted & ATTR_FILE_ALLOCSIZE)
        pack_u64(packing, (uint64_t) stat->st_blocks * 512);
    if (wanted & ATTR_FILE_DEVTYPE)
        pack_u32(packing, (uint32_t) stat->st_rdev);
    if (wanted & ATTR_FILE_DATALENGTH)
        pack_u64(packing, (uint64_t) stat->st_size);
    if (wanted & ATTR_FILE_DATAALLOCSIZE)
        pack_u64(packing, (uint64_t) stat->st_blocks * 512);
}

static int read_extents(const struct subject *subject, struct extent_facts *out)
{
    *out = (struct extent_facts){0};
    if (!S_ISREG(subject->inode.stat.st_mode))
        return 0;
    if (subject->path[0] == '\0')
        return extents_read(subject->dirfd, out);
    int fd = open_reading(subject->dirfd, subject->path);
    int result = fd < 0 ? -1 : extents_read(fd, out);
    if (fd >= 0)
        (void) close(fd);
    return result;
}

static int pack_extended(struct packing *packing, attrgroup_t wanted, const struct subject *subject)
{
    struct extent_facts facts;
    if (wanted == 0)
        return 0;
    if (read_extents(subject, &facts) != 0)
        return -1;
    if (wanted & ATTR_CMNEXT_PRIVATESIZE)
        pack_u64(packing, facts.private_bytes);
    if (wanted & ATTR_CMNEXT_CLONEID)
        pack_u64(packing, facts.id);
    if (wanted & ATTR_CMNEXT_EXT_FLAGS)
        pack_u64(packing, facts.shared_bytes > 0 ? EF_MAY_SHARE_BLOCKS : 0);
    return 0;
}

static const attribute_set_t known = {
    .commonattr = ATTR_CMN_NAME | ATTR_CMN_DEVID | ATTR_CMN_FSID | ATTR_CMN_OBJTYPE |
                  ATTR_CMN_CRTIME | ATTR_CMN_MODTIME | ATTR_CMN_CHGTIME | ATTR_CMN_ACCTIME |
                  ATTR_CMN_OWNERID | ATTR_CMN_GRPID | ATTR_CMN_ACCESSMASK | ATTR_CMN_FLAGS |
                  ATTR_CMN_EXTENDED_SECURITY | ATTR_CMN_FILEID | ATTR_CMN_ERROR |
                  ATTR_CMN_RETURNED_ATTRS,
    .dirattr = ATTR_DIR_LINKCOUNT | ATTR_DIR_MOUNTSTATUS,
    .fileattr = ATTR_FILE_LINKCOUNT | ATTR_FILE_TOTALSIZE | ATTR_FILE_ALLOCSIZE |
                ATTR_FILE_DEVTYPE | ATTR_FILE_DATALENGTH | ATTR_FILE_DATAALLOCSIZE,
    .forkattr = ATTR_CMNEXT_PRIVATESIZE | ATTR_CMNEXT_CLONEID | ATTR_CMNEXT_EXT_FLAGS,
};

static bool is_known(const struct attrlist *wanted, uint64_t options)
{
    return wanted->bitmapcount == ATTR_BIT_MAP_COUNT && !(wanted->commonattr & ~known.commonattr) &&
           wanted->volattr == 0 && !(wanted->dirattr & ~known.dirattr) &&
           !(wanted->fileattr & ~known.fileattr) && !(wanted->forkattr & ~known.forkattr) &&
           (wanted->forkattr == 0 || (options & FSOPT_ATTR_CMN_EXTENDED));
}

/* What of it this inode has. */
static attribute_set_t returned(const struct attrlist *wanted, bool is_dir)
{
    return (attribute_set_t){
        .commonattr = wanted->commonattr & ~ATTR_CMN_ERROR,
        .dirattr = is_dir ? wanted->dirattr : 0,
        .fileattr = is_dir ? 0 : wanted->fileattr,
        .forkattr = wanted->forkattr,
    };
}

static void pack_data(struct packing *packing, size_t reference_at, const void *data, size_t size)
{
    attrreference_t reference = {.attr_dataoffset = (int32_t) (packing->used - reference_at),
                                 .attr_length = (uint32_t) size};
    if (reference_at == 0)
        return;
    patch(packing, reference_at, &reference, sizeof reference);
    pack_bytes(packing, data, size);
}

/* The text stands for what the kernel has, of which callers only ask whether it is there. */
static void pack_security(struct packing *packing, size_t reference_at,
                          const struct subject *subject)
{
    char text[65536];
    struct proc_path path = proc_path_at(subject->dirfd, subject->path, AT_SYMLINK_NOFOLLOW);
    ssize_t size = reference_at > 0 ? proc_get(&path, OWN_ACL, text, sizeof text) : 0;
    pack_data(packing, reference_at, text, size > 0 ? (size_t) size : 0);
}

int pack_record(struct packing *packing, const struct attrlist *wanted,
                const struct subject *subject, uint64_t options)
{
    size_t start = packing->used;
    attribute_set_t set = returned(wanted, S_ISDIR(subject->inode.stat.st_mode));
    if (!is_known(wanted, options)) {
        errno = EINVAL;
        return -1;
    }
    pack_u32(packing, 0);
    if (wanted->commonattr & ATTR_CMN_RETURNED_ATTRS)
        pack_bytes(packing, &set, sizeof set);
    struct references references = pack_common(packing, set.commonattr, subject);
    pack_dir(packing, set.dirattr, &subject->inode);
    pack_file(packing, set.fileattr, &subject->inode.stat);
    if (pack_extended(packing, set.forkattr, subject) != 0)
        return -1;
    pack_data(packing, references.name, subject->path, strlen(subject->path) + 1);
    pack_security(packing, references.security, subject);
    if (wanted->commonattr & ATTR_CMN_RETURNED_ATTRS)
        while ((packing->used - start) % RECORD_ALIGNMENT != 0)
            pack_u32(packing, 0);
    uint32_t length = (uint32_t) (packing->used - start);
    patch(packing, start, &length, sizeof length);
    return 0;
}
