/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/attr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tree/facts_darwin.h"
#include "tree/facts_os.h"

/* What the system tells about data that files share, and when. */

/* Not in every SDK's sys/attr.h by these names. */
enum { SHARES_BLOCKS = 0x1, HAS_NO_XATTRS = 0x2 };

struct pair {
    int from_fd;
    int to_fd;
};

static void pair_close(struct pair *pair)
{
    fd_close(&pair->from_fd);
    fd_close(&pair->to_fd);
}

/* A file, on disk, and its clone. */
static bool make_pair(struct pair *pair, int dirfd)
{
    *pair = (struct pair){.from_fd = fact_make_file(dirfd, "from"), .to_fd = -1};
    if (pair->from_fd < 0 || fsync(pair->from_fd) != 0 || !fact_clone(dirfd, 0))
        return false;
    pair->to_fd = openat(dirfd, "to", O_RDWR | O_CLOEXEC);
    return pair->to_fd >= 0;
}

static bool write_byte(int fd)
{
    return pwrite(fd, "x", 1, 0) == 1;
}

/* A file of this size, on disk; -1 and errno. */
static int make_sized(int dirfd, const char *name, off_t size)
{
    owned(fd_close) int fd = fact_make_file(dirfd, name);
    return fd >= 0 && ftruncate(fd, size) == 0 && fsync(fd) == 0 ? fd_take(&fd) : -1;
}

static bool has_clone_id(int dirfd, off_t size)
{
    uint64_t id = 0;
    owned(fd_close) int fd = make_sized(dirfd, "file", size);
    return fd >= 0 && fact_number(fd, ATTR_CMNEXT_CLONEID, &id) && fact_plainly(id != 0);
}

static bool files_have_clone_ids(int dirfd)
{
    return has_clone_id(dirfd, FACT_DATA_BYTES);
}

static bool small_files_have_clone_ids(int dirfd)
{
    return has_clone_id(dirfd, 1);
}

static bool empty_files_have_clone_ids(int dirfd)
{
    return has_clone_id(dirfd, 0);
}

static bool clone_ids(int a_fd, int b_fd, uint64_t out_ids[2])
{
    return fact_number(a_fd, ATTR_CMNEXT_CLONEID, &out_ids[0]) &&
           fact_number(b_fd, ATTR_CMNEXT_CLONEID, &out_ids[1]);
}

static bool same_clone_id(int a_fd, int b_fd)
{
    uint64_t ids[2];
    return clone_ids(a_fd, b_fd, ids) && fact_plainly(ids[0] != 0 && ids[0] == ids[1]);
}

static bool are_parted(const struct pair *pair)
{
    uint64_t ids[2];
    return clone_ids(pair->from_fd, pair->to_fd, ids) && fact_plainly(ids[0] != ids[1]);
}

static bool strangers_share_clone_id(int dirfd, off_t size)
{
    owned(fd_close) int a_fd = make_sized(dirfd, "a", size);
    owned(fd_close) int b_fd = make_sized(dirfd, "b", size);
    return a_fd >= 0 && b_fd >= 0 && same_clone_id(a_fd, b_fd);
}

static bool strangers_share(int dirfd)
{
    return strangers_share_clone_id(dirfd, FACT_DATA_BYTES);
}

static bool small_strangers_share(int dirfd)
{
    return strangers_share_clone_id(dirfd, 1);
}

static bool empty_strangers_share(int dirfd)
{
    return strangers_share_clone_id(dirfd, 0);
}

static bool small_clones_share(int dirfd)
{
    owned(fd_close) int fd = make_sized(dirfd, "from", 1);
    if (fd < 0 || !fact_clone(dirfd, 0))
        return false;
    owned(fd_close) int clone_fd = openat(dirfd, "to", O_RDONLY | O_CLOEXEC);
    return clone_fd >= 0 && same_clone_id(fd, clone_fd);
}

static bool write_parts_at_once(int dirfd)
{
    owned(pair_close) struct pair pair;
    return make_pair(&pair, dirfd) && write_byte(pair.to_fd) && are_parted(&pair);
}

static bool write_parts_on_disk(int dirfd)
{
    owned(pair_close) struct pair pair;
    return make_pair(&pair, dirfd) && write_byte(pair.to_fd) && fsync(pair.to_fd) == 0 &&
           are_parted(&pair);
}

static bool write_to_origin_parts(int dirfd)
{
    owned(pair_close) struct pair pair;
    return make_pair(&pair, dirfd) && write_byte(pair.from_fd) && are_parted(&pair);
}

static bool cutting_parts(int dirfd)
{
    owned(pair_close) struct pair pair;
    return make_pair(&pair, dirfd) && ftruncate(pair.to_fd, FACT_DATA_BYTES - 1) == 0 &&
           are_parted(&pair);
}

static bool has_private_size(int fd, uint64_t lowest, uint64_t highest)
{
    uint64_t size = 0;
    return fact_number(fd, ATTR_CMNEXT_PRIVATESIZE, &size) &&
           fact_plainly(size >= lowest && size <= highest);
}

static bool new_file_is_private(int dirfd)
{
    owned(fd_close) int fd = make_sized(dirfd, "file", FACT_DATA_BYTES);
    return fd >= 0 && has_private_size(fd, FACT_DATA_BYTES, FACT_DATA_BYTES);
}

static bool is_private_before_disk(int dirfd)
{
    owned(fd_close) int fd = fact_make_file(dirfd, "file");
    return fd >= 0 && has_private_size(fd, FACT_DATA_BYTES, FACT_DATA_BYTES);
}

static bool clone_has_nothing(int dirfd)
{
    owned(pair_close) struct pair pair;
    return make_pair(&pair, dirfd) && has_private_size(pair.to_fd, 0, 0);
}

static bool origin_has_nothing(int dirfd)
{
    owned(pair_close) struct pair pair;
    return make_pair(&pair, dirfd) && has_private_size(pair.from_fd, 0, 0);
}

/* The part that was written, not the whole file. */
static bool written_part_is_private(int dirfd)
{
    owned(pair_close) struct pair pair;
    return make_pair(&pair, dirfd) && write_byte(pair.to_fd) && fsync(pair.to_fd) == 0 &&
           has_private_size(pair.to_fd, 1, FACT_DATA_BYTES - 1);
}

/* Removing may go on behind the call that asks for it. */
static bool is_private_again(int dirfd)
{
    enum { TRIES = 20, PAUSE_US = 100000 };
    owned(pair_close) struct pair pair;
    if (!make_pair(&pair, dirfd) || unlinkat(dirfd, "to", 0) != 0)
        return false;
    fd_close(&pair.to_fd);
    bool again = false;
    for (int i = 0; !again && i < TRIES; i++) {
        if (i > 0)
            (void) usleep(PAUSE_US);
        again =
            fsync(dirfd) == 0 && has_private_size(pair.from_fd, FACT_DATA_BYTES, FACT_DATA_BYTES);
    }
    return again;
}

static bool has_extended_flag(int fd, uint64_t flag)
{
    uint64_t flags = 0;
    return fact_number(fd, ATTR_CMNEXT_EXT_FLAGS, &flags) && fact_plainly((flags & flag) != 0);
}

static bool says_no_xattrs(int dirfd)
{
    owned(fd_close) int fd = fact_make_file(dirfd, "file");
    return fd >= 0 && has_extended_flag(fd, HAS_NO_XATTRS);
}

static bool says_no_xattrs_wrongly(int dirfd)
{
    owned(fd_close) int fd = fact_make_file(dirfd, "file");
    return fd >= 0 && facts_set_xattr(fd, "user.clonefs", "value", 5) &&
           has_extended_flag(fd, HAS_NO_XATTRS);
}

static bool says_shared(int dirfd)
{
    owned(pair_close) struct pair pair;
    return make_pair(&pair, dirfd) && has_extended_flag(pair.to_fd, SHARES_BLOCKS);
}

static bool says_shared_wrongly(int dirfd)
{
    owned(fd_close) int fd = make_sized(dirfd, "file", FACT_DATA_BYTES);
    return fd >= 0 && has_extended_flag(fd, SHARES_BLOCKS);
}

static const struct fact facts[] = {
    {"files have clone ids", files_have_clone_ids},
    {"files of one byte have clone ids", small_files_have_clone_ids},
    {"empty files have clone ids", empty_files_have_clone_ids},
    {"files that are no clones have one clone id", strangers_share},
    {"files of one byte that are no clones have one clone id", small_strangers_share},
    {"empty files that are no clones have one clone id", empty_strangers_share},
    {"a file of one byte and its clone have one clone id", small_clones_share},
    {"a write to a clone changes its clone id at once", write_parts_at_once},
    {"a write to a clone changes its clone id when it is on disk", write_parts_on_disk},
    {"a write to the origin parts the clone ids at once", write_to_origin_parts},
    {"cutting a clone changes its clone id at once", cutting_parts},
    {"the private size of a new file is its size", new_file_is_private},
    {"the private size of a new file is known before it is on disk", is_private_before_disk},
    {"the private size of a clone is 0", clone_has_nothing},
    {"the private size after a child clone is 0", origin_has_nothing},
    {"the private size of a written clone is what was written", written_part_is_private},
    {"the private size comes back when the clone is removed", is_private_again},
    {"a file without extended attributes says so", says_no_xattrs},
    {"a file with extended attributes says that it has none", says_no_xattrs_wrongly},
    {"a clone says that it may share data", says_shared},
    {"a new file says that it may share data", says_shared_wrongly},
};

const struct fact_list facts_of_sharing = FACT_LIST(facts);
