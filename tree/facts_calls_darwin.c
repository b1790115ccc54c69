/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/attr.h>
#include <sys/sysctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tree/acl_darwin.h"
#include "tree/dir_stream.h"
#include "tree/facts_darwin.h"
#include "tree/facts_os.h"
#include "tree/xattr_darwin.h"

/* What calls take and do that we use. */

static bool flushes_by(int dirfd, int command)
{
    owned(fd_close) int fd = fact_make_file(dirfd, "file");
    return fd >= 0 && fcntl(fd, command) == 0;
}

static bool takes_full_flush(int dirfd)
{
    return flushes_by(dirfd, F_FULLFSYNC);
}

static bool takes_barrier(int dirfd)
{
    return flushes_by(dirfd, F_BARRIERFSYNC);
}

static bool takes_full_flush_of_folder(int dirfd)
{
    return fcntl(dirfd, F_FULLFSYNC) == 0;
}

static bool refuses_to_replace(int dirfd)
{
    if (!fact_touch(dirfd, "a") || !fact_touch(dirfd, "b"))
        return false;
    int result = renameatx_np(dirfd, "a", dirfd, "b", RENAME_EXCL);
    return result == 0 ? fact_plainly(false) : errno == EEXIST;
}

static bool refuses_links_above(int dirfd)
{
    if (mkdirat(dirfd, "folder", 0700) != 0 || !fact_touch(dirfd, "folder/file") ||
        symlinkat("folder", dirfd, "link") != 0)
        return false;
    owned(fd_close) int fd = openat(dirfd, "link/file", O_RDONLY | O_NOFOLLOW_ANY | O_CLOEXEC);
    return fd >= 0 ? fact_plainly(false) : errno == ELOOP;
}

/* The batches are smaller than the folder. */
static bool lists_while_removing(int dirfd)
{
    enum { FILES = 1500 };
    char name[64];
    int count = 0;
    struct dir_stream stream;
    struct dir_entry entry;
    owned(fd_close) int fd = -1;
    if (mkdirat(dirfd, "folder", 0700) == 0)
        fd = fd_open_dir(dirfd, "folder");
    for (int i = 0; fd >= 0 && i < FILES; i++) {
        (void) snprintf(name, sizeof name, "a-name-that-takes-some-room-in-a-batch-%d", i);
        owned(fd_close) int file = openat(fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (file < 0)
            return false;
    }
    dir_stream_init(&stream);
    while (fd >= 0 && dir_stream_fill(&stream, fd) == 1)
        while (dir_stream_next(&stream, &entry))
            count += unlinkat(fd, entry.name, 0) == 0;
    dir_stream_clear(&stream);
    return fd >= 0 && fact_plainly(count == FILES);
}

static int open_symlink(int dirfd)
{
    return symlinkat("nowhere", dirfd, "link") == 0 ? os_open_handle(dirfd, "link") : -1;
}

static bool symlinks_have_xattrs(int dirfd)
{
    owned(fd_close) int fd = open_symlink(dirfd);
    return fd >= 0 && facts_set_xattr(fd, "user.clonefs", "value", 5) &&
           fgetxattr(fd, "user.clonefs", NULL, 0, 0, 0) == 5;
}

static bool symlinks_have_acls(int dirfd)
{
    owned(fd_close) int fd = open_symlink(dirfd);
    return fd >= 0 && facts_set_acl(fd);
}

static bool symlinks_have_modes(int dirfd)
{
    struct stat found;
    return symlinkat("nowhere", dirfd, "link") == 0 &&
           fchmodat(dirfd, "link", 0700, AT_SYMLINK_NOFOLLOW) == 0 &&
           fact_look(dirfd, "link", &found) && fact_plainly((found.st_mode & 07777) == 0700);
}

static bool fifos_have_xattrs(int dirfd)
{
    if (mkfifoat(dirfd, "fifo", 0600) != 0)
        return false;
    owned(fd_close) int fd = os_open_handle(dirfd, "fifo");
    return fd >= 0 && facts_set_xattr(fd, "user.clonefs", "value", 5);
}

static bool makes_sockets(int dirfd)
{
    struct stat found;
    return fact_make_socket(dirfd, "socket") && fact_look(dirfd, "socket", &found) &&
           fact_plainly(S_ISSOCK(found.st_mode));
}

static bool takes_long_socket_names(int dirfd)
{
    char name[104];
    memset(name, 's', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    return fact_make_socket(dirfd, name) && fact_plainly(fact_exists(dirfd, name));
}

static bool takes_xattr_name(int dirfd, size_t length)
{
    char name[256];
    memset(name, 'x', length);
    name[length] = '\0';
    owned(fd_close) int fd = fact_make_file(dirfd, "file");
    return fd >= 0 && facts_set_xattr(fd, name, "value", 5);
}

static bool takes_127_bytes(int dirfd)
{
    return takes_xattr_name(dirfd, 127);
}

static bool takes_128_bytes(int dirfd)
{
    return takes_xattr_name(dirfd, 128);
}

/* Reads the only name of a folder. */
static bool only_name(int fd, char *out_name, size_t size)
{
    struct dir_stream stream;
    struct dir_entry entry;
    bool found = false;
    dir_stream_init(&stream);
    while (!found && dir_stream_fill(&stream, fd) == 1)
        if ((found = dir_stream_next(&stream, &entry)))
            (void) snprintf(out_name, size, "%s", entry.name);
    dir_stream_clear(&stream);
    return found;
}

static bool keeps_name(int dirfd, const char *name)
{
    char found[64];
    return fact_touch(dirfd, name) && only_name(dirfd, found, sizeof found) &&
           fact_plainly(strcmp(found, name) == 0);
}

static bool keeps_composed_names(int dirfd)
{
    return keeps_name(dirfd, "\xc3\xa9");
}

static bool keeps_decomposed_names(int dirfd)
{
    return keeps_name(dirfd, "e\xcc\x81");
}

/* Where nobody can take the flag back, the file would stay for ever. */
static bool is_security_raised(void)
{
    int level = 0;
    size_t size = sizeof level;
    return sysctlbyname("kern.securelevel", &level, &size, NULL, 0) == 0 && level > 0;
}

static bool takes_back_system_flag(int dirfd)
{
    if (is_security_raised()) {
        errno = EPERM;
        return false;
    }
    owned(fd_close) int fd = fact_make_file(dirfd, "file");
    return fd >= 0 && fchflags(fd, SF_IMMUTABLE) == 0 && fchflags(fd, 0) == 0 &&
           unlinkat(dirfd, "file", 0) == 0;
}

static bool reads_without_trace(int dirfd)
{
    char byte;
    struct stat found;
    owned(fd_close) int made = fact_make_file(dirfd, "file");
    if (made < 0 || !fact_make_old(dirfd, "file"))
        return false;
    owned(fd_close) int fd = os_open_file(dirfd, "file");
    return fd >= 0 && read(fd, &byte, 1) == 1 && fact_look(dirfd, "file", &found) &&
           fact_is_old(&found.st_atim);
}

static bool drags_birth_time(int dirfd)
{
    struct stat found;
    return fact_touch(dirfd, "file") && fact_make_old(dirfd, "file") &&
           fact_look(dirfd, "file", &found) && fact_is_old(&found.st_birthtimespec);
}

static bool sets_birth_time(int dirfd)
{
    struct attrlist wanted = {.bitmapcount = ATTR_BIT_MAP_COUNT, .commonattr = ATTR_CMN_CRTIME};
    struct timespec birth = {.tv_sec = 1000000001};
    struct stat found;
    owned(fd_close) int fd = fact_make_file(dirfd, "file");
    return fd >= 0 && fsetattrlist(fd, &wanted, &birth, sizeof birth, 0) == 0 &&
           fact_look(dirfd, "file", &found) && fact_same_time(&found.st_birthtimespec, &birth);
}

static bool marks_new_files(int dirfd)
{
    char names[1024];
    owned(fd_close) int fd = fact_make_file(dirfd, "file");
    ssize_t length = fd < 0 ? -1 : flistxattr(fd, names, sizeof names, 0);
    return length >= 0 && fact_plainly(length > 0);
}

static bool touch_in(int dirfd, const char *folder, const char *name)
{
    owned(fd_close) int fd = fd_open_dir(dirfd, folder);
    return fd >= 0 && fact_touch(fd, name);
}

/* As BSD does it. */
static bool inherits_group(int dirfd)
{
    struct stat found;
    return mkdirat(dirfd, "folder", 0700) == 0 &&
           fchownat(dirfd, "folder", (uid_t) -1, FACT_GROUP, 0) == 0 &&
           touch_in(dirfd, "folder", "file") && fact_look(dirfd, "folder/file", &found) &&
           fact_plainly(found.st_gid == FACT_GROUP);
}

static const struct fact facts[] = {
    {"F_FULLFSYNC", takes_full_flush},
    {"F_BARRIERFSYNC", takes_barrier},
    {"F_FULLFSYNC of a folder", takes_full_flush_of_folder},
    {"a rename refuses to replace if asked", refuses_to_replace},
    {"links above the last component are refused if asked", refuses_links_above},
    {"a folder is listed whole while its files are removed", lists_while_removing},
    {"symlinks have extended attributes, by a handle", symlinks_have_xattrs},
    {"symlinks have ACLs, by a handle", symlinks_have_acls},
    {"symlinks have modes", symlinks_have_modes},
    {"FIFOs have extended attributes, by a handle", fifos_have_xattrs},
    {"sockets are made in the folder of a thread", makes_sockets},
    {"names of sockets may have 103 bytes", takes_long_socket_names},
    {"names of extended attributes may have 127 bytes", takes_127_bytes},
    {"names of extended attributes may have 128 bytes", takes_128_bytes},
    {"composed names are listed as they were given", keeps_composed_names},
    {"decomposed names are listed as they were given", keeps_decomposed_names},
    {"the system's immutable flag can be taken back", takes_back_system_flag},
    {"a process can read without changing access times", reads_without_trace},
    {"an older modification time takes the birth time along", drags_birth_time},
    {"birth times can be set", sets_birth_time},
    {"new files have extended attributes by themselves", marks_new_files},
    {"new files get the group of their folder", inherits_group},
};

const struct fact_list facts_of_calls = FACT_LIST(facts);
