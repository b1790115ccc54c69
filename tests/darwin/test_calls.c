/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/attr.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/volume.h"
#include "tests/darwin/fixture.h"
#include "tests/darwin/losses.h"
#include "tests/unit/volume_fixture.h"

/* The rules of macOS that the emulated calls keep: names, attributes, flags, walking. */

static int make_file(int dirfd, const char *path)
{
    int fd = openat(dirfd, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static struct stat stat_of(int fd)
{
    struct stat found;
    assert_int_equal(fstat(fd, &found), 0);
    return found;
}

static void assert_refused(int result, int error)
{
    int found = errno;
    assert_int_equal(result, -1);
    assert_int_equal(found, error);
}

static void names_are_utf_8_and_paths_are_short(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    char path[1100];
    assert_refused(openat(dirfd, "caf\xe9", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), EILSEQ);
    assert_refused(mkdirat(dirfd, "caf\xe9", 0700), EILSEQ);
    assert_refused(symlinkat("x", dirfd, "caf\xe9"), EILSEQ);
    assert_refused(mkfifoat(dirfd, "caf\xe9", 0600), EILSEQ);
    assert_int_equal(symlinkat("caf\xe9", dirfd, "link"), 0);
    assert_refused(renameat(dirfd, "link", dirfd, "caf\xe9"), EILSEQ);
    memset(path, '/', sizeof path - 1);
    path[1024] = '\0';
    assert_refused(symlinkat(path, dirfd, "long"), ENAMETOOLONG);
    assert_refused(openat(dirfd, path, O_RDONLY | O_CLOEXEC), ENAMETOOLONG);
    path[1023] = '\0';
    assert_int_equal(symlinkat(path, dirfd, "long"), 0);
    darwin_losses_set(LOSS_NAMES, false);
    assert_int_equal(mkdirat(dirfd, "caf\xe9", 0700), 0);
}

static void links_are_followed_as_the_flags_say(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    assert_int_equal(mkdirat(dirfd, "dir", 0700), 0);
    owned(fd_close) int file = make_file(dirfd, "dir/file");
    assert_int_equal(symlinkat("dir", dirfd, "link"), 0);
    assert_refused(openat(dirfd, "link/file", O_RDONLY | O_NOFOLLOW_ANY | O_CLOEXEC), ELOOP);
    assert_refused(openat(dirfd, "link", O_RDONLY | O_NOFOLLOW | O_NOFOLLOW_ANY), EINVAL);
    owned(fd_close) int link = openat(dirfd, "link", O_SYMLINK | O_CLOEXEC);
    char target[16] = "";
    assert_true(S_ISLNK(stat_of(link).st_mode));
    assert_int_equal(freadlink(link, target, sizeof target), 3);
    assert_string_equal(target, "dir");
    owned(fd_close) int opened = openat(dirfd, "dir/file", O_EVTONLY | O_SYMLINK | O_CLOEXEC);
    assert_int_equal(stat_of(opened).st_ino, stat_of(file).st_ino);
}

static void sockets_are_bound_and_not_opened(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    owned(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    int pthread_fchdir_np(int);
    assert_refused(mknodat(dirfd, "socket", S_IFSOCK | 0600, 0), EINVAL);
    assert_int_equal(pthread_fchdir_np(dirfd), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *) &address, sizeof address), 0);
    assert_int_equal(pthread_fchdir_np(-1), 0);
    assert_int_equal(sizeof address.sun_path, 104);
    assert_refused(openat(dirfd, "socket", O_RDONLY | O_NONBLOCK | O_CLOEXEC), EOPNOTSUPP);
}

static void what_is_made_has_the_group_of_its_directory(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    struct stat found;
    assert_int_equal(fchownat(dirfd, ".", 0, 77, 0), 0);
    owned(fd_close) int fd = make_file(dirfd, "file");
    assert_int_equal(stat_of(fd).st_gid, 77);
    assert_int_equal(mkdirat(dirfd, "dir", 0700), 0);
    assert_int_equal(fstatat(dirfd, "dir", &found, 0), 0);
    assert_int_equal(found.st_gid, 77);
}

static void a_new_owner_ends_set_id_bits(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    owned(fd_close) int fd = make_file(dirfd, "file");
    assert_int_equal(fchmod(fd, 06644), 0);
    assert_int_equal(fchown(fd, 1, 2), 0);
    assert_int_equal(stat_of(fd).st_mode & 07777, 0644);
    darwin_losses_set(LOSS_CHOWN_SET_ID, false);
    assert_int_equal(fchmod(fd, 06755), 0);
    assert_int_equal(fchown(fd, 3, 4), 0);
    assert_int_equal(stat_of(fd).st_mode & 07777, 06755);
}

static void attributes_have_the_names_that_they_are_given(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    owned(fd_close) int fd = make_file(dirfd, "file");
    static const char *const names[] = {"user.x", "x", "security.x", "com.apple.FinderInfo"};
    static const char value[32] = "value";
    char list[200];
    char name[129];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(fsetxattr(fd, names[i], value, sizeof value, 0, XATTR_CREATE), 0);
    assert_refused(fsetxattr(fd, "x", "", 0, 0, XATTR_CREATE), EEXIST);
    ssize_t length = flistxattr(fd, list, sizeof list, 0);
    size_t count = 0;
    for (const char *at = list; at < list + length; at += strlen(at) + 1)
        count++;
    assert_int_equal(count, 5); /* the last is com.apple.provenance */
    assert_int_equal(fremovexattr(fd, "x", 0), 0);
    assert_refused((int) fgetxattr(fd, "x", NULL, 0, 0, 0), ENOATTR);
    assert_true(ENOATTR != ENODATA);
    memset(name, 'n', sizeof name - 1);
    name[128] = '\0';
    assert_refused(fsetxattr(fd, name, "", 0, 0, 0), ENAMETOOLONG);
    name[127] = '\0';
    assert_int_equal(fsetxattr(fd, name, "", 0, 0, 0), 0);
    assert_refused(fsetxattr(fd, "com.apple.FinderInfo", "short", 5, 0, 0), ERANGE);
    assert_refused(fsetxattr(fd, "com.apple.system.Security", "", 0, 0, 0), EPERM);
    assert_refused(fsetxattr(fd, "com.apple.provenance", "", 0, 0, 0), EPERM);
    assert_refused(fsetxattr(fd, "caf\xe9", "", 0, 0, 0), EINVAL);
    assert_refused(fsetxattr(fd, "x", "", 0, 0, 0x1), EINVAL);
}

static void links_have_attributes_and_devices_have_none(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    char list[64];
    assert_int_equal(symlinkat("x", dirfd, "link"), 0);
    owned(fd_close) int link = openat(dirfd, "link", O_SYMLINK | O_CLOEXEC);
    assert_int_equal(fsetxattr(link, "user.x", "y", 1, 0, 0), 0);
    assert_int_equal(fgetxattr(link, "user.x", NULL, 0, 0, 0), 1);
    owned(fd_close) int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_refused((int) flistxattr(null, list, sizeof list, 0), EPERM);
}

static void flags_are_kept_and_forbid(void **state)
{
    static const uint32_t all[] = {UF_NODUMP, UF_IMMUTABLE, UF_APPEND,    UF_OPAQUE,
                                   UF_HIDDEN, SF_ARCHIVED,  SF_IMMUTABLE, SF_APPEND};
    int dirfd = volume_fixture(state)->fd;
    owned(fd_close) int fd = make_file(dirfd, "file");
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(fchflags(fd, all[i]), 0);
        assert_int_equal(stat_of(fd).st_flags, all[i]);
    }
    assert_refused(renameat(dirfd, "file", dirfd, "new"), EPERM);
    assert_int_equal(fchflags(fd, UF_IMMUTABLE | SF_IMMUTABLE), 0);
    assert_refused(fchmod(fd, 0644), EPERM);
    assert_int_equal(fchflags(fd, UF_HIDDEN), 0);
    assert_int_equal(stat_of(fd).st_flags, UF_HIDDEN);
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_refused(fchflags(fd, SF_RESTRICTED), EPERM);
    assert_int_equal(symlinkat("x", dirfd, "link"), 0);
    owned(fd_close) int link = openat(dirfd, "link", O_SYMLINK | O_CLOEXEC);
    assert_int_equal(fchflags(link, UF_IMMUTABLE), 0);
    assert_refused(unlinkat(dirfd, "link", 0), EPERM);
    assert_int_equal(fchflags(link, 0), 0);
}

static void births_are_set_and_never_after_changes(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    struct attrlist wanted = {.bitmapcount = ATTR_BIT_MAP_COUNT, .commonattr = ATTR_CMN_CRTIME};
    struct timespec birth = {.tv_sec = 1000000000, .tv_nsec = 5};
    struct timespec times[2] = {{.tv_sec = 1100000000}, {.tv_sec = 1100000000}};
    owned(fd_close) int fd = make_file(dirfd, "file");
    assert_true(stat_of(fd).st_birthtimespec.tv_sec > 1500000000);
    assert_int_equal(futimens(fd, times), 0);
    assert_int_equal(stat_of(fd).st_birthtimespec.tv_sec, 1100000000);
    assert_int_equal(fsetattrlist(fd, &wanted, &birth, sizeof birth, 0), 0);
    assert_int_equal(stat_of(fd).st_birthtimespec.tv_sec, 1000000000);
    assert_int_equal(stat_of(fd).st_birthtimespec.tv_nsec, 5);
    assert_int_equal(stat_of(fd).st_mtimespec.tv_sec, 1100000000);
}

struct bulk_record {
    uint32_t length;
    attribute_set_t returned;
    attrreference_t name;
    uint32_t type;
};

/* How many entries a walk with a buffer of that size sees, each once. */
static int walk(int dirfd, size_t size, bool seen[], int max)
{
    struct attrlist wanted = {.bitmapcount = ATTR_BIT_MAP_COUNT,
                              .commonattr = ATTR_CMN_RETURNED_ATTRS | ATTR_CMN_NAME |
                                            ATTR_CMN_ERROR | ATTR_CMN_OBJTYPE};
    char buffer[65536];
    int total = 0;
    assert_int_equal(lseek(dirfd, 0, SEEK_SET), 0);
    for (;;) {
        int count = getattrlistbulk(dirfd, &wanted, buffer, size, 0);
        assert_true(count >= 0);
        if (count == 0)
            return total;
        const char *at = buffer;
        for (int i = 0; i < count; i++) {
            struct bulk_record record;
            int number = -1;
            memcpy(&record, at, sizeof record);
            const char *name =
                at + offsetof(struct bulk_record, name) + record.name.attr_dataoffset;
            assert_int_equal(sscanf(name, "file-%d", &number), 1);
            assert_in_range(number, 0, max - 1);
            assert_false(seen[number]);
            assert_int_equal(record.type, 1);
            seen[number] = true;
            at += record.length;
            total++;
        }
    }
}

static void a_walk_sees_each_entry_once(void **state)
{
    enum { ENTRIES = 3000 };
    int dirfd = volume_fixture(state)->fd;
    static const size_t sizes[] = {512, 4096, 65536};
    char name[64];
    char small[32];
    for (int i = 0; i < ENTRIES; i++) {
        (void) snprintf(name, sizeof name, "file-%d%.*s", i, i % 40,
                        "----------------------------------------");
        int fd = make_file(dirfd, name);
        fd_close(&fd);
    }
    owned(fd_close) int dir = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        bool seen[ENTRIES] = {false};
        assert_int_equal(walk(dir, sizes[i], seen, ENTRIES), ENTRIES);
    }
    struct attrlist wanted = {.bitmapcount = ATTR_BIT_MAP_COUNT,
                              .commonattr = ATTR_CMN_RETURNED_ATTRS | ATTR_CMN_NAME};
    assert_int_equal(lseek(dir, 0, SEEK_SET), 0);
    assert_refused(getattrlistbulk(dir, &wanted, small, sizeof small, 0), ERANGE);
    wanted.commonattr = ATTR_CMN_NAME;
    assert_refused(getattrlistbulk(dir, &wanted, small, sizeof small, 0), EINVAL);
}

static void names_are_swapped_or_not_replaced(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    struct stat found;
    owned(fd_close) int fd = make_file(dirfd, "file");
    assert_int_equal(mkdirat(dirfd, "dir", 0700), 0);
    assert_refused(renameatx_np(dirfd, "file", dirfd, "dir", RENAME_EXCL), EEXIST);
    assert_refused(renameatx_np(dirfd, "file", dirfd, "dir", RENAME_EXCL | RENAME_SWAP), EINVAL);
    assert_refused(renameatx_np(dirfd, "file", dirfd, "none", RENAME_SWAP), ENOENT);
    assert_int_equal(renameatx_np(dirfd, "file", dirfd, "dir", RENAME_SWAP), 0);
    assert_int_equal(fstatat(dirfd, "dir", &found, 0), 0);
    assert_true(S_ISREG(found.st_mode));
}

static void a_descriptor_is_controlled(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    owned(fd_close) int fd = make_file(dirfd, "file");
    fstore_t store = {
        .fst_flags = F_ALLOCATEALL, .fst_posmode = F_PEOFPOSMODE, .fst_length = 1 << 20};
    fpunchhole_t hole = {.fp_offset = 1, .fp_length = 4096};
    char path[1024];
    assert_int_equal(fcntl(fd, F_FULLFSYNC), 0);
    assert_int_equal(fcntl(dirfd, F_BARRIERFSYNC), 0);
    assert_int_equal(fcntl(fd, F_PREALLOCATE, &store), 0);
    assert_int_equal(stat_of(fd).st_size, 0);
    assert_true(stat_of(fd).st_blocks >= 2048);
    assert_refused(fcntl(fd, F_PUNCHHOLE, &hole), EINVAL);
    assert_int_equal(fcntl(fd, F_GETPATH, path), 0);
    assert_string_equal(strrchr(path, '/'), "/file");
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

/* What is told once has to reach the caller; what the file system does not know is done otherwise.
 */
static void a_flush_that_fails_is_not_made_good_by_another(void **state)
{
    static int (*const flushes[])(int) = {volume_flush, volume_flush_file, volume_flush_drive};
    const struct volume_fixture *fixture = volume_fixture(state);
    owned(fd_close) int fd = make_file(fixture->fd, "file");
    for (size_t i = 0; i < sizeof flushes / sizeof flushes[0]; i++) {
        assert_int_equal(flushes[i](fd), 0);
        darwin_flush_fails(EIO);
        assert_refused(flushes[i](fd), EIO);
        darwin_flush_fails(ENOSPC);
        assert_refused(flushes[i](fd), ENOSPC);
        darwin_flush_fails(ENOTSUP);
        assert_int_equal(flushes[i](fd), 0);
        darwin_flush_fails(ENOTTY);
        assert_int_equal(flushes[i](fd), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOSSES_TEST(names_are_utf_8_and_paths_are_short),
        LOSSES_TEST(links_are_followed_as_the_flags_say),
        LOSSES_TEST(sockets_are_bound_and_not_opened),
        LOSSES_TEST(what_is_made_has_the_group_of_its_directory),
        LOSSES_TEST(a_new_owner_ends_set_id_bits),
        LOSSES_TEST(attributes_have_the_names_that_they_are_given),
        LOSSES_TEST(links_have_attributes_and_devices_have_none),
        LOSSES_TEST(flags_are_kept_and_forbid),
        LOSSES_TEST(births_are_set_and_never_after_changes),
        LOSSES_TEST(a_walk_sees_each_entry_once),
        LOSSES_TEST(names_are_swapped_or_not_replaced),
        LOSSES_TEST(a_descriptor_is_controlled),
        LOSSES_TEST(a_flush_that_fails_is_not_made_good_by_another),
    };
    return cmocka_run_group_tests_name("emulated calls on XFS", tests, volume_fixture_xfs,
                                       volume_fixture_unmount) +
           cmocka_run_group_tests_name("emulated calls on Btrfs", tests, volume_fixture_btrfs,
                                       volume_fixture_unmount);
}
