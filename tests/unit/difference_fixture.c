/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "tests/unit/difference_fixture.h"
#include "tests/unit/difference_layer.h"
#include "tests/unit/tree_sample.h"
#include "tree/tree.h"

struct difference_trees difference_start(void **state)
{
    struct difference_trees trees = {.fixture = volume_fixture(state)};
    trees.fd = trees.fixture->fd;
    tree_sample_dir(trees.fd, "L");
    return trees;
}

void difference_wait_for_a_tick(void)
{
    struct timespec pause = {.tv_nsec = 20000000};
    (void) nanosleep(&pause, NULL);
}

void difference_clone_left(struct difference_trees *trees)
{
    struct error error = {0};
    struct tree_clone_options options = {.threads = 1};
    struct tree_clone_result result;
    if (tree_clone(trees->fd, "L", trees->fd, "R", &options, &result, &error) != 0)
        fail_msg("%s", error.message);
    difference_wait_for_a_tick();
    assert_int_equal(fchmodat(trees->fd, "R", 0755, 0), 0); /* as the last step of a clone */
    struct stat root;
    assert_int_equal(fstatat(trees->fd, "R", &root, 0), 0);
    trees->cloned =
        (struct timestamp){.seconds = root.st_ctim.tv_sec, .nanos = (int32_t) root.st_ctim.tv_nsec};
    difference_wait_for_a_tick();
}

void difference_assert_layer(int fd, const char *left, const struct timestamp *cloned,
                             const char *expected, uint64_t files_read)
{
    struct error error = {0};
    struct difference_layer memory;
    difference_layer_init(&memory);
    if (difference_layer_make(&memory, fd, left, "R", cloned, &error) != 0)
        fail_msg("%s", error.message);
    owned(mem_free) char *list = difference_layer_list(&memory);
    assert_string_equal(list, expected);
    if (files_read != UINT64_MAX)
        assert_int_equal(memory.result.files_read, files_read);
    difference_layer_clear(&memory);
}

void difference_assert(const struct difference_trees *trees, const char *expected)
{
    difference_assert_layer(trees->fd, "L", NULL, expected, UINT64_MAX);
    difference_assert_layer(trees->fd, "L", &trees->cloned, expected, UINT64_MAX);
}
