/* SPDX-License-Identifier: Apache-2.0 */
/* What an archive may look like, and what is refused: contract 7.4, rules 6 and 14. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tests/unit/apply_fixture.h"
#include "tests/unit/platform.h"
#include "tests/unit/volume_fixture.h"

enum { BLOCK = 512 };

static void bytes_badly(struct apply_fixture *fixture, const char *text)
{
    int code = apply_bytes(fixture);
    if (code != ERROR_INVALID || !strstr(fixture->error.message, text))
        fail_msg("got %d, \"%s\"", code, fixture->error.message);
}

static void bytes_well(struct apply_fixture *fixture)
{
    if (apply_bytes(fixture) != 0)
        fail_msg("%s", fixture->error.message);
}

static void an_empty_stream_is_an_empty_layer(void **state)
{
    APPLY_FIXTURE(fixture, state);
    bytes_well(&fixture);
    assert_int_equal(fixture.result.entries, 0);
    apply_well(&fixture);
    assert_int_equal(fixture.result.entries, 0);
}

static void the_end_may_have_zeros_or_not(void **state)
{
    static const char zeros[BLOCK];
    APPLY_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "none", 0644, "x");
    bytes_well(&fixture);
    layer_tar_file(&fixture.tar, "one", 0644, "x");
    layer_tar_raw(&fixture.tar, zeros, BLOCK);
    bytes_well(&fixture);
    layer_tar_file(&fixture.tar, "two", 0644, "x");
    layer_tar_end(&fixture.tar);
    layer_tar_raw(&fixture.tar, "what follows does not matter", 28);
    bytes_well(&fixture);
    layer_tar_file(&fixture.tar, "padding", 0644, "x");
    fixture.tar.length -= BLOCK - 1;
    bytes_well(&fixture);
    assert_content(&fixture, "padding", "x");
    assert_content(&fixture, "two", "x");
}

static void one_block_of_zeros_and_data_is_an_error(void **state)
{
    static const char zeros[BLOCK];
    APPLY_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    layer_tar_raw(&fixture.tar, zeros, BLOCK);
    layer_tar_file(&fixture.tar, "hidden", 0644, "x");
    bytes_badly(&fixture, "zeros");
    assert_false(apply_exists(&fixture, "hidden"));
}

static void a_cut_is_an_error(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "file", 0644, "0123456789");
    fixture.tar.length = BLOCK + 5;
    bytes_badly(&fixture, "ends within a file");
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    fixture.tar.length = BLOCK - 1;
    bytes_badly(&fixture, "ends within a header");
    layer_tar_special(&fixture.tar, 'L', "name", 4);
    fixture.tar.length = BLOCK + 2;
    bytes_badly(&fixture, "ends within a header");
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    layer_tar_raw(&fixture.tar, "\0", 1);
    bytes_badly(&fixture, "ends within a header");
}

static void a_wrong_checksum_is_an_error(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    layer_tar_file(&fixture.tar, "changed", 0644, "x");
    fixture.tar.data[2 * BLOCK] ^= 1;
    bytes_badly(&fixture, "checksum");
    assert_content(&fixture, "file", "x");
    for (int i = 0; i < 2 * BLOCK; i++)
        layer_tar_raw(&fixture.tar, "\x55", 1);
    bytes_badly(&fixture, "checksum");
}

static void sums_of_signed_bytes_are_accepted(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "f\xc3\xbc", 0644, "x");
    int sum = 0;
    memset(fixture.tar.data + 148, ' ', 8);
    for (int i = 0; i < BLOCK; i++)
        sum += (signed char) fixture.tar.data[i];
    (void) snprintf(fixture.tar.data + 148, 8, "%06o", (unsigned) sum);
    apply_well(&fixture);
    assert_content(&fixture, "f\xc3\xbc", "x");
}

static void malformed_numbers_are_refused(void **state)
{
    static const struct {
        int offset;
        const char *text;
    } bad[] = {{100, "00006x4"},
               {108, "-000001"},
               {116, "9999999"},
               {124, "0000000001z"},
               {136, "\1\1\1\1"},
               {329, "abcdefg"},
               {124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"},
               {124, "\x80\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00"},
               {108, "\xff\xff\xff\xff\xff\xff\xff\xff"}};
    APPLY_FIXTURE(fixture, state);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t length = (unsigned char) bad[i].text[0] < 0x80 ? strlen(bad[i].text)
                        : bad[i].offset == 124                ? 12
                                                              : 8;
        layer_tar_file(&fixture.tar, "file", 0644, "x");
        memcpy(fixture.tar.data + bad[i].offset, bad[i].text, length);
        layer_tar_fix(&fixture.tar, 0);
        apply_badly(&fixture, ERROR_INVALID, "number");
    }
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    memset(fixture.tar.data + 100, 0, 8);
    memcpy(fixture.tar.data + 124, "  1 \0\0\0\0\0\0\0\0", 12);
    layer_tar_fix(&fixture.tar, 0);
    apply_well(&fixture);
    assert_content(&fixture, "file", "x");
}

static void numbers_may_be_of_base_256(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    memcpy(fixture.tar.data + 108, "\x80\0\0\0\xff\xff\xff\xfe", 8);
    memcpy(fixture.tar.data + 136, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12);
    layer_tar_fix(&fixture.tar, 0);
    apply_well(&fixture);
    assert_int_equal(apply_stat(&fixture, "file").st_uid, 0xfffffffe);
    assert_int_equal(apply_stat(&fixture, "file").st_mtim.tv_sec, 0);
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    memcpy(fixture.tar.data + 136, "\xc1\0\0\0\0\0\0\0\0\0\0\1", 12);
    layer_tar_fix(&fixture.tar, 0);
    apply_badly(&fixture, ERROR_INVALID, "number");
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    memcpy(fixture.tar.data + 136, "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12);
    layer_tar_fix(&fixture.tar, 0);
    apply_well(&fixture);
    assert_int_equal(apply_stat(&fixture, "file").st_mtim.tv_sec, 0);
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    memcpy(fixture.tar.data + 116, "\x80\0\0\0\xff\xff\xff\xff", 8);
    layer_tar_fix(&fixture.tar, 0);
    apply_badly(&fixture, ERROR_INVALID, "owner");
}

static void old_archives_have_no_magic(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    memset(fixture.tar.data + 257, 0, 8);
    memset(fixture.tar.data + 345, 'p', 10);
    layer_tar_fix(&fixture.tar, 0);
    apply_well(&fixture);
    assert_content(&fixture, "file", "x");
}

static void names_may_have_a_prefix(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    memcpy(fixture.tar.data + 345, "some/where", 10);
    layer_tar_fix(&fixture.tar, 0);
    apply_well(&fixture);
    assert_content(&fixture, "some/where/file", "x");
}

static void names_may_be_long(void **state)
{
    APPLY_FIXTURE(fixture, state);
    char name[300];
    memset(name, 'n', sizeof name);
    name[200] = '/';
    name[sizeof name - 1] = '\0';
    layer_tar_special(&fixture.tar, 'L', name, sizeof name);
    layer_tar_entry(&fixture.tar, '0', "short", 0644, "", 1);
    layer_tar_data(&fixture.tar, "x", 1);
    layer_tar_special(&fixture.tar, 'K', name, sizeof name);
    layer_tar_special(&fixture.tar, 'L', "link", 5);
    layer_tar_entry(&fixture.tar, '2', "short", 0777, "short", 0);
    layer_tar_special(&fixture.tar, 'K', name, sizeof name - 1);
    layer_tar_entry(&fixture.tar, '1', "hard", 0644, "short", 0);
    layer_tar_file(&fixture.tar, "after", 0644, "y");
    apply_well(&fixture);
    assert_content(&fixture, name, "x");
    assert_target(&fixture, "link", name);
    assert_content(&fixture, "hard", "x");
    assert_content(&fixture, "after", "y");
    assert_false(apply_exists(&fixture, "short"));
}

static void names_are_bytes(void **state)
{
    static const char *const names[] = {"nfd-e\xcc\x81", "nfc-\xc3\xa9", "new\nline",  "...",
                                        "latin-\xe9",    "\xff\xfe",     "..namedfork"};
    const size_t count = sizeof names / sizeof names[0] - (platform_is_darwin() ? 3 : 0);
    APPLY_FIXTURE(fixture, state);
    for (size_t i = 0; i < count; i++) {
        layer_tar_file(&fixture.tar, names[i], 0644, names[i]);
        owned(mem_free) char *through = mem_printf("pax-%s", names[i]);
        layer_tar_pax_text(&fixture.tar, "path", through);
        layer_tar_file(&fixture.tar, "other", 0644, names[i]);
        layer_tar_pax_text(&fixture.tar, "linkpath", names[i]);
        owned(mem_free) char *link = mem_printf("link-%s", names[i]);
        layer_tar_symlink(&fixture.tar, link, "other");
    }
    apply_well(&fixture);
    for (size_t i = 0; i < count; i++) {
        owned(mem_free) char *through = mem_printf("pax-%s", names[i]);
        owned(mem_free) char *link = mem_printf("link-%s", names[i]);
        assert_content(&fixture, names[i], names[i]);
        assert_content(&fixture, through, names[i]);
        assert_target(&fixture, link, names[i]);
    }
    assert_false(apply_exists(&fixture, "other"));
}

/* As Go writes names without any ASCII: nothing of them is in the header. */
static void a_record_alone_may_have_the_name(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_pax_text(&fixture.tar, "path", "\xe6\x96\x87");
    layer_tar_file(&fixture.tar, "", 0644, "x");
    layer_tar_pax_text(&fixture.tar, "linkpath", "\xe6\x96\x87");
    layer_tar_symlink(&fixture.tar, "soft", "");
    layer_tar_pax_text(&fixture.tar, "linkpath", "\xe6\x96\x87");
    layer_tar_link(&fixture.tar, "hard", "");
    layer_tar_special(&fixture.tar, 'K', "\xe6\x96\x87", 4);
    layer_tar_link(&fixture.tar, "gnu", "");
    apply_well(&fixture);
    assert_target(&fixture, "soft", "\xe6\x96\x87");
    assert_content(&fixture, "hard", "x");
    assert_content(&fixture, "gnu", "x");
}

static void pax_records_count_more_than_the_header(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_pax_text(&fixture.tar, "comment", "nothing");
    layer_tar_pax_text(&fixture.tar, "uid", "70000");
    layer_tar_pax_text(&fixture.tar, "gid", "4000000000");
    layer_tar_pax_text(&fixture.tar, "path", "first");
    layer_tar_pax_text(&fixture.tar, "path", "name");
    layer_tar_pax_text(&fixture.tar, "size", "2");
    layer_tar_pax_text(&fixture.tar, "uname", "somebody");
    layer_tar_pax_text(&fixture.tar, "hdrcharset", "nonsense");
    layer_tar_pax_text(&fixture.tar, "SCHILY.realsize", "1000000");
    layer_tar_pax_text(&fixture.tar, "SUN.holesdata", " 5 nonsense");
    layer_tar_entry(&fixture.tar, '0', "other", 0644, "", 100000);
    layer_tar_data(&fixture.tar, "xy", 2);
    layer_tar_pax_text(&fixture.tar, "path", "");
    layer_tar_pax_text(&fixture.tar, "size", "");
    layer_tar_pax_text(&fixture.tar, "mtime", "");
    layer_tar_file(&fixture.tar, "empty", 0644, "x");
    apply_well(&fixture);
    assert_content(&fixture, "name", "xy");
    assert_int_equal(apply_stat(&fixture, "name").st_uid, 70000);
    assert_int_equal(apply_stat(&fixture, "name").st_gid, 4000000000);
    assert_content(&fixture, "empty", "x");
    assert_int_equal(apply_stat(&fixture, "empty").st_mtim.tv_sec, 1000000);
}

static void of_two_pax_headers_the_second_counts(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_special(&fixture.tar, 'x', "14 path=first\n", 14);
    layer_tar_special(&fixture.tar, 'x', "15 path=second\n", 15);
    layer_tar_file(&fixture.tar, "header", 0644, "x");
    apply_well(&fixture);
    assert_content(&fixture, "second", "x");
    assert_false(apply_exists(&fixture, "first"));
}

static void empty_names_and_records_leave_it_to_the_header(void **state)
{
    static const char *const keys[] = {"size", "path", "linkpath", "uid"};
    static const char *const values[] = {"1", "other", "other", "5"};
    APPLY_FIXTURE(fixture, state);
    layer_tar_special(&fixture.tar, 'K', "", 1);
    layer_tar_special(&fixture.tar, 'L', "", 0);
    layer_tar_symlink(&fixture.tar, "gnu", "target");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        layer_tar_pax_text(&fixture.tar, keys[i], values[i]);
        layer_tar_pax_text(&fixture.tar, "mtime", "7");
        layer_tar_pax_text(&fixture.tar, keys[i], values[i]);
        layer_tar_pax_text(&fixture.tar, keys[i], "");
        if (strcmp(keys[i], "linkpath") == 0)
            layer_tar_symlink(&fixture.tar, keys[i], "target");
        else
            layer_tar_file(&fixture.tar, keys[i], 0644, "hello");
    }
    apply_well(&fixture);
    assert_target(&fixture, "gnu", "target");
    assert_content(&fixture, "size", "hello");
    assert_content(&fixture, "path", "hello");
    assert_target(&fixture, "linkpath", "target");
    assert_int_equal(apply_stat(&fixture, "uid").st_uid, 0);
    assert_int_equal(apply_stat(&fixture, "path").st_mtim.tv_sec, 7);
}

static void malformed_pax_records_are_refused(void **state)
{
    static const char *const texts[] = {"x",
                                        "14 path=first",
                                        "15 path=first\n",
                                        "13 path=first\n",
                                        "014 path=first\n",
                                        "0 path=first\n",
                                        "14 =pathfirst\n",
                                        "14 path-first\n",
                                        "path=first\n",
                                        "-4 path=first\n",
                                        "99999999999999999999 a=b\n",
                                        "5 a=\nx",
                                        "9 uid=1x\n",
                                        "9 uid=-1\n",
                                        "12 size=-12\n",
                                        "27 size=9223372036854775808\n",
                                        "11 mtime=x\n",
                                        "14 mtime=1.2x\n",
                                        "12 mtime=.5\n",
                                        "12 atime=--\n",
                                        "22 GNU.sparse.map=1,2,\n",
                                        "24 GNU.sparse.size=1000x\n"};
    APPLY_FIXTURE(fixture, state);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        layer_tar_special(&fixture.tar, 'x', texts[i], strlen(texts[i]));
        layer_tar_file(&fixture.tar, "file", 0644, "x");
        apply_badly(&fixture, ERROR_INVALID, "pax");
    }
    layer_tar_special(&fixture.tar, 'x', "14 path=fi\0st\n", 14);
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    apply_badly(&fixture, ERROR_INVALID, "pax");
    layer_tar_special(&fixture.tar, 'x', "14 pa\0h=first\n", 14);
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    apply_badly(&fixture, ERROR_INVALID, "pax");
    assert_false(apply_exists(&fixture, "file"));
}

/* 3 bytes at 1000, 2 at 5000, 10000 in all. */
static void check_sparse(struct apply_fixture *fixture, const char *name)
{
    owned(fd_close) int fd = openat(fixture->root_fd, name, O_RDONLY | O_CLOEXEC);
    char expected[10000] = {0};
    char found[10001];
    memcpy(expected + 1000, "abc", 3);
    memcpy(expected + 5000, "de", 2);
    assert_int_equal(read(fd, found, sizeof found), sizeof expected);
    assert_memory_equal(found, expected, sizeof expected);
}

static void sparse_files_of_format_0_0_are_unpacked(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_pax_text(&fixture.tar, "GNU.sparse.size", "10000");
    layer_tar_pax_text(&fixture.tar, "GNU.sparse.numblocks", "2");
    layer_tar_pax_text(&fixture.tar, "GNU.sparse.offset", "1000");
    layer_tar_pax_text(&fixture.tar, "GNU.sparse.numbytes", "3");
    layer_tar_pax_text(&fixture.tar, "GNU.sparse.offset", "5000");
    layer_tar_pax_text(&fixture.tar, "GNU.sparse.numbytes", "2");
    layer_tar_file(&fixture.tar, "file", 0644, "abcde");
    apply_well(&fixture);
    check_sparse(&fixture, "file");
}

static void sparse_files_of_format_0_1_are_unpacked(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_pax_text(&fixture.tar, "GNU.sparse.size", "10000");
    layer_tar_pax_text(&fixture.tar, "GNU.sparse.numblocks", "3");
    layer_tar_pax_text(&fixture.tar, "GNU.sparse.name", "file");
    layer_tar_pax_text(&fixture.tar, "GNU.sparse.map", "1000,3,5000,2,10000,0");
    layer_tar_file(&fixture.tar, "GNUSparseFile.1/file", 0644, "abcde");
    apply_well(&fixture);
    check_sparse(&fixture, "file");
    assert_int_equal(fixture.result.bytes, 5);
}

static void add_sparse_1_0(struct apply_fixture *fixture, const char *map, const char *data)
{
    char block[BLOCK] = {0};
    size_t size = BLOCK + strlen(data);
    memcpy(block, map, strlen(map));
    layer_tar_pax_text(&fixture->tar, "GNU.sparse.major", "1");
    layer_tar_pax_text(&fixture->tar, "GNU.sparse.minor", "0");
    layer_tar_pax_text(&fixture->tar, "GNU.sparse.name", "file");
    layer_tar_pax_text(&fixture->tar, "GNU.sparse.realsize", "10000");
    layer_tar_entry(&fixture->tar, '0', "GNUSparseFile.1/file", 0644, "", size);
    layer_tar_data(&fixture->tar, block, BLOCK);
    layer_tar_data(&fixture->tar, data, strlen(data));
}

static void sparse_files_of_format_1_0_are_unpacked(void **state)
{
    APPLY_FIXTURE(fixture, state);
    add_sparse_1_0(&fixture, "3\n1000\n3\n5000\n2\n10000\n0\n", "abcde");
    layer_tar_file(&fixture.tar, "after", 0644, "x");
    apply_well(&fixture);
    check_sparse(&fixture, "file");
    assert_content(&fixture, "after", "x");
    struct stat found = apply_stat(&fixture, "file");
    assert_true(found.st_blocks * 512 < found.st_size);
    add_sparse_1_0(&fixture, "0\n", "");
    apply_well(&fixture);
    assert_int_equal(apply_stat(&fixture, "file").st_size, 10000);
}

static void maps_that_do_not_fit_are_refused(void **state)
{
    static const struct {
        const char *map;
        const char *data;
    } bad[] = {
        {"2\n1000\n3\n5000\n2\n", "abcd"},   /* too little data */
        {"2\n1000\n3\n5000\n2\n", "abcdef"}, /* too much */
        {"2\n5000\n2\n1000\n3\n", "deabc"},  /* not in order */
        {"2\n1000\n3\n1002\n2\n", "abcde"},  /* one piece over the other */
        {"1\n9999\n5\n", "abcde"},           /* beyond the end */
        {"1\n9223372036854775807\n5\n", "abcde"},
        {"3\n1000\n3\n", "abcde"},
        {"-1\n", "abcde"},
        {"#1\n1\n1000\n3\n", "abcde"},
        {"", "abcde"},
        {"4000000000\n1000\n3\n", "abcde"},
    };
    APPLY_FIXTURE(fixture, state);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        add_sparse_1_0(&fixture, bad[i].map, bad[i].data);
        layer_tar_file(&fixture.tar, "after", 0644, "x");
        int code = apply_archive(&fixture);
        if (code != ERROR_INVALID && code != ERROR_NO_SPACE)
            fail_msg("map %zu: %d", i, code);
        assert_false(apply_exists(&fixture, "after"));
    }
    layer_tar_pax_text(&fixture.tar, "GNU.sparse.map", "0,1");
    layer_tar_dir(&fixture.tar, "dir", 0755);
    apply_badly(&fixture, ERROR_INVALID, "sparse");
    layer_tar_pax_text(&fixture.tar, "GNU.sparse.major", "2");
    layer_tar_pax_text(&fixture.tar, "GNU.sparse.minor", "0");
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    apply_badly(&fixture, ERROR_INVALID, "archive");
}

static void a_file_whose_name_ends_in_a_slash_is_a_file_or_refused(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_entry(&fixture.tar, '0', "file/", 0644, "", 0);
    apply_well(&fixture);
    assert_true(S_ISREG(apply_stat(&fixture, "file").st_mode));
    layer_tar_file(&fixture.tar, "other/", 0644, "data");
    layer_tar_file(&fixture.tar, "after", 0644, "x");
    assert_int_equal(apply_archive(&fixture), ERROR_INVALID);
    assert_false(apply_exists(&fixture, "after"));
}

static void data_may_come_in_any_pieces(void **state)
{
    APPLY_FIXTURE(fixture, state);
    size_t size = (3 << 20) + 17;
    owned(mem_free) char *data = mem_alloc(size + 1);
    for (size_t i = 0; i < size; i++)
        data[i] = (char) ('a' + i / 7 % 26);
    layer_tar_entry(&fixture.tar, '0', "big", 0644, "", size);
    layer_tar_data(&fixture.tar, data, size);
    layer_tar_file(&fixture.tar, "after", 0644, "x");
    fixture.options.flush_ahead = true;
    apply_well(&fixture);
    assert_content(&fixture, "big", data);
    assert_content(&fixture, "after", "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(an_empty_stream_is_an_empty_layer),
        VOLUME_TEST(the_end_may_have_zeros_or_not),
        VOLUME_TEST(one_block_of_zeros_and_data_is_an_error),
        VOLUME_TEST(a_cut_is_an_error),
        VOLUME_TEST(a_wrong_checksum_is_an_error),
        VOLUME_TEST(sums_of_signed_bytes_are_accepted),
        VOLUME_TEST(malformed_numbers_are_refused),
        VOLUME_TEST(numbers_may_be_of_base_256),
        VOLUME_TEST(old_archives_have_no_magic),
        VOLUME_TEST(names_may_have_a_prefix),
        VOLUME_TEST(names_may_be_long),
        VOLUME_TEST(names_are_bytes),
        VOLUME_TEST(a_record_alone_may_have_the_name),
        VOLUME_TEST(pax_records_count_more_than_the_header),
        VOLUME_TEST(of_two_pax_headers_the_second_counts),
        VOLUME_TEST(empty_names_and_records_leave_it_to_the_header),
        VOLUME_TEST(malformed_pax_records_are_refused),
        VOLUME_TEST(sparse_files_of_format_0_0_are_unpacked),
        VOLUME_TEST(sparse_files_of_format_0_1_are_unpacked),
        VOLUME_TEST(sparse_files_of_format_1_0_are_unpacked),
        VOLUME_TEST(maps_that_do_not_fit_are_refused),
        VOLUME_TEST(a_file_whose_name_ends_in_a_slash_is_a_file_or_refused),
        VOLUME_TEST(data_may_come_in_any_pieces),
    };
    return cmocka_run_group_tests_name("formats of archives", tests, volume_fixture_xfs,
                                       volume_fixture_unmount);
}
