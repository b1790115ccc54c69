/* SPDX-License-Identifier: Apache-2.0 */
/* AppleDouble members and file flags. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/fs.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "diff/appledouble.h"
#include "diff/file_flags.h"
#include "tests/unit/apply_fixture.h"
#include "tests/unit/platform.h"
#include "tests/unit/volume_fixture.h"
#include "tree/os.h"

/* A file being made: a Finder's information of 32 times 'f', attributes, a resource fork "fork". */
struct apple {
    uint8_t data[1024];
    size_t size;
    unsigned attributes;
};

enum { FINDER_OFFSET = 50, ATTRIBUTES_OFFSET = FINDER_OFFSET + 34, VALUES_OFFSET = 600 };

static void put(struct apple *apple, size_t offset, uint32_t value, size_t bytes)
{
    for (size_t i = bytes; i > 0; i--, value >>= 8)
        apple->data[offset + i - 1] = (uint8_t) value;
}

static void apple_begin(struct apple *apple)
{
    *apple = (struct apple){.size = ATTRIBUTES_OFFSET + 36};
    put(apple, 0, 0x00051607, 4);
    put(apple, 4, 0x00020000, 4);
    memcpy(apple->data + 8, "Mac OS X        ", 16);
    put(apple, 24, 2, 2);
    put(apple, 26, 9, 4);
    put(apple, 30, FINDER_OFFSET, 4);
    put(apple, 34, VALUES_OFFSET + 300 - FINDER_OFFSET, 4);
    put(apple, 38, 2, 4);
    put(apple, 42, 1000, 4);
    put(apple, 46, 4, 4);
    memcpy(apple->data + 1000, "fork", 4);
    memset(apple->data + FINDER_OFFSET, 'f', 32);
    memcpy(apple->data + ATTRIBUTES_OFFSET, "ATTR", 4);
}

static void apple_add(struct apple *apple, const char *name, const char *value)
{
    size_t value_offset = VALUES_OFFSET + (size_t) apple->attributes * 32;
    size_t length = strlen(name) + 1;
    put(apple, apple->size, (uint32_t) value_offset, 4);
    put(apple, apple->size + 4, (uint32_t) strlen(value), 4);
    put(apple, apple->size + 10, (uint32_t) length, 1);
    memcpy(apple->data + apple->size + 11, name, length);
    memcpy(apple->data + value_offset, value, strlen(value));
    apple->size += (11 + length + 3) & ~(size_t) 3;
    apple->attributes++;
    put(apple, ATTRIBUTES_OFFSET + 34, apple->attributes, 2);
}

static void apple_make(struct apple *apple)
{
    apple_begin(apple);
    apple_add(apple, "com.apple.metadata:_kMDItemUserTags", "tags");
    apple_add(apple, "x", "");
    apple_add(apple, "com.apple.provenance", "secret");
    apple_add(apple, "com.apple.quarantine", "secret");
    apple_add(apple, APPLEDOUBLE_ACL, "!#acl 1\n");
}

static void add_member(struct apply_fixture *fixture, const char *name, const struct apple *apple)
{
    layer_tar_entry(&fixture->tar, '0', name, 0640, "", sizeof apple->data);
    layer_tar_data(&fixture->tar, apple->data, sizeof apple->data);
}

/* Apple's attributes have their own names on macOS; how the emulation keeps those, tests/darwin. */
static char *local_name(const char *name)
{
    bool apple = strncmp(name, "user.com.apple.", 15) == 0;
    return platform_is_darwin() && apple ? mem_printf("trusted.darwin.x.%s", name + 5)
                                         : mem_strdup(name);
}

static void assert_xattr(const struct apply_fixture *fixture, const char *path, const char *name,
                         const char *value)
{
    char found[256];
    owned(mem_free) char *local = local_name(name);
    owned(fd_close) int fd = openat(fixture->root_fd, path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fgetxattr(fd, local, found, sizeof found);
    if (!value) {
        assert_true(size < 0);
        return;
    }
    assert_int_equal(size, strlen(value));
    assert_memory_equal(found, value, strlen(value));
}

static void all_parts_are_read(void **state)
{
    struct apple apple;
    struct appledouble read;
    (void) state;
    apple_make(&apple);
    assert_true(appledouble_read(&read, apple.data, sizeof apple.data));
    static const struct {
        const char *name;
        const char *value;
    } expected[] = {{"com.apple.FinderInfo", "ffffffffffffffffffffffffffffffff"},
                    {"com.apple.metadata:_kMDItemUserTags", "tags"},
                    {"x", ""},
                    {"com.apple.provenance", "secret"},
                    {"com.apple.quarantine", "secret"},
                    {APPLEDOUBLE_ACL, "!#acl 1\n"},
                    {"com.apple.ResourceFork", "fork"}};
    assert_int_equal(read.count, sizeof expected / sizeof expected[0]);
    for (size_t i = 0; i < read.count; i++) {
        assert_string_equal(read.attributes[i].name, expected[i].name);
        assert_int_equal(read.attributes[i].size, strlen(expected[i].value));
        assert_memory_equal(read.attributes[i].value, expected[i].value, read.attributes[i].size);
    }
    appledouble_clear(&read);
    memset(apple.data + FINDER_OFFSET, 0, 32);
    assert_true(appledouble_read(&read, apple.data, sizeof apple.data));
    assert_int_equal(read.count, sizeof expected / sizeof expected[0] - 1);
    appledouble_clear(&read);
}

static void malformed_files_are_no_appledouble(void **state)
{
    static const struct {
        size_t offset;
        uint32_t value;
        size_t bytes;
    } bad[] = {
        {0, 0x00051600, 4},                      /* magic */
        {4, 0x00010000, 4},                      /* version */
        {24, 100, 2},                            /* entries beyond the end */
        {30, 0xfffffff0, 4},                     /* an entry beyond the end */
        {34, 0xffffffff, 4},                     /* too long */
        {34, 31, 4},                             /* too short */
        {46, 2000, 4},                           /* the fork */
        {ATTRIBUTES_OFFSET + 34, 2000, 2},       /* attributes: too many */
        {ATTRIBUTES_OFFSET + 34, 200, 2},        /* more than there are */
        {ATTRIBUTES_OFFSET + 36, 0xffffffff, 4}, /* a value beyond the end */
        {ATTRIBUTES_OFFSET + 40, 0xffffffff, 4}, /* too long */
        {ATTRIBUTES_OFFSET + 46, 1, 1},          /* no name */
        {ATTRIBUTES_OFFSET + 46, 20, 1},         /* a name without end */
        {ATTRIBUTES_OFFSET + 50, 0, 1},          /* a name that ends early */
    };
    struct apple apple;
    struct appledouble read;
    (void) state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        apple_make(&apple);
        put(&apple, bad[i].offset, bad[i].value, bad[i].bytes);
        if (appledouble_read(&read, apple.data, sizeof apple.data))
            fail_msg("case %zu is accepted", i);
    }
    apple_make(&apple);
    for (size_t size = 0; size < 1004; size++) {
        owned(mem_free) uint8_t *cut = mem_alloc(size);
        memcpy(cut, apple.data, size);
        assert_false(appledouble_read(&read, cut, size));
    }
}

static void a_member_becomes_what_it_describes(void **state)
{
    (void) volume_fixture_with(state, VOLUME_XATTRS);
    APPLY_FIXTURE(fixture, state);
    struct apple apple;
    apple_make(&apple);
    fixture.options.appledouble = LAYER_APPLEDOUBLE_APPLY;
    add_member(&fixture, "dir/._file", &apple);
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.user.x", "pax");
    layer_tar_file(&fixture.tar, "dir/file", 0644, "content");
    add_member(&fixture, "./._dir", &apple);
    layer_tar_dir(&fixture.tar, "dir/", 0755);
    apply_well(&fixture);
    assert_content(&fixture, "dir/file", "content");
    assert_false(apply_exists(&fixture, "dir/._file"));
    assert_false(apply_exists(&fixture, "._dir"));
    assert_xattr(&fixture, "dir/file", "user.com.apple.metadata:_kMDItemUserTags", "tags");
    assert_xattr(&fixture, "dir/file", "user.com.apple.ResourceFork", "fork");
    assert_xattr(&fixture, "dir/file", "user.com.apple.FinderInfo",
                 "ffffffffffffffffffffffffffffffff");
    assert_xattr(&fixture, "dir/file", "user.x", "pax");
    assert_xattr(&fixture, "dir/file", "user.com.apple.provenance", NULL);
    assert_xattr(&fixture, "dir/file", "user.com.apple.quarantine", NULL);
    assert_xattr(&fixture, "dir/file", "user." APPLEDOUBLE_ACL, NULL);
    assert_xattr(&fixture, "dir", platform_is_darwin() ? "trusted.darwin.x.x" : "user.x", "");
    assert_xattr(&fixture, "dir/file", "trusted.darwin.acl",
                 platform_is_darwin() ? "!#acl 1\n" : NULL);
    assert_int_equal(fixture.result.entries, 4);
}

static void a_member_that_describes_nothing_is_a_file(void **state)
{
    (void) volume_fixture_with(state, VOLUME_XATTRS);
    APPLY_FIXTURE(fixture, state);
    struct apple apple;
    apple_make(&apple);
    fixture.options.appledouble = LAYER_APPLEDOUBLE_APPLY;
    fixture.tar.uid = 4;
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.user.x", "pax");
    add_member(&fixture, "dir/._file", &apple);
    fixture.tar.uid = 0;
    layer_tar_file(&fixture.tar, "file", 0644, "x");           /* elsewhere */
    layer_tar_file(&fixture.tar, "._other", 0600, "no magic"); /* no such file */
    layer_tar_file(&fixture.tar, "other", 0644, "x");
    layer_tar_file(&fixture.tar, "._", 0600, "no name");
    layer_tar_symlink(&fixture.tar, "._link", "x");
    layer_tar_file(&fixture.tar, "link", 0644, "x");
    add_member(&fixture, "._one", &apple);
    add_member(&fixture, "._two", &apple);
    add_member(&fixture, "._last", &apple);
    apply_well(&fixture);
    struct stat found = apply_stat(&fixture, "dir/._file");
    assert_int_equal(found.st_mode, S_IFREG | 0640);
    assert_int_equal(found.st_uid, 4);
    assert_int_equal(found.st_size, sizeof apple.data);
    assert_int_equal(found.st_mtim.tv_sec, 1000000);
    assert_xattr(&fixture, "dir/._file", "user.x", "pax");
    assert_content(&fixture, "._other", "no magic");
    assert_content(&fixture, "._", "no name");
    assert_target(&fixture, "._link", "x");
    assert_true(apply_exists(&fixture, "._one"));
    assert_true(apply_exists(&fixture, "._two"));
    assert_true(apply_exists(&fixture, "._last"));
    owned(fd_close) int fd = openat(fixture.root_fd, "dir/._file", O_RDONLY | O_CLOEXEC);
    uint8_t content[sizeof apple.data];
    assert_int_equal(read(fd, content, sizeof content), sizeof content);
    assert_memory_equal(content, apple.data, sizeof content);
}

static void members_stay_files_unless_asked_for(void **state)
{
    APPLY_FIXTURE(fixture, state);
    struct apple apple;
    apple_make(&apple);
    add_member(&fixture, "._file", &apple);
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    apply_well(&fixture);
    assert_true(apply_exists(&fixture, "._file"));
    assert_xattr(&fixture, "file", "user.x", NULL);
}

static void big_members_and_big_attributes_are_no_problem(void **state)
{
    (void) volume_fixture_with(state, VOLUME_XATTRS);
    APPLY_FIXTURE(fixture, state);
    struct apple apple;
    apple_make(&apple);
    fixture.options.appledouble = LAYER_APPLEDOUBLE_APPLY;
    fixture.options.limits.xattr_bytes = 31;
    add_member(&fixture, "._file", &apple);
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    apply_well(&fixture);
    assert_xattr(&fixture, "file", "user.com.apple.FinderInfo", NULL);
    assert_xattr(&fixture, "file", "user.com.apple.ResourceFork", "fork");
    fixture.options.limits.header_bytes = sizeof apple.data - 1;
    add_member(&fixture, "._other", &apple);
    layer_tar_file(&fixture.tar, "other", 0644, "x");
    apply_well(&fixture);
    assert_true(apply_exists(&fixture, "._other"));
    assert_xattr(&fixture, "other", "user.com.apple.ResourceFork", NULL);
}

/* flags */

static int raw_flags(const struct apply_fixture *fixture, const char *path)
{
    int flags = 0;
    owned(fd_close) int fd = openat(fixture->root_fd, path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
    return flags & (FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL);
}

static void words_are_flags(void **state)
{
    (void) state;
    assert_int_equal(file_flags_parse(LAYER_LINUX, ""), 0);
    assert_int_equal(file_flags_parse(LAYER_LINUX, "hidden,arch,opaque,noschg"), 0);
    assert_int_equal(file_flags_parse(LAYER_LINUX, "nodump"), OS_FLAG_NODUMP);
    assert_int_equal(file_flags_parse(LAYER_LINUX, "hidden,uchg,,nodump"),
                     OS_FLAG_IMMUTABLE | OS_FLAG_NODUMP);
    assert_int_equal(file_flags_parse(LAYER_LINUX, "sappnd,schgx"), OS_FLAG_APPEND);
    assert_int_equal(file_flags_parse(LAYER_DARWIN, "schg,uhidden,arch opaque"),
                     OS_FLAG_IMMUTABLE | OS_FLAG_HIDDEN | OS_FLAG_ARCHIVED | OS_FLAG_OPAQUE);
}

static void flags_are_words(void **state)
{
    (void) state;
    char text[FILE_FLAGS_TEXT_SIZE];
    file_flags_text(0, text);
    assert_string_equal(text, "");
    file_flags_text(OS_FLAG_IMMUTABLE | OS_FLAG_HIDDEN, text);
    assert_string_equal(text, "hidden,uchg");
    file_flags_text(~0U, text);
    assert_string_equal(text, "arch,hidden,nodump,opaque,sappnd,schg,uappnd,uchg");
    assert_int_equal(file_flags_carried(LAYER_LINUX, ~0U), 0);
    assert_int_equal(file_flags_carried(LAYER_DARWIN, OS_FLAG_NODUMP | OS_FLAG_SYSTEM_NOUNLINK),
                     OS_FLAG_NODUMP);
}

static void flags_are_set_when_all_is_done(void **state)
{
    APPLY_FIXTURE(fixture, state);
    fixture.options.file_flags = true;
    layer_tar_pax_text(&fixture.tar, "SCHILY.fflags", "uchg");
    layer_tar_dir(&fixture.tar, "dir", 0755);
    layer_tar_pax_text(&fixture.tar, "SCHILY.fflags", "schg,nodump");
    layer_tar_file(&fixture.tar, "dir/file", 0644, "x");
    layer_tar_link(&fixture.tar, "dir/link", "dir/file");
    layer_tar_pax_text(&fixture.tar, "SCHILY.fflags", "uappnd");
    layer_tar_file(&fixture.tar, "dir/log", 0644, "x");
    layer_tar_pax_text(&fixture.tar, "SCHILY.fflags", "schg");
    layer_tar_file(&fixture.tar, "gone", 0644, "x");
    layer_tar_file(&fixture.tar, ".wh.gone", 0644, "");
    layer_tar_pax_text(&fixture.tar, "SCHILY.fflags", "schg");
    layer_tar_symlink(&fixture.tar, "dir/symlink", "log");
    apply_well(&fixture);
    assert_int_equal(raw_flags(&fixture, "dir"), FS_IMMUTABLE_FL);
    assert_int_equal(raw_flags(&fixture, "dir/link"), FS_IMMUTABLE_FL | FS_NODUMP_FL);
    assert_int_equal(raw_flags(&fixture, "dir/log"), FS_APPEND_FL);
    assert_int_equal(apply_stat(&fixture, "dir").st_mtim.tv_sec, 1000000);
    layer_tar_file(&fixture.tar, "dir", 0644, "replaced");
    apply_well(&fixture);
    assert_content(&fixture, "dir", "replaced");
}

static void flags_stay_out_unless_asked_for(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_pax_text(&fixture.tar, "SCHILY.fflags", "schg");
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    apply_well(&fixture);
    assert_int_equal(raw_flags(&fixture, "file"), 0);
}

static void notes_of_flags_are_bounded(void **state)
{
    APPLY_FIXTURE(fixture, state);
    fixture.options.file_flags = true;
    fixture.options.limits.header_bytes = 4096;
    for (int i = 0; i < 300; i++) {
        layer_tar_pax_text(&fixture.tar, "SCHILY.fflags", "nodump");
        layer_tar_file(&fixture.tar, "file", 0644, "x");
    }
    apply_badly(&fixture, ERROR_NO_SPACE, "flags");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_parts_are_read),
        cmocka_unit_test(malformed_files_are_no_appledouble),
        VOLUME_TEST(a_member_becomes_what_it_describes),
        VOLUME_TEST(a_member_that_describes_nothing_is_a_file),
        VOLUME_TEST(members_stay_files_unless_asked_for),
        VOLUME_TEST(big_members_and_big_attributes_are_no_problem),
        cmocka_unit_test(words_are_flags),
        cmocka_unit_test(flags_are_words),
        VOLUME_TEST(flags_are_set_when_all_is_done),
        VOLUME_TEST(flags_stay_out_unless_asked_for),
        VOLUME_TEST(notes_of_flags_are_bounded),
    };
    return cmocka_run_group_tests_name("AppleDouble and flags", tests, volume_fixture_xfs,
                                       volume_fixture_unmount);
}
