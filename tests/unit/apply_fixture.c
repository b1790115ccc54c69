/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/apply_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tests/unit/layer_memory.h"
#include "tests/unit/volume_fixture.h"
#include "tree/layer.h"
#include "tree/tree.h"

bool apply_fixture_folds;

void apply_fixture_make(struct apply_fixture *fixture, void **state)
{
    const struct volume_fixture *volume = volume_fixture(state);
    *fixture = (struct apply_fixture){
        .dir_fd = volume->fd,
        .options = {.limits = LAYER_LIMITS_DEFAULT, .names.spelling.folds = apply_fixture_folds}};
    fixture->root_fd = fd_make_dir(volume->fd, "root", 0755, NULL);
    assert_true(fixture->root_fd >= 0);
}

void apply_fixture_clear(struct apply_fixture *fixture)
{
    layer_tar_clear(&fixture->tar);
    fd_close(&fixture->root_fd);
}

static void remove_tree(const struct apply_fixture *fixture, const char *name)
{
    assert_int_equal(tree_remove(fixture->dir_fd, name, NULL, NULL), 0);
}

static void clone_tree(const struct apply_fixture *fixture, const char *from, const char *to)
{
    const struct tree_clone_options options = {0};
    struct tree_clone_result result;
    struct error error = {0};
    if (tree_clone(fixture->dir_fd, from, fixture->dir_fd, to, &options, &result, &error) != 0)
        fail_msg("%s", error.message);
}

/* The same by way of a layer: what it gives on top of the tree before must be the tree now. */
static void assert_layer_gives_the_same(const struct apply_fixture *fixture,
                                        struct path_list *touched)
{
    const struct layer_options options = {.threads = 2};
    const struct timestamp since = {0};
    struct timestamp time;
    struct layer_size size;
    struct error error = {0};
    owned(fd_close) int layer_fd = fd_make_dir(fixture->dir_fd, "layer", 0700, NULL);
    int code = layer_capture(fixture->root_fd, layer_fd, touched, &since, &options, &size, &error);
    if (code == 0) {
        owned(mem_free) char *difference = NULL;
        clone_tree(fixture, "before", "after");
        owned(fd_close) int after_fd = fd_open_dir(fixture->dir_fd, "after");
        code = layers_put(&layer_fd, 1, after_fd, &options, &time, &error);
        if (code == 0 && tree_compare(fixture->dir_fd, "root", fixture->dir_fd, "after",
                                      &difference, &error) == 1)
            fail_msg("the layer gives another tree: %s", difference);
    }
    if (code < 0)
        fail_msg("%s", error.message);
    remove_tree(fixture, "after");
    remove_tree(fixture, "layer");
}

int apply_bytes(struct apply_fixture *fixture)
{
    owned(path_list_clear) struct path_list touched = PATH_LIST_NULL;
    struct memory_source source;
    owned(layer_stream_clear) struct layer_stream *stream = NULL;
    const struct layer_stream_options options = {.raw = true};
    fixture->error = (struct error){0};
    memory_source_init(&source, fixture->tar.data, fixture->tar.length);
    assert_int_equal(layer_stream_open(&source.base, &options, &stream, NULL), 0);
    fixture->options.touched = fixture->without_layer ? NULL : &touched;
    if (!fixture->without_layer)
        clone_tree(fixture, "root", "before");
    int code =
        layer_apply(fixture->root_fd, stream, &fixture->options, &fixture->result, &fixture->error);
    layer_stream_clear(&stream);
    if (code == 0 && !fixture->without_layer && !fixture->result.touched_lost)
        assert_layer_gives_the_same(fixture, &touched);
    remove_tree(fixture, "before");
    fixture->tar.length = 0;
    return code;
}

int apply_archive(struct apply_fixture *fixture)
{
    layer_tar_end(&fixture->tar);
    return apply_bytes(fixture);
}

void apply_well(struct apply_fixture *fixture)
{
    if (apply_archive(fixture) != 0)
        fail_msg("%s", fixture->error.message);
}

void apply_badly(struct apply_fixture *fixture, int code, const char *text)
{
    int got = apply_archive(fixture);
    if (got != code || (int) fixture->error.code != code || !strstr(fixture->error.message, text))
        fail_msg("got %d, \"%s\" and not %d, \"%s\"", got, fixture->error.message, code, text);
}

bool apply_exists(const struct apply_fixture *fixture, const char *path)
{
    return faccessat(fixture->root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

struct stat apply_stat(const struct apply_fixture *fixture, const char *path)
{
    struct stat found;
    if (fstatat(fixture->root_fd, path, &found, AT_SYMLINK_NOFOLLOW) != 0)
        fail_msg("%s: %s", path, strerror(errno)); /* NOLINT(concurrency-mt-unsafe) */
    return found;
}

void assert_content(const struct apply_fixture *fixture, const char *path, const char *content)
{
    owned(fd_close) int fd = openat(fixture->root_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    owned(mem_free) char *buffer = mem_alloc(strlen(content) + 2);
    if (fd < 0)
        fail_msg("%s is missing", path);
    ssize_t got = read(fd, buffer, strlen(content) + 1);
    assert_int_equal(got, strlen(content));
    assert_string_equal(buffer, content);
}

void assert_target(const struct apply_fixture *fixture, const char *path, const char *target)
{
    char buffer[4096];
    ssize_t got = readlinkat(fixture->root_fd, path, buffer, sizeof buffer - 1);
    assert_int_equal(got, strlen(target));
    buffer[got] = '\0';
    assert_string_equal(buffer, target);
}
