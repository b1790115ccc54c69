/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tree/facts_ask.h"
#include "tree/facts_os.h"

static bool keeps_owners(int dirfd)
{
    struct os_stat found;
    owned(fd_close) int fd = fact_make_file(dirfd, "owned");
    return fd >= 0 && fchown(fd, FACT_OWNER, FACT_GROUP) == 0 && fact_describe(fd, &found) &&
           found.uid == FACT_OWNER && found.gid == FACT_GROUP;
}

static bool has_mode(int fd, mode_t mode)
{
    struct os_stat found;
    return fact_describe(fd, &found) && (found.mode & 07777) == mode;
}

static bool keeps_set_id(int dirfd)
{
    owned(fd_close) int fd = fact_make_file(dirfd, "set-id");
    return fd >= 0 && fchmod(fd, 06755) == 0 && has_mode(fd, 06755);
}

static bool clears_set_id(int dirfd)
{
    owned(fd_close) int fd = fact_make_file(dirfd, "set-id");
    return fd >= 0 && fchmod(fd, 06755) == 0 && fchown(fd, FACT_OWNER, FACT_GROUP) == 0 &&
           has_mode(fd, 0755);
}

static bool keeps_time(int dirfd, time_t seconds, long nanos)
{
    const struct timespec times[2] = {{seconds, nanos}, {seconds, nanos}};
    struct os_stat found;
    owned(fd_close) int fd = fact_make_file(dirfd, "timed");
    return fd >= 0 && futimens(fd, times) == 0 && fact_describe(fd, &found) &&
           found.mtime.tv_sec == seconds && found.mtime.tv_nsec == nanos &&
           found.atime.tv_sec == seconds && found.atime.tv_nsec == nanos;
}

static bool keeps_nanoseconds(int dirfd)
{
    return keeps_time(dirfd, 1000000000, 123456789);
}

static bool keeps_old_times(int dirfd)
{
    return keeps_time(dirfd, -1, 5);
}

static bool keeps_far_times(int dirfd)
{
    return keeps_time(dirfd, (time_t) 1 << 33, 0); /* 2242, beyond eleven octal digits */
}

static bool has_xattrs(int dirfd)
{
    owned(fd_close) int fd = fact_make_file(dirfd, "attributes");
    return fd >= 0 && facts_set_xattr(fd, "user.clonefs", "value", 5);
}

static bool has_big_xattrs(int dirfd)
{
    static const char value[65536];
    owned(fd_close) int fd = fact_make_file(dirfd, "attributes");
    return fd >= 0 && facts_set_xattr(fd, "user.clonefs", value, sizeof value);
}

static bool has_acls(int dirfd)
{
    owned(fd_close) int fd = fact_make_file(dirfd, "acl");
    return fd >= 0 && facts_set_acl(fd);
}

static bool has_capabilities(int dirfd)
{
    owned(fd_close) int fd = fact_make_file(dirfd, "capable");
    return fd >= 0 && facts_set_capability(fd);
}

static const struct fact facts[] = {
    {"owners are kept", keeps_owners},
    {"set-id bits are kept", keeps_set_id},
    {"a new owner clears set-id bits", clears_set_id},
    {"times have nanoseconds", keeps_nanoseconds},
    {"times may be before 1970", keeps_old_times},
    {"times may be in 2242", keeps_far_times},
    {"extended attributes", has_xattrs},
    {"extended attributes of 64 KiB", has_big_xattrs},
    {"access control lists", has_acls},
    {"file capabilities", has_capabilities},
};

const struct fact_list facts_of_attributes = FACT_LIST(facts);
