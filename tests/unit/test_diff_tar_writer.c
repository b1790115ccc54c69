/* SPDX-License-Identifier: Apache-2.0 */
/* Headers and data as bytes: every boundary of the writer's buffer, every field's limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "diff/tar_writer.h"
#include "tests/unit/difference_layer.h"

/* Adds an entry whose data is a part of bytes and a part of zeros. */
static void add_file(struct tar_writer *writer, size_t bytes, size_t zeros)
{
    struct error error = {0};
    struct tar_entry entry = {
        .type = TAR_FILE, .path = "file", .target = "", .mode = 0644, .size = bytes + zeros};
    assert_int_equal(tar_writer_begin(writer, &entry, &error), 0);
    while (bytes > 0) {
        char *room = NULL;
        size_t size = 0;
        assert_int_equal(tar_writer_room(writer, &room, &size, &error), 0);
        assert_true(size > 0);
        size = size < bytes ? size : bytes;
        memset(room, 'x', size);
        tar_writer_filled(writer, size);
        bytes -= size;
    }
    assert_int_equal(tar_writer_zeros(writer, zeros, &error), 0);
}

static void check_data(const char *data, size_t bytes, size_t zeros)
{
    for (size_t i = 0; i < bytes + zeros; i++)
        if (data[i] != (i < bytes ? 'x' : 0))
            fail_msg("byte %zu of %zu and %zu", i, bytes, zeros);
}

static void data_may_end_at_any_place_of_the_buffer(void **state)
{
    (void) state;
    for (size_t bytes = (128 << 10) - 1536; bytes <= (128 << 10) + 512; bytes += 64) {
        for (size_t zeros = 0; zeros < 1024; zeros += 511) {
            struct difference_layer memory;
            struct tar_writer writer;
            struct error error = {0};
            size_t block = (bytes + zeros + 511) / 512 * 512;
            difference_layer_init(&memory);
            tar_writer_init(&writer, &memory.sink);
            add_file(&writer, bytes, zeros);
            add_file(&writer, 10, 200000);
            assert_int_equal(tar_writer_finish(&writer, &error), 0);
            assert_int_equal(memory.size, 512 + block + 512 + 200192 + 1024);
            check_data(memory.data + 512, bytes, block - bytes);
            check_data(memory.data + 512 + block + 512, 10, 200182 + 1024);
            tar_writer_clear(&writer);
            difference_layer_clear(&memory);
        }
    }
}

/* The header as text: the pax records, then name, prefix and numbers of the last block. */
static char *header_text(const struct tar_entry *entry)
{
    struct error error = {0};
    owned(mem_free) char *header = NULL;
    size_t size = 0;
    if (tar_header_make(entry, &header, &size, &error) != 0)
        fail_msg("%s", error.message);
    const char *last = header + size - TAR_BLOCK;
    char *records = size > TAR_BLOCK ? header + TAR_BLOCK : header + size - 1;
    return mem_printf("%.*s%.100s|%.155s|%.8s|%.8s|%.12s|%.12s", (int) (last - records), records,
                      last, last + 345, last + 108, last + 116, last + 124, last + 136);
}

static void assert_header(const struct tar_entry *entry, const char *expected)
{
    owned(mem_free) char *text = header_text(entry);
    assert_string_equal(text, expected);
}

static struct tar_entry plain_entry(void)
{
    return (struct tar_entry){.type = TAR_FILE, .path = "p", .target = "", .mode = S_IFREG | 0640};
}

static void numbers_that_do_not_fit_are_records(void **state)
{
    (void) state;
    struct tar_entry entry = plain_entry();
    entry.uid = entry.gid = 2097151;
    entry.size = 8589934591;
    entry.mtime_seconds = 8589934591;
    assert_header(&entry, "p||7777777|7777777|77777777777|77777777777");
    entry.uid++;
    entry.gid++;
    entry.size++;
    entry.mtime_seconds++;
    assert_header(&entry, "15 gid=2097152\n20 mtime=8589934592\n19 size=8589934592\n"
                          "15 uid=2097152\np||0000000|0000000|00000000000|00000000000");
    entry = plain_entry();
    entry.mtime_seconds = -1;
    assert_header(&entry, "12 mtime=-1\np||0000000|0000000|00000000000|00000000000");
}

static void long_names_are_cut_at_a_slash_or_are_records(void **state)
{
    (void) state;
    char name[300];
    struct tar_entry entry = plain_entry();
    entry.path = name;
    memset(name, 'a', sizeof name);
    name[100] = '\0';
    owned(mem_free) char *whole = mem_printf("%s||0000000|0000000|00000000000|00000000000", name);
    assert_header(&entry, whole);
    name[100] = '/';
    name[201] = '\0';
    owned(mem_free) char *cut =
        mem_printf("%.100s|%.100s|0000000|0000000|00000000000|00000000000", name + 101, name);
    assert_header(&entry, cut);

    name[100] = 'a'; /* no slash at the right place */
    owned(mem_free) char *record =
        mem_printf("211 path=%s\n%.100s||0000000|0000000|00000000000|00000000000", name, name);
    assert_header(&entry, record);

    name[100] = '/';
    name[50] = '\xe9'; /* not in ustar, and not in the name of the header */
    owned(mem_free) char *bytes = mem_printf(
        "211 path=%s\n%.50s%.49s||0000000|0000000|00000000000|00000000000", name, name, name + 51);
    assert_header(&entry, bytes);
}

static void a_record_counts_its_own_length(void **state)
{
    (void) state;
    /* "SCHILY.xattr.n" and its three separators take 17 bytes; lengths around 100 and 1000. */
    for (size_t size = 70; size < 1100; size++) {
        owned(mem_free) char *value = mem_alloc(size + 1);
        struct xattr_value xattr = {.name = (char[]){"n"}, .value = value, .size = size};
        struct xattr_set set = {.values = &xattr, .count = 1};
        struct tar_entry entry = plain_entry();
        struct error error = {0};
        owned(mem_free) char *header = NULL;
        size_t header_size = 0;
        size_t length = 0;
        int digits = 0;
        entry.xattrs = &set;
        assert_int_equal(tar_header_make(&entry, &header, &header_size, &error), 0);
        assert_int_equal(sscanf(header + TAR_BLOCK, "%zu%n", &length, &digits), 1);
        assert_int_equal(length, (size_t) digits + 17 + size);
        assert_int_equal(header[TAR_BLOCK + length - 1], '\n');
    }
}

static void more_records_than_readers_take_are_refused(void **state)
{
    (void) state;
    struct error error = {0};
    struct tar_entry entry = plain_entry();
    owned(mem_free) char *path = mem_alloc((1 << 20) + 1);
    char *header = NULL;
    size_t size = 0;
    memset(path, 'x', 1 << 20);
    entry.path = path;
    assert_int_equal(tar_header_make(&entry, &header, &size, &error), ERROR_PRECONDITION);
    path[(1 << 20) - 20] = '\0';
    assert_int_equal(tar_header_make(&entry, &header, &size, &error), 0);
    mem_free(&header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_may_end_at_any_place_of_the_buffer),
        cmocka_unit_test(numbers_that_do_not_fit_are_records),
        cmocka_unit_test(long_names_are_cut_at_a_slash_or_are_records),
        cmocka_unit_test(a_record_counts_its_own_length),
        cmocka_unit_test(more_records_than_readers_take_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
