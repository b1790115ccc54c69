/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/apply.h"

#include <string.h>

#include "base/bulk.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/flush_ahead.h"
#include "base/mem.h"
#include "diff/apple_member.h"
#include "diff/archive.h"
#include "diff/entry.h"
#include "diff/entry_path.h"
#include "diff/file_flags.h"
#include "diff/unpacking.h"

struct apply {
    struct unpacking unpacking;
    struct layer_archive *archive;
    struct apple_member held;
    struct file_flags flags;
    struct bulk *bulk;
};

static void apply_clear(struct apply *apply)
{
    places_clear(&apply->unpacking.places);
    path_set_clear(&apply->unpacking.unpacked);
    collisions_clear(&apply->unpacking.collisions);
    touched_clear(&apply->unpacking.touched);
    layer_archive_clear(&apply->archive);
    apple_member_clear(&apply->held);
    file_flags_clear(&apply->flags);
    flush_ahead_clear(&apply->unpacking.flush);
    bulk_end(&apply->bulk);
}

/* Prepends the entry's name to an error. */
static int name_error(int code, const char *entry, struct error *error)
{
    struct entry_text name;
    if (code >= 0)
        return code;
    entry_text_make(&name, entry);
    (void) error_wrap(error, "entry %s", name.text);
    return code;
}

static int check_depth(const struct layer_limits *limits, size_t depth, struct error *error)
{
    if (limits->path_depth > 0 && depth > limits->path_depth)
        return error_set(error, ERROR_NO_SPACE, "the name has %zu components, more than %u", depth,
                         limits->path_depth);
    return 0;
}

static int unpack(struct apply *apply, const char *path, const struct archive_item *item,
                  const struct entry_content *content, struct error *error)
{
    const struct layer_apply_options *options = apply->unpacking.options;
    unsigned flags = options->file_flags && item->file_flags
                         ? file_flags_parse(layer_system, item->file_flags)
                         : 0;
    int code = entry_unpack(&apply->unpacking, path, item, content, error);
    if (code == 0 && flags != 0 && *path)
        code = file_flags_note(&apply->flags, path, flags, options->limits.header_bytes, error);
    return name_error(code, item->name, error);
}

/* The member that was held is a file like others. */
static int release_held(struct apply *apply, struct error *error)
{
    struct apple_member *held = &apply->held;
    if (!held->path)
        return 0;
    const struct entry_content content = {.data = held->data, .size = held->size};
    int code = unpack(apply, held->path, &held->item, &content, error);
    apple_member_clear(held);
    return code;
}

static int unpack_described(struct apply *apply, const char *path, const struct archive_item *item,
                            const struct entry_content *content, struct error *error)
{
    owned(apple_xattrs_clear) struct apple_xattrs xattrs = {0};
    struct archive_item described = *item;
    apple_xattrs_make(&xattrs, &apply->held, item, apply->unpacking.options->limits.xattr_bytes);
    described.xattrs = xattrs.xattrs;
    described.xattr_count = xattrs.count;
    int code = unpack(apply, path, &described, content, error);
    apple_member_clear(&apply->held);
    return code;
}

static int take_item(struct apply *apply, const struct archive_item *item, struct error *error)
{
    const struct layer_apply_options *options = apply->unpacking.options;
    owned(mem_free) char *path = mem_alloc(strlen(item->name) + 1);
    const struct entry_content content = {.archive = apply->archive};
    size_t depth = entry_path_clean(item->name, path);
    int code = check_depth(&options->limits, depth, error);
    if (code == 0 && cancel_requested(options->cancel))
        code = error_set(error, ERROR_CANCELLED, "asked to stop");
    if (code != 0)
        return name_error(code, item->name, error);
    if (apple_member_describes(&apply->held, path))
        return unpack_described(apply, path, item, &content, error);
    code = release_held(apply, error);
    if (code != 0)
        return code;
    if (options->appledouble == LAYER_APPLEDOUBLE_APPLY &&
        apple_member_fits(path, item, options->limits.header_bytes))
        return name_error(apple_member_hold(&apply->held, path, item, apply->archive, error),
                          item->name, error);
    return unpack(apply, path, item, &content, error);
}

static int take_all(struct apply *apply, struct error *error)
{
    struct archive_item item;
    int code = layer_archive_next(apply->archive, &item, error);
    for (; code == 1; code = layer_archive_next(apply->archive, &item, error)) {
        apply->unpacking.result.entries++;
        bulk_note(apply->bulk);
        if (fault_point("apply.entry") != 0)
            return error_errno(error, "cannot go on");
        code = take_item(apply, &item, error);
        if (code != 0)
            return code;
    }
    return code == 0 ? release_held(apply, error) : code;
}

int layer_apply(int root_fd, struct layer_stream *stream, const struct layer_apply_options *options,
                struct layer_apply_result *out_result, struct error *error)
{
    owned(apply_clear) struct apply apply = {
        .bulk = bulk_begin(root_fd),
        .unpacking = {
            .options = options,
            .collisions = {.rules = &options->names, .max_looked = options->limits.entries},
            .touched = {.list = options->touched}}};
    struct places *places =
        places_new(root_fd, options->limits.path_depth, &apply.unpacking.unpacked,
                   &apply.unpacking.collisions, &apply.unpacking.touched);
    apply.unpacking.places = places;
    if (options->flush_ahead)
        apply.unpacking.flush = flush_ahead_new(root_fd);
    int code = layer_archive_open(stream, &options->limits, &apply.archive, error);
    if (code == 0)
        code = take_all(&apply, error);
    if (code == 0)
        code = collisions_check(&apply.unpacking.collisions, error);
    if (code == 0)
        code = places_finish(places, error);
    if (code == 0)
        code = file_flags_set(&apply.flags, places, error);
    apply.unpacking.result.touched_lost = apply.unpacking.touched.lost;
    if (code == 0)
        *out_result = apply.unpacking.result;
    return code;
}
