/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/apple_member.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "diff/entry_path.h"

#define PREFIX "._"

/* What macOS writes is some KiB; a resource fork may be more. */
#define HELD_MAX ((uint64_t) 16 << 20)

static atomic_ulong big_count;

void apple_member_clear(struct apple_member *member)
{
    appledouble_clear(&member->apple);
    struct pax_xattr *xattrs = (struct pax_xattr *) (uintptr_t) member->item.xattrs;
    for (size_t i = 0; i < member->item.xattr_count; i++) {
        char *name = (char *) (uintptr_t) xattrs[i].name;
        char *value = (char *) (uintptr_t) xattrs[i].value;
        mem_free(&name);
        mem_free(&value);
    }
    mem_free(&xattrs);
    char *name = (char *) (uintptr_t) member->item.name;
    char *flags = (char *) (uintptr_t) member->item.file_flags;
    mem_free(&name);
    mem_free(&flags);
    mem_free(&member->path);
    mem_free(&member->data);
    *member = APPLE_MEMBER_NULL;
}

bool apple_member_fits(const char *path, const struct archive_item *item, uint64_t max_bytes)
{
    const char *base = entry_path_base(path);
    return item->type == ENTRY_FILE && strncmp(base, PREFIX, strlen(PREFIX)) == 0 &&
           base[strlen(PREFIX)] && item->size <= HELD_MAX &&
           (max_bytes == 0 || item->size <= max_bytes);
}

static void copy_item(struct archive_item *out, const struct archive_item *item)
{
    struct pax_xattr *xattrs = mem_alloc_array(item->xattr_count, sizeof *xattrs);
    *out = *item;
    out->name = mem_strdup(item->name);
    out->file_flags = item->file_flags ? mem_strdup(item->file_flags) : NULL;
    for (size_t i = 0; i < item->xattr_count; i++) {
        const struct pax_xattr *from = &item->xattrs[i];
        char *value = mem_alloc(from->size + 1);
        memcpy(value, from->value, from->size);
        xattrs[i] =
            (struct pax_xattr){.name = mem_strdup(from->name), .value = value, .size = from->size};
    }
    out->xattrs = xattrs;
}

int apple_member_hold(struct apple_member *member, const char *path,
                      const struct archive_item *item, struct layer_archive *archive,
                      struct error *error)
{
    struct archive_piece piece = {0};
    apple_member_clear(member);
    member->path = mem_strdup(path);
    copy_item(&member->item, item);
    member->data = mem_alloc((size_t) item->size);
    member->size = (size_t) item->size;
    int code = layer_archive_data(archive, &piece, error);
    for (; code == 1; code = layer_archive_data(archive, &piece, error))
        memcpy(member->data + piece.offset, piece.data, piece.size);
    if (code == 0)
        member->valid = appledouble_read(&member->apple, member->data, member->size);
    return code;
}

bool apple_member_describes(const struct apple_member *member, const char *path)
{
    if (!member->path || !member->valid)
        return false;
    size_t parent = entry_path_parent_length(path);
    return parent == entry_path_parent_length(member->path) &&
           memcmp(path, member->path, parent) == 0 &&
           strcmp(entry_path_base(path), entry_path_base(member->path) + strlen(PREFIX)) == 0;
}

static bool has_name(const struct apple_xattrs *xattrs, const char *name)
{
    for (size_t i = 0; i < xattrs->count; i++)
        if (strcmp(xattrs->xattrs[i].name, name) == 0)
            return true;
    return false;
}

static bool is_too_big(const struct appledouble_attribute *attribute, uint64_t max_bytes)
{
    if (max_bytes == 0 || attribute->size <= max_bytes)
        return false;
    if (log_count(&big_count))
        log_warn("attribute %s of a layer left out: it has %zu bytes (logged once)",
                 attribute->name, attribute->size);
    return true;
}

void apple_xattrs_make(struct apple_xattrs *xattrs, const struct apple_member *member,
                       const struct archive_item *item, uint64_t max_bytes)
{
    const struct appledouble *apple = &member->apple;
    xattrs->count = item->xattr_count;
    xattrs->xattrs = mem_alloc_array(item->xattr_count + apple->count, sizeof *xattrs->xattrs);
    xattrs->names = mem_alloc_array(apple->count, APPLEDOUBLE_NAME_SIZE);
    if (item->xattr_count > 0)
        memcpy(xattrs->xattrs, item->xattrs, item->xattr_count * sizeof *xattrs->xattrs);
    for (size_t i = 0; i < apple->count; i++) {
        const struct appledouble_attribute *attribute = &apple->attributes[i];
        char *name = xattrs->names + i * APPLEDOUBLE_NAME_SIZE;
        if (is_too_big(attribute, max_bytes) || !appledouble_local_name(attribute->name, name) ||
            has_name(xattrs, name) || has_name(xattrs, attribute->name))
            continue;
        xattrs->xattrs[xattrs->count++] =
            (struct pax_xattr){.name = name, .value = attribute->value, .size = attribute->size};
    }
}

void apple_xattrs_clear(struct apple_xattrs *xattrs)
{
    mem_free(&xattrs->xattrs);
    mem_free(&xattrs->names);
    xattrs->count = 0;
}
