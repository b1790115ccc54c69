/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "diff/apply.h"
#include "diff/difference.h"
#include "diff/stream.h"
#include "tree/tree.h"

/*
 * For tests that are not written in C:
 *
 *   trees clone FROM TO                        prints the time of the clone, SECONDS.NANOSECONDS
 *   trees difference LEFT RIGHT [CLONED [EPOCH]]
 *                                              writes the layer to standard output; "-" is the
 *                                              empty tree, or a time that is not known; counts go
 *                                              to standard error
 *   trees apply ROOT                           applies the layer on standard input
 */
static int fail(const struct error *error)
{
    (void) fprintf(stderr, "%s\n", error->message);
    return 1;
}

static int clone(const char *from, const char *to)
{
    struct error error = {0};
    struct tree_clone_options options = {0};
    struct tree_clone_result result;
    if (tree_clone(AT_FDCWD, from, AT_FDCWD, to, &options, &result, &error) != 0)
        return fail(&error);
    printf("%" PRId64 ".%09d\n", result.time.seconds, result.time.nanos);
    return 0;
}

static ssize_t read_in(struct layer_source *source, void *buffer, size_t size, struct error *error)
{
    (void) source;
    size_t length = fread(buffer, 1, size, stdin);
    return length > 0 || feof(stdin) ? (ssize_t) length : error_errno(error, "cannot read");
}

static int apply(const char *root)
{
    struct error error = {0};
    struct layer_source source = {.read = read_in};
    struct layer_stream_options options = {.raw = true};
    struct layer_apply_options apply_options = {.limits = LAYER_LIMITS_DEFAULT};
    struct layer_apply_result result;
    struct layer_stream_result stream_result;
    owned(layer_stream_clear) struct layer_stream *stream = NULL;
    owned(fd_close) int root_fd = fd_open_dir(AT_FDCWD, root);
    if (root_fd < 0) {
        perror("cannot open the root");
        return 1;
    }
    if (layer_stream_open(&source, &options, &stream, &error) != 0 ||
        layer_apply(root_fd, stream, &apply_options, &result, &error) != 0 ||
        layer_stream_finish(stream, &stream_result, &error) != 0)
        return fail(&error);
    return 0;
}

static int write_out(struct layer_sink *sink, const void *data, size_t size, struct error *error)
{
    (void) sink;
    return fwrite(data, 1, size, stdout) == size ? 0 : error_errno(error, "cannot write");
}

static bool parse_time(const char *text, struct timestamp *out_time)
{
    char *end = NULL;
    out_time->seconds = strtoll(text, &end, 10);
    if (*end != '.')
        return false;
    out_time->nanos = (int32_t) strtol(end + 1, NULL, 10);
    return true;
}

static int difference(int argc, char **argv)
{
    struct error error = {0};
    struct timestamp cloned;
    struct layer_sink sink = {.write = write_out};
    struct layer_difference_result result = {0};
    owned(fd_close) int left_fd = strcmp(argv[2], "-") != 0 ? fd_open_dir(AT_FDCWD, argv[2]) : -1;
    owned(fd_close) int right_fd = fd_open_dir(AT_FDCWD, argv[3]);
    struct layer_difference_options options = {.left_fd = left_fd, .right_fd = right_fd};
    if (right_fd < 0 || (left_fd < 0 && strcmp(argv[2], "-") != 0)) {
        perror("cannot open a tree");
        return 1;
    }
    if (argc > 4 && parse_time(argv[4], &cloned))
        options.cloned = &cloned;
    if (argc > 5) {
        options.has_epoch = true;
        options.epoch_seconds = strtoll(argv[5], NULL, 10);
    }
    if (layer_difference(&options, &sink, &result, &error) != 0)
        return fail(&error);
    (void) fprintf(stderr, "entries %" PRIu64 " read %" PRIu64 " looked %" PRIu64 "\n",
                   result.entries, result.files_read, result.files_looked);
    return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "clone") == 0)
        return clone(argv[2], argv[3]);
    if (argc >= 4 && argc <= 6 && strcmp(argv[1], "difference") == 0)
        return difference(argc, argv);
    if (argc == 3 && strcmp(argv[1], "apply") == 0)
        return apply(argv[2]);
    (void) fprintf(stderr, "usage: trees clone FROM TO | apply ROOT | "
                           "difference LEFT RIGHT [CLONED [EPOCH]]\n");
    return 2;
}
