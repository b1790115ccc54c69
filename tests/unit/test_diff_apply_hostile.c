/* SPDX-License-Identifier: Apache-2.0 */
/* Archives that mean harm: nothing outside of the root changes, and what they may cost is bounded.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tests/unit/apply_fixture.h"
#include "tests/unit/tree_sample.h"
#include "tests/unit/volume_fixture.h"
#include "tree/tree.h"

/* Beside the root: what no archive may change. */
static void plant(const struct apply_fixture *fixture)
{
    tree_sample_dir(fixture->dir_fd, "outside");
    tree_sample_file(fixture->dir_fd, "outside/file", "kept");
    tree_sample_file(fixture->dir_fd, "beside", "kept");
    tree_sample_time(fixture->dir_fd, "outside/file", 1234, 5);
    tree_sample_time(fixture->dir_fd, "beside", 1234, 5);
    tree_sample_time(fixture->dir_fd, "outside", 1234, 5);
}

static void check_file(const struct apply_fixture *fixture, const char *path)
{
    struct stat found;
    char content[8] = "";
    assert_int_equal(fstatat(fixture->dir_fd, path, &found, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(found.st_mtim.tv_sec, 1234);
    assert_int_equal(found.st_mtim.tv_nsec, 5);
    assert_int_equal(found.st_uid, 0);
    assert_int_equal(found.st_nlink, 1);
    assert_int_equal(fd_read_small(fixture->dir_fd, path, content, sizeof content), 4);
    assert_string_equal(content, "kept");
}

static void check_outside(const struct apply_fixture *fixture)
{
    struct stat found;
    check_file(fixture, "beside");
    owned(fd_close) int outside = fd_open_dir(fixture->dir_fd, "outside");
    const struct apply_fixture inner = {.dir_fd = outside};
    check_file(&inner, "file");
    assert_int_equal(fstat(outside, &found), 0);
    assert_int_equal(found.st_mtim.tv_sec, 1234); /* nothing was made or removed in it */
    assert_int_equal(found.st_mode, S_IFDIR | 0755);
}

/* Whatever the answer is. */
static void apply_anyhow(struct apply_fixture *fixture)
{
    (void) apply_archive(fixture);
    check_outside(fixture);
}

static void nothing_leads_out(void **state)
{
    static const char *const ways[] = {"../outside",    "/../outside",         "a/../../outside",
                                       "./../outside",  "link/../../outside",  "up/outside",
                                       "up/../outside", "file/../outside",     "deep/up/outside",
                                       "deep/link",     "up/beside/../outside"};
    APPLY_FIXTURE(fixture, state);
    plant(&fixture);
    owned(mem_free) char *absolute = mem_printf("/proc/self/fd/%d/outside", fixture.dir_fd);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        owned(mem_free) char *file = mem_printf("%s/file", ways[i]);
        owned(mem_free) char *added = mem_printf("%s/added", ways[i]);
        owned(mem_free) char *whiteout = mem_printf("%s/.wh.file", ways[i]);
        owned(mem_free) char *opaque = mem_printf("%s/.wh..wh..opq", ways[i]);
        const char *const removals[] = {whiteout, opaque, "../.wh.beside", "../.wh.outside"};
        for (size_t j = 0; j < sizeof removals / sizeof removals[0]; j++) {
            layer_tar_symlink(&fixture.tar, "link", "../outside");
            layer_tar_symlink(&fixture.tar, "up", "..");
            layer_tar_symlink(&fixture.tar, "deep/up", "../../..");
            layer_tar_symlink(&fixture.tar, "deep/link", absolute);
            layer_tar_file(&fixture.tar, file, 0600, "changed");
            layer_tar_dir(&fixture.tar, ways[i], 0700);
            layer_tar_file(&fixture.tar, added, 0600, "added");
            layer_tar_link(&fixture.tar, "linked", file);
            layer_tar_file(&fixture.tar, "linked", 0600, "changed");
            layer_tar_file(&fixture.tar, removals[j], 0, "");
            apply_anyhow(&fixture);
        }
    }
}

static void a_link_in_place_of_a_directory_is_not_written_through(void **state)
{
    APPLY_FIXTURE(fixture, state);
    plant(&fixture);
    layer_tar_dir(&fixture.tar, "dir", 0755);
    layer_tar_file(&fixture.tar, "dir/one", 0644, "1");
    layer_tar_symlink(&fixture.tar, "dir", "../outside");
    layer_tar_file(&fixture.tar, "dir/file", 0644, "changed");
    layer_tar_file(&fixture.tar, "dir/.wh.file", 0, "");
    layer_tar_dir(&fixture.tar, "dir", 0755);
    layer_tar_file(&fixture.tar, "dir/two", 0644, "2");
    apply_well(&fixture);
    check_outside(&fixture);
    assert_content(&fixture, "dir/two", "2");
    assert_true(apply_exists(&fixture, "outside")); /* below the root: made on the way */
}

static void a_hard_link_leads_not_out(void **state)
{
    APPLY_FIXTURE(fixture, state);
    plant(&fixture);
    static const char *const targets[] = {"../beside", "/../beside",      "up/beside",
                                          "link",      "../outside/file", "out/file"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        layer_tar_symlink(&fixture.tar, "up", "..");
        layer_tar_symlink(&fixture.tar, "link", "../beside");
        layer_tar_symlink(&fixture.tar, "out", "../outside");
        layer_tar_link(&fixture.tar, "name", targets[i]);
        layer_tar_file(&fixture.tar, "name", 0600, "changed");
        apply_anyhow(&fixture);
    }
}

static void attributes_are_not_set_through_a_link(void **state)
{
    APPLY_FIXTURE(fixture, state);
    plant(&fixture);
    fixture.tar.uid = 99;
    fixture.tar.mtime = 99;
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.user.x", "y");
    layer_tar_symlink(&fixture.tar, "link", "../beside");
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.security.x", "y");
    layer_tar_link(&fixture.tar, "hard", "link");
    layer_tar_pax_text(&fixture.tar, "SCHILY.fflags", "schg");
    layer_tar_link(&fixture.tar, "other", "link");
    fixture.options.file_flags = true;
    apply_well(&fixture);
    check_outside(&fixture);
    assert_int_equal(apply_stat(&fixture, "hard").st_uid, 99);
}

static void nothing_is_unpacked_into_a_mount(void **state)
{
    APPLY_FIXTURE(fixture, state);
    fixture.without_layer = true; /* nothing is cloned there */
    const struct volume_fixture *volume = *state;
    layer_tar_dir(&fixture.tar, "dir", 0755);
    apply_well(&fixture);
    owned(mem_free) char *path = mem_printf("%s/root/dir", volume->path);
    assert_int_equal(mount("tmpfs", path, "tmpfs", 0, NULL), 0);
    layer_tar_file(&fixture.tar, "dir/file", 0644, "x");
    int below = apply_archive(&fixture);
    layer_tar_dir(&fixture.tar, "dir", 0700);
    int merged = apply_archive(&fixture);
    layer_tar_file(&fixture.tar, "dir", 0700, "x");
    int replaced = apply_archive(&fixture);
    layer_tar_file(&fixture.tar, ".wh.dir", 0700, "x");
    int removed = apply_archive(&fixture);
    assert_int_equal(umount(path), 0);
    assert_int_equal(below, ERROR_PRECONDITION);
    assert_int_equal(merged, ERROR_PRECONDITION);
    assert_int_equal(replaced, ERROR_BUSY);
    assert_int_equal(removed, ERROR_BUSY);
    assert_false(apply_exists(&fixture, "dir/file"));
}

struct swapper {
    int root_fd;
    atomic_bool stop;
};

/* Puts a link that leads out in place of the directory, again and again. */
static void *swap(void *argument)
{
    struct swapper *swapper = argument;
    (void) symlinkat("../outside", swapper->root_fd, "link");
    while (!atomic_load(&swapper->stop)) {
        (void) renameat2(swapper->root_fd, "dir", swapper->root_fd, "link", RENAME_EXCHANGE);
        (void) mkdirat(swapper->root_fd, "dir", 0755);
        (void) symlinkat("../outside", swapper->root_fd, "link");
    }
    return NULL;
}

static void other_writers_do_not_lead_it_out(void **state)
{
    APPLY_FIXTURE(fixture, state);
    fixture.without_layer = true; /* nor when others write */
    plant(&fixture);
    struct swapper swapper = {.root_fd = fixture.root_fd};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, swap, &swapper), 0);
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 20; i++) {
            layer_tar_dir(&fixture.tar, "dir", 0755);
            layer_tar_file(&fixture.tar, "dir/file", 0600, "changed");
            layer_tar_file(&fixture.tar, "dir/.wh.file", 0, "");
            layer_tar_link(&fixture.tar, "hard", "dir/file");
        }
        (void) apply_archive(&fixture);
    }
    atomic_store(&swapper.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    check_outside(&fixture);
}

/* limits */

static void names_have_at_most_255_bytes(void **state)
{
    APPLY_FIXTURE(fixture, state);
    char name[257];
    memset(name, 'n', sizeof name);
    name[255] = '\0';
    layer_tar_file(&fixture.tar, name, 0644, "x");
    apply_well(&fixture);
    assert_content(&fixture, name, "x");
    name[255] = 'n';
    name[256] = '\0';
    layer_tar_file(&fixture.tar, name, 0644, "x");
    apply_badly(&fixture, ERROR_INVALID, "nnn: cannot make it");
    owned(mem_free) char *below = mem_printf("%s/x", name);
    layer_tar_file(&fixture.tar, below, 0644, "x");
    apply_badly(&fixture, ERROR_INVALID, "too long");
}

static char *deep_path(size_t depth)
{
    char *path = mem_alloc(depth * 21 + 8);
    char *end = path;
    for (size_t i = 0; i < depth; i++)
        end += sprintf(end, "component-%08zu/", i);
    (void) strcpy(end, "file");
    return path;
}

static void paths_may_be_longer_than_path_max_but_not_too_deep(void **state)
{
    APPLY_FIXTURE(fixture, state);
    owned(mem_free) char *path = deep_path(500);
    owned(mem_free) char *hard = deep_path(400);
    assert_true(strlen(path) > 4096);
    layer_tar_file(&fixture.tar, path, 0644, "x");
    layer_tar_link(&fixture.tar, hard, path);
    apply_well(&fixture);
    owned(fd_close) int fd = fcntl(fixture.root_fd, F_DUPFD_CLOEXEC, 0);
    for (size_t i = 0; i < 500; i++) {
        char name[32];
        (void) snprintf(name, sizeof name, "component-%08zu", i);
        int next = fd_open_dir(fd, name);
        assert_true(next >= 0);
        (void) close(fd);
        fd = next;
    }
    struct stat found;
    assert_int_equal(fstatat(fd, "file", &found, 0), 0);
    assert_int_equal(found.st_nlink, 2);
    owned(mem_free) char *deeper = deep_path(5000);
    layer_tar_file(&fixture.tar, deeper, 0644, "x");
    apply_badly(&fixture, ERROR_NO_SPACE, "5001 components, more than 1024");
}

static void links_do_not_lead_deeper_than_the_limit(void **state)
{
    APPLY_FIXTURE(fixture, state);
    owned(mem_free) char *path = deep_path(40);
    layer_tar_symlink(&fixture.tar, "link", path);
    layer_tar_file(&fixture.tar, "link/file", 0644, "x");
    fixture.options.limits.path_depth = 40;
    apply_badly(&fixture, ERROR_NO_SPACE, "more than 40");
}

static void entries_are_counted(void **state)
{
    APPLY_FIXTURE(fixture, state);
    fixture.options.limits.entries = 3;
    for (int i = 0; i < 3; i++)
        layer_tar_dir(&fixture.tar, "dir", 0755);
    apply_well(&fixture);
    for (int i = 0; i < 4; i++)
        layer_tar_dir(&fixture.tar, "dir", 0755);
    apply_badly(&fixture, ERROR_NO_SPACE, "more than 3 entries");
}

static void opaque_whiteouts_do_not_look_without_end(void **state)
{
    APPLY_FIXTURE(fixture, state);
    fixture.options.limits.entries = 100;
    for (int i = 0; i < 30; i++) {
        char name[32];
        (void) snprintf(name, sizeof name, "dir/%d", i);
        layer_tar_file(&fixture.tar, name, 0644, "x");
    }
    for (int i = 0; i < 4; i++)
        layer_tar_file(&fixture.tar, "dir/.wh..wh..opq", 0, "");
    apply_badly(&fixture, ERROR_NO_SPACE, "opaque whiteouts");
    assert_true(apply_exists(&fixture, "dir/29"));
}

static void long_headers_are_refused_before_they_are_read(void **state)
{
    APPLY_FIXTURE(fixture, state);
    static const char types[] = "xgLK";
    for (const char *type = types; *type; type++) {
        layer_tar_entry(&fixture.tar, *type, "special", 0644, "", (uint64_t) 1 << 30);
        assert_int_equal(apply_bytes(&fixture), ERROR_NO_SPACE);
        layer_tar_entry(&fixture.tar, *type, "special", 0644, "", (uint64_t) 2 << 20);
        assert_int_equal(apply_bytes(&fixture), ERROR_INVALID);
        assert_non_null(strstr(fixture.error.message, "1 MiB"));
    }
    for (int i = 0; i < 40000; i++)
        layer_tar_special(&fixture.tar, 'g', "", 0);
    apply_badly(&fixture, ERROR_NO_SPACE, "16777216 bytes");
}

static void xattrs_are_bounded(void **state)
{
    APPLY_FIXTURE(fixture, state);
    owned(mem_free) char *value = mem_alloc(65537);
    layer_tar_pax(&fixture.tar, "SCHILY.xattr.user.big", value, 65537);
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    apply_badly(&fixture, ERROR_NO_SPACE, "user.big has more than 65536 bytes");
    for (int i = 0; i < 1025; i++) {
        char name[64];
        (void) snprintf(name, sizeof name, "SCHILY.xattr.user.%d", i);
        layer_tar_pax_text(&fixture.tar, name, "x");
    }
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    apply_badly(&fixture, ERROR_NO_SPACE, "more than 1024 extended attributes");
}

static void huge_files_are_refused(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_pax_text(&fixture.tar, "GNU.sparse.size", "900000000000000000");
    layer_tar_pax_text(&fixture.tar, "GNU.sparse.map", "0,1");
    layer_tar_file(&fixture.tar, "sparse", 0644, "x");
    apply_badly(&fixture, ERROR_NO_SPACE, "entry sparse");
    layer_tar_entry(&fixture.tar, '0', "big", 0644, "", 0);
    memcpy(fixture.tar.data + 124, "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12);
    layer_tar_fix(&fixture.tar, 0);
    apply_badly(&fixture, ERROR_INVALID, "number");
    fixture.options.limits.bytes = 3;
    layer_tar_file(&fixture.tar, "four", 0644, "1234");
    apply_badly(&fixture, ERROR_NO_SPACE, "entry four: the file has 4 bytes");
}

static void maps_of_many_pieces_are_refused(void **state)
{
    APPLY_FIXTURE(fixture, state);
    owned(mem_free) char *map = mem_alloc(8 << 20);
    char *end = map + sprintf(map, "1000000\n");
    while (end < map + (8 << 20) - 8)
        end += sprintf(end, "0\n0\n");
    layer_tar_pax_text(&fixture.tar, "GNU.sparse.major", "1");
    layer_tar_pax_text(&fixture.tar, "GNU.sparse.minor", "0");
    layer_tar_pax_text(&fixture.tar, "GNU.sparse.realsize", "10");
    layer_tar_file(&fixture.tar, "file", 0644, map);
    apply_badly(&fixture, ERROR_NO_SPACE, "1000000 pieces");
}

/* Sanitizers keep what was freed, and notes of all there is. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { GROWTH_MAX_KIB = 1 << 20 };
#else
enum { GROWTH_MAX_KIB = 16 << 10 };
#endif

static long resident_kib(void)
{
    char text[64] = "";
    long size = 0;
    long resident = 0;
    (void) fd_read_small(AT_FDCWD, "/proc/self/statm", text, sizeof text);
    (void) sscanf(text, "%ld %ld", &size, &resident);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void many_entries_need_little_memory(void **state)
{
    enum { ENTRIES = 60000 };
    APPLY_FIXTURE(fixture, state);
    for (int i = 0; i < ENTRIES; i++) {
        char name[64];
        (void) snprintf(name, sizeof name, "d%d/%d", i % 100, i);
        if (i % 2)
            layer_tar_entry(&fixture.tar, '1', name, 0644, "file", 0);
        else
            layer_tar_file(&fixture.tar, i ? name : "file", 0644, "");
        if (i % 1000 == 999)
            layer_tar_device(&fixture.tar, '4', "device", 8, (unsigned) i);
    }
    long before = resident_kib();
    apply_well(&fixture);
    long after = resident_kib();
    assert_true(after - before < GROWTH_MAX_KIB);
    assert_int_equal(fixture.result.entries, ENTRIES + ENTRIES / 1000);
}

static void errors_name_the_entry_in_one_line(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_link(&fixture.tar, "bad\n\x1b[2J\xff", "missing");
    apply_badly(&fixture, ERROR_INVALID, "entry bad\\x0a\\x1b[2J\\xff: ");
    owned(mem_free) char *path = deep_path(100);
    layer_tar_link(&fixture.tar, path, "missing");
    apply_badly(&fixture, ERROR_INVALID, "component-00000099/file: the target");
}

static void what_failed_can_be_removed(void **state)
{
    APPLY_FIXTURE(fixture, state);
    fixture.options.file_flags = true;
    layer_tar_pax_text(&fixture.tar, "SCHILY.fflags", "schg,uappnd,nodump");
    layer_tar_dir(&fixture.tar, "dir", 0);
    layer_tar_pax_text(&fixture.tar, "SCHILY.fflags", "schg");
    layer_tar_file(&fixture.tar, "dir/file", 0, "x");
    layer_tar_link(&fixture.tar, "dir/link", "dir/file");
    apply_well(&fixture);
    layer_tar_file(&fixture.tar, "cut", 0, "0123456789");
    fixture.tar.length = 515;
    assert_int_equal(apply_bytes(&fixture), ERROR_INVALID);
    assert_true(apply_exists(&fixture, "dir/link"));
    assert_int_equal(tree_remove(fixture.dir_fd, "root", NULL, NULL), 0);
}

static void it_stops_when_asked_to(void **state)
{
    APPLY_FIXTURE(fixture, state);
    struct cancel cancel = {0};
    cancel_request(&cancel);
    fixture.options.cancel = &cancel;
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    apply_badly(&fixture, ERROR_CANCELLED, "stop");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(nothing_leads_out),
        VOLUME_TEST(a_link_in_place_of_a_directory_is_not_written_through),
        VOLUME_TEST(a_hard_link_leads_not_out),
        VOLUME_TEST(attributes_are_not_set_through_a_link),
        VOLUME_TEST(nothing_is_unpacked_into_a_mount),
        VOLUME_TEST(other_writers_do_not_lead_it_out),
        VOLUME_TEST(names_have_at_most_255_bytes),
        VOLUME_TEST(paths_may_be_longer_than_path_max_but_not_too_deep),
        VOLUME_TEST(links_do_not_lead_deeper_than_the_limit),
        VOLUME_TEST(entries_are_counted),
        VOLUME_TEST(opaque_whiteouts_do_not_look_without_end),
        VOLUME_TEST(long_headers_are_refused_before_they_are_read),
        VOLUME_TEST(xattrs_are_bounded),
        VOLUME_TEST(huge_files_are_refused),
        VOLUME_TEST(maps_of_many_pieces_are_refused),
        VOLUME_TEST(many_entries_need_little_memory),
        VOLUME_TEST(errors_name_the_entry_in_one_line),
        VOLUME_TEST(what_failed_can_be_removed),
        VOLUME_TEST(it_stops_when_asked_to),
    };
    int failed = cmocka_run_group_tests_name("hostile archives", tests, volume_fixture_xfs,
                                             volume_fixture_unmount);
    apply_fixture_folds = true;
    return failed + cmocka_run_group_tests_name("hostile archives, as if names folded", tests,
                                                volume_fixture_xfs, volume_fixture_unmount);
}
