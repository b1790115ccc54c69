/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/facts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/stat.h"
#include "base/volume.h"
#include "tree/clone.h"
#include "tree/facts_os.h"
#include "tree/os.h"
#include "tree/tree.h"

enum { DATA_BYTES = 16384, OWNER = 12345, GROUP = 54321 };

/* Each question works in a folder of its own. True is yes; false is no, with errno as the reason
 * unless it is 0. */
typedef bool question(int dirfd);

/* A new file with data; -1 and errno. */
static int make_file(int dirfd, const char *name)
{
    char data[DATA_BYTES];
    memset(data, 'd', sizeof data);
    owned(fd_close) int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    errno = fd < 0 ? errno : ENOSPC; /* what a short write means */
    if (fd < 0 || pwrite(fd, data, sizeof data, 0) != DATA_BYTES)
        return -1;
    errno = 0;
    return fd_take(&fd);
}

static bool exists(int dirfd, const char *name)
{
    bool found = faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    errno = 0;
    return found;
}

static bool describe(int fd, struct os_stat *out_stat)
{
    return os_stat(fd, out_stat) == 0;
}

/* A file and its clone. */
struct clone_pair {
    int origin_fd;
    int clone_fd;
};

static void clone_pair_close(struct clone_pair *pair)
{
    fd_close(&pair->origin_fd);
    fd_close(&pair->clone_fd);
}

static bool make_clone(struct clone_pair *pair, int dirfd)
{
    *pair = (struct clone_pair){.origin_fd = make_file(dirfd, "origin"), .clone_fd = -1};
    return pair->origin_fd >= 0 &&
           clone_share_file(pair->origin_fd, dirfd, "clone", &pair->clone_fd) == 1;
}

static bool clones_files(int dirfd)
{
    owned(clone_pair_close) struct clone_pair pair;
    return make_clone(&pair, dirfd);
}

static bool clones_are_private(int dirfd)
{
    owned(clone_pair_close) struct clone_pair pair;
    char found = 0;
    return make_clone(&pair, dirfd) && pwrite(pair.clone_fd, "x", 1, 0) == 1 &&
           pread(pair.origin_fd, &found, 1, 0) == 1 && found == 'd';
}

static bool tells_what_is_shared(int dirfd)
{
    owned(clone_pair_close) struct clone_pair pair;
    return make_clone(&pair, dirfd) && facts_tells_what_is_shared(pair.origin_fd, pair.clone_fd);
}

static bool differ_by_case(int dirfd)
{
    owned(fd_close) int fd = make_file(dirfd, "name");
    return fd >= 0 && !exists(dirfd, "NAME");
}

static bool differ_by_normalisation(int dirfd)
{
    owned(fd_close) int fd = make_file(dirfd, "\xc3\xa9");
    return fd >= 0 && !exists(dirfd, "e\xcc\x81");
}

static bool takes_any_bytes(int dirfd)
{
    owned(fd_close) int fd = make_file(dirfd, "\xff\xfe");
    return fd >= 0 && exists(dirfd, "\xff\xfe");
}

static bool takes_long_names(int dirfd)
{
    char name[256];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    owned(fd_close) int fd = make_file(dirfd, name);
    return fd >= 0 && exists(dirfd, name);
}

static bool keeps_owners(int dirfd)
{
    struct os_stat found;
    owned(fd_close) int fd = make_file(dirfd, "owned");
    return fd >= 0 && fchown(fd, OWNER, GROUP) == 0 && describe(fd, &found) && found.uid == OWNER &&
           found.gid == GROUP;
}

static bool has_mode(int fd, mode_t mode)
{
    struct os_stat found;
    return describe(fd, &found) && (found.mode & 07777) == mode;
}

static bool keeps_set_id(int dirfd)
{
    owned(fd_close) int fd = make_file(dirfd, "set-id");
    return fd >= 0 && fchmod(fd, 06755) == 0 && has_mode(fd, 06755);
}

static bool clears_set_id(int dirfd)
{
    owned(fd_close) int fd = make_file(dirfd, "set-id");
    return fd >= 0 && fchmod(fd, 06755) == 0 && fchown(fd, OWNER, GROUP) == 0 && has_mode(fd, 0755);
}

static bool keeps_time(int dirfd, time_t seconds, long nanos)
{
    const struct timespec times[2] = {{seconds, nanos}, {seconds, nanos}};
    struct os_stat found;
    owned(fd_close) int fd = make_file(dirfd, "timed");
    return fd >= 0 && futimens(fd, times) == 0 && describe(fd, &found) &&
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

static bool moves_change_time(int dirfd)
{
    struct os_stat before;
    struct os_stat after;
    owned(fd_close) int fd = make_file(dirfd, "changed");
    if (fd < 0 || !describe(fd, &before))
        return false;
    (void) usleep(30000);
    return pwrite(fd, "x", 1, 0) == 1 && describe(fd, &after) &&
           (after.ctime.tv_sec > before.ctime.tv_sec ||
            (after.ctime.tv_sec == before.ctime.tv_sec &&
             after.ctime.tv_nsec > before.ctime.tv_nsec));
}

static bool has_xattrs(int dirfd)
{
    owned(fd_close) int fd = make_file(dirfd, "attributes");
    return fd >= 0 && facts_set_xattr(fd, "user.clonefs", "value", 5);
}

static bool has_big_xattrs(int dirfd)
{
    static const char value[65536];
    owned(fd_close) int fd = make_file(dirfd, "attributes");
    return fd >= 0 && facts_set_xattr(fd, "user.clonefs", value, sizeof value);
}

static bool has_acls(int dirfd)
{
    owned(fd_close) int fd = make_file(dirfd, "acl");
    return fd >= 0 && facts_set_acl(fd);
}

static bool has_capabilities(int dirfd)
{
    owned(fd_close) int fd = make_file(dirfd, "capable");
    return fd >= 0 && facts_set_capability(fd);
}

static bool has_devices(int dirfd)
{
    return mknodat(dirfd, "device", S_IFCHR | 0600, makedev(1, 3)) == 0 &&
           mknodat(dirfd, "block", S_IFBLK | 0600, makedev(7, 0)) == 0;
}

static bool has_fifos(int dirfd)
{
    return mkfifoat(dirfd, "fifo", 0600) == 0;
}

static bool has_hard_links(int dirfd)
{
    struct os_stat found;
    owned(fd_close) int fd = make_file(dirfd, "first");
    return fd >= 0 && linkat(dirfd, "first", dirfd, "second", 0) == 0 && describe(fd, &found) &&
           found.nlink == 2;
}

static bool has_immutable_files(int dirfd)
{
    owned(fd_close) int fd = make_file(dirfd, "immutable");
    if (fd < 0 || os_change_flags(fd, OS_FLAG_IMMUTABLE, true) != 0)
        return false;
    bool stays = unlinkat(dirfd, "immutable", 0) != 0;
    errno = 0;
    return os_change_flags(fd, OS_FLAG_IMMUTABLE, false) == 0 && stays;
}

static bool keeps_holes(int dirfd)
{
    owned(fd_close) int fd = make_file(dirfd, "holes");
    enum { END = 1 << 20 };
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, "x", 1, END) != 1)
        return false;
    off_t data = lseek(fd, 0, SEEK_DATA);
    errno = 0;
    return data > 0 && data <= END;
}

static bool exchanges_names(int dirfd)
{
    owned(fd_close) int fd = make_file(dirfd, "a");
    return fd >= 0 && mkdirat(dirfd, "b", 0700) == 0 && facts_exchange(dirfd, "a", "b");
}

static bool flushes(int dirfd)
{
    owned(fd_close) int fd = make_file(dirfd, "flushed");
    return fd >= 0 && volume_flush(dirfd) == 0;
}

static const struct {
    const char *fact;
    question *ask;
} questions[] = {
    {"a file is cloned by one call, sharing its data", clones_files},
    {"writing to a clone leaves its origin alone", clones_are_private},
    {"it can be seen that a clone shares its data", tells_what_is_shared},
    {"a directory is cloned by one call", facts_clones_directories},
    {"writing moves the change time", moves_change_time},
    {"names may differ by case", differ_by_case},
    {"names may differ by Unicode normalisation", differ_by_normalisation},
    {"names may be any bytes", takes_any_bytes},
    {"names may have 255 bytes", takes_long_names},
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
    {"devices", has_devices},
    {"FIFOs", has_fifos},
    {"hard links", has_hard_links},
    {"immutable files", has_immutable_files},
    {"holes are kept", keeps_holes},
    {"two names are exchanged by one call", exchanges_names},
    {"the volume is flushed by one call", flushes},
};

static int ask_in(int scratch_fd, question *ask, char *out_answer, size_t size, struct error *error)
{
    owned(fd_close) int fd = fd_make_dir(scratch_fd, "question", 0700, error);
    if (fd < 0)
        return fd;
    errno = 0;
    char text[100];
    bool yes = ask(fd);
    int reason = errno;
    if (yes || reason == 0)
        (void) snprintf(out_answer, size, "%s", yes ? "yes" : "no");
    else
        (void) snprintf(out_answer, size, "no: %s", error_number_text(reason, text, sizeof text));
    return tree_remove(scratch_fd, "question", NULL, error);
}

static int ask_all(int scratch_fd, tree_fact_teller *tell, void *context, struct error *error)
{
    char answer[128];
    facts_file_system(scratch_fd, answer, sizeof answer);
    tell(context, "file system", answer);
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        int rc = ask_in(scratch_fd, questions[i].ask, answer, sizeof answer, error);
        if (rc != 0)
            return rc;
        tell(context, questions[i].fact, answer);
    }
    return 0;
}

int tree_facts(int dirfd, tree_fact_teller *tell, void *context, struct error *error)
{
    char name[64];
    (void) snprintf(name, sizeof name, ".clonefs-probe.%ld", (long) getpid());
    owned(fd_close) int fd = fd_make_dir(dirfd, name, 0700, error);
    if (fd < 0)
        return fd;
    int rc = ask_all(fd, tell, context, error);
    int removed = tree_remove(dirfd, name, NULL, rc == 0 ? error : NULL);
    return rc == 0 ? removed : rc;
}
