/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/unit/scratch.h"

static int set_up(void **state)
{
    static struct scratch scratch;
    scratch_make(&scratch);
    *state = &scratch;
    return 0;
}

static int tear_down(void **state)
{
    scratch_remove(*state);
    return 0;
}

static int folder(void **state)
{
    return ((struct scratch *) *state)->fd;
}

static mode_t mode_of(int dirfd, const char *name)
{
    struct stat status;
    assert_int_equal(fstatat(dirfd, name, &status, AT_SYMLINK_NOFOLLOW), 0);
    return status.st_mode & 07777;
}

static void closing_forgets_the_descriptor_and_keeps_errno(void **state)
{
    int fd = dup(folder(state));
    errno = EPROTO;
    int copy = fd;
    fd_close(&fd);
    assert_int_equal(fd, -1);
    assert_int_equal(fcntl(copy, F_GETFD), -1);
    errno = EPROTO;
    fd_close(&fd);
    assert_int_equal(errno, EPROTO);
}

static void taking_a_descriptor_leaves_nothing_to_close(void **state)
{
    int fd = dup(folder(state));
    int taken = fd_take(&fd);
    assert_int_equal(fd, -1);
    assert_true(fcntl(taken, F_GETFD) >= 0);
    fd_close(&taken);
}

static void a_directory_is_made_with_its_exact_mode(void **state)
{
    mode_t mask = umask(077);
    owned(fd_close) int fd = fd_make_dir(folder(state), "made", 0755, NULL);
    (void) umask(mask);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(mode_of(folder(state), "made"), 0755);
}

static void a_directory_that_is_there_is_opened_and_keeps_its_mode(void **state)
{
    assert_int_equal(mkdirat(folder(state), "there", 0700), 0);
    owned(fd_close) int fd = fd_make_dir(folder(state), "there", 0755, NULL);
    assert_true(fd >= 0);
    assert_int_equal(mode_of(folder(state), "there"), 0700);
}

static void a_link_is_never_opened_as_a_directory(void **state)
{
    assert_int_equal(symlinkat("/", folder(state), "link"), 0);
    assert_int_equal(fd_open_dir(folder(state), "link"), -1);
    struct error error;
    assert_int_equal(fd_make_dir(folder(state), "link", 0755, &error), ERROR_IO);
    assert_non_null(strstr(error.message, "cannot open the directory link"));
}

static void a_small_file_is_published_and_read(void **state)
{
    char text[16];
    assert_int_equal(fd_publish_small(folder(state), "f", "old", 3, NULL), 0);
    assert_int_equal(fd_publish_small(folder(state), "f", "newer", 5, NULL), 0);
    assert_int_equal(fd_read_small(folder(state), "f", text, sizeof text), 5);
    assert_string_equal(text, "newer");
    assert_int_equal(mode_of(folder(state), "f"), 0600);
    assert_int_equal(faccessat(folder(state), "f.new", F_OK, 0), -1);
}

static void reading_stops_at_the_size_of_the_buffer(void **state)
{
    char text[4];
    assert_int_equal(fd_publish_small(folder(state), "long", "abcdef", 6, NULL), 0);
    assert_int_equal(fd_read_small(folder(state), "long", text, sizeof text), 3);
    assert_string_equal(text, "abc");
}

static void what_cannot_be_read_says_why(void **state)
{
    char text[4];
    assert_int_equal(fd_read_small(folder(state), "missing", text, sizeof text), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(symlinkat("f", folder(state), "to-f"), 0);
    assert_int_equal(fd_read_small(folder(state), "to-f", text, sizeof text), -1);
    assert_int_equal(errno, ELOOP);
}

static void publishing_never_writes_through_a_link(void **state)
{
    assert_int_equal(fd_publish_small(folder(state), "victim", "safe", 4, NULL), 0);
    assert_int_equal(symlinkat("victim", folder(state), "g.new"), 0);
    struct error error;
    assert_int_equal(fd_publish_small(folder(state), "g", "x", 1, &error), ERROR_IO);
    assert_int_equal(error.sys, ELOOP);
    char text[16];
    assert_int_equal(fd_read_small(folder(state), "victim", text, sizeof text), 4);
}

/* Segments of 0, 1, 2, ... bytes of one stream, more than one call takes. */
static void many_segments_are_written_one_after_the_other(void **state)
{
    enum { SEGMENTS = 200, BYTES = SEGMENTS * (SEGMENTS - 1) / 2, OFFSET = 5 };
    static char data[BYTES];
    static char found[BYTES];
    struct iovec segments[SEGMENTS];
    size_t used = 0;
    for (size_t i = 0; i < BYTES; i++)
        data[i] = (char) (i * 31 % 251);
    for (size_t i = 0; i < SEGMENTS; used += i++)
        segments[i] = (struct iovec){data + used, i};
    owned(fd_close) int fd = openat(folder(state), "many", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(fd_write_all(fd, segments, SEGMENTS, OFFSET), 0);
    assert_int_equal(lseek(fd, 0, SEEK_END), OFFSET + BYTES);
    assert_int_equal(pread(fd, found, BYTES, OFFSET), BYTES);
    assert_memory_equal(found, data, BYTES);
}

static void nothing_is_written_without_bytes(void **state)
{
    struct iovec empty[100] = {{0}};
    owned(fd_close) int fd = openat(folder(state), "none", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(fd_write_all(fd, NULL, 0, 10), 0);
    assert_int_equal(fd_write_all(fd, empty, 100, 10), 0);
    assert_int_equal(lseek(fd, 0, SEEK_END), 0);
}

/* The kernel writes up to the limit and then fails. */
static void a_write_that_stops_half_way_fails(void **state)
{
    struct rlimit before;
    char data[100] = {0};
    struct iovec segments[] = {{data, 60}, {data, 40}};
    owned(fd_close) int fd = openat(folder(state), "limit", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit limit = {.rlim_cur = 70, .rlim_max = before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    errno = 0;
    int rc = fd_write_all(fd, segments, 2, 0);
    int sys = errno;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void) signal(SIGXFSZ, handler);
    assert_int_equal(rc, -1);
    assert_int_equal(sys, EFBIG);
    assert_int_equal(lseek(fd, 0, SEEK_END), 70);
    owned(fd_close) int read_only = openat(folder(state), "limit", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fd_write_all(read_only, segments, 2, 0), -1);
    assert_int_equal(errno, EBADF);
}

static void ids_are_decimal_without_leading_zeros(void **state)
{
    (void) state;
    assert_true(fd_name_is_id("1"));
    assert_true(fd_name_is_id("999999999999999999"));
    static const char *const others[] = {"",   "0",   "01", "-1", "+1",  "1 ",
                                         "1a", "0x1", ".",  "..", "1.2", "9999999999999999999"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(fd_name_is_id(others[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closing_forgets_the_descriptor_and_keeps_errno),
        cmocka_unit_test(taking_a_descriptor_leaves_nothing_to_close),
        cmocka_unit_test(a_directory_is_made_with_its_exact_mode),
        cmocka_unit_test(a_directory_that_is_there_is_opened_and_keeps_its_mode),
        cmocka_unit_test(a_link_is_never_opened_as_a_directory),
        cmocka_unit_test(a_small_file_is_published_and_read),
        cmocka_unit_test(reading_stops_at_the_size_of_the_buffer),
        cmocka_unit_test(what_cannot_be_read_says_why),
        cmocka_unit_test(publishing_never_writes_through_a_link),
        cmocka_unit_test(many_segments_are_written_one_after_the_other),
        cmocka_unit_test(nothing_is_written_without_bytes),
        cmocka_unit_test(a_write_that_stops_half_way_fails),
        cmocka_unit_test(ids_are_decimal_without_leading_zeros),
    };
    return cmocka_run_group_tests_name("base/fd", tests, set_up, tear_down);
}
