/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/apply.h"

#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "diff/archive.h"
#include "diff/entry.h"
#include "diff/entry_path.h"
#include "diff/unpacking.h"

static void unpacking_clear(struct unpacking *unpacking)
{
    places_clear(&unpacking->places);
    path_set_clear(&unpacking->unpacked);
}

static int check_depth(const struct layer_limits *limits, size_t depth, struct error *error)
{
    if (limits->path_depth > 0 && depth > limits->path_depth)
        return error_set(error, ERROR_NO_SPACE, "the name has %zu components, more than %u", depth,
                         limits->path_depth);
    return 0;
}

static int unpack_item(struct unpacking *unpacking, struct layer_archive *archive,
                       const struct archive_item *item, struct error *error)
{
    owned(mem_free) char *path = mem_alloc(strlen(item->name) + 1);
    const struct entry_content content = {.archive = archive};
    size_t depth = entry_path_clean(item->name, path);
    int code = check_depth(&unpacking->options->limits, depth, error);
    if (code == 0)
        code = entry_unpack(unpacking, path, item, &content, error);
    if (code < 0) {
        struct entry_text name;
        entry_text_make(&name, item->name);
        (void) error_wrap(error, "entry %s", name.text);
    }
    return code;
}

static int unpack_all(struct unpacking *unpacking, struct layer_archive *archive,
                      struct error *error)
{
    struct archive_item item;
    int code = layer_archive_next(archive, &item, error);
    for (; code == 1; code = layer_archive_next(archive, &item, error)) {
        unpacking->result.entries++;
        if (cancel_requested(unpacking->options->cancel))
            return error_set(error, ERROR_CANCELLED, "asked to stop");
        code = unpack_item(unpacking, archive, &item, error);
        if (code != 0)
            return code;
    }
    return code;
}

int layer_apply(int root_fd, struct layer_stream *stream, const struct layer_apply_options *options,
                struct layer_apply_result *out_result, struct error *error)
{
    owned(unpacking_clear) struct unpacking unpacking = {.options = options};
    owned(layer_archive_clear) struct layer_archive *archive = NULL;
    unpacking.places = places_new(root_fd, options->limits.path_depth, &unpacking.unpacked);
    int code = layer_archive_open(stream, &options->limits, &archive, error);
    if (code == 0)
        code = unpack_all(&unpacking, archive, error);
    if (code == 0)
        code = places_finish(unpacking.places, error);
    if (code == 0)
        *out_result = unpacking.result;
    return code;
}
