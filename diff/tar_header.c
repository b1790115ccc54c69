/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/tar_header.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "diff/file_flags.h"

/* A header block (POSIX ustar). */
struct ustar {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char target[100];
    char magic[6];
    char version[2];
    char user[32];
    char group[32];
    char device_major[8];
    char device_minor[8];
    char prefix[155];
    char unused[12];
};

_Static_assert(sizeof(struct ustar) == TAR_BLOCK, "a header is one block");

enum { PAX_MAX = 1 << 20 };

/* The records of a pax header, in byte order of their keys. */
struct records {
    char *text;
    size_t size;
};

static void records_clear(struct records *records)
{
    mem_free(&records->text);
}

static size_t count_digits(size_t number)
{
    size_t digits = 1;
    for (; number >= 10; number /= 10)
        digits++;
    return digits;
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static void add_record(struct records *records, const char *prefix, const char *key,
                       const void *value, size_t value_size)
{
    size_t rest = strlen(prefix) + strlen(key) + value_size + 3;
    size_t length = rest + count_digits(rest);
    if (rest + count_digits(length) != length)
        length = rest + count_digits(length);
    records->text = mem_resize(records->text, records->size + length + 1, 1);
    char *at = records->text + records->size;
    at += sprintf(at, "%zu %s%s=", length, prefix, key);
    memcpy(at, value, value_size);
    at[value_size] = '\n';
    records->size += length;
}

static void add_text(struct records *records, const char *key, const char *value)
{
    add_record(records, "", key, value, strlen(value));
}

static void add_number(struct records *records, const char *key, int64_t value)
{
    char text[24];
    (void) snprintf(text, sizeof text, "%" PRId64, value);
    add_text(records, key, text);
}

static bool is_ascii(const char *text)
{
    for (; *text; text++)
        if ((unsigned char) *text >= 0x80)
            return false;
    return true;
}

/* field_size counts the NUL at the end. */
static bool fits_octal(size_t field_size, int64_t value)
{
    return value >= 0 && value < (int64_t) 1 << 3 * (field_size - 1);
}

/* Where a long path can be cut into the prefix and the name of ustar, or NULL. */
static const char *find_cut(const char *path)
{
    const struct ustar *ustar = NULL;
    size_t length = strlen(path);
    size_t window = length;
    if (length <= sizeof ustar->name || !is_ascii(path))
        return NULL;
    if (window > sizeof ustar->prefix + 1)
        window = sizeof ustar->prefix + 1;
    else if (path[window - 1] == '/')
        window--;
    const char *cut = mem_last(path, '/', window);
    if (!cut || cut == path || (size_t) (cut - path) > sizeof ustar->prefix)
        return NULL;
    size_t name_length = length - (size_t) (cut - path) - 1;
    return name_length > 0 && name_length <= sizeof ustar->name ? cut : NULL;
}

static bool is_plain(const char *text, size_t field_size)
{
    return strlen(text) <= field_size && is_ascii(text);
}

/* Collects what ustar fields cannot hold; *out_needed tells that ustar will not do. */
static void collect(const struct tar_entry *entry, struct records *records, bool *out_needed)
{
    const struct ustar *ustar = NULL;
    size_t xattr_count = entry->xattrs ? entry->xattrs->count : 0;
    char flags[FILE_FLAGS_TEXT_SIZE];
    file_flags_text(entry->file_flags, flags);
    if (flags[0])
        add_text(records, "SCHILY.fflags", flags);
    for (size_t i = 0; i < xattr_count; i++) {
        const struct xattr_value *xattr = &entry->xattrs->values[i];
        add_record(records, "SCHILY.xattr.", xattr->name, xattr->value, xattr->size);
    }
    if (!fits_octal(sizeof ustar->gid, entry->gid))
        add_number(records, "gid", entry->gid);
    if (!is_plain(entry->target, sizeof ustar->target))
        add_text(records, "linkpath", entry->target);
    if (!fits_octal(sizeof ustar->mtime, entry->mtime_seconds))
        add_number(records, "mtime", entry->mtime_seconds);
    *out_needed = records->size > 0;
    if (!is_plain(entry->path, sizeof ustar->name)) {
        add_text(records, "path", entry->path);
        *out_needed = *out_needed || !find_cut(entry->path);
    }
    size_t before = records->size;
    if (!fits_octal(sizeof ustar->size, (int64_t) entry->size))
        add_number(records, "size", (int64_t) entry->size);
    if (!fits_octal(sizeof ustar->uid, entry->uid))
        add_number(records, "uid", entry->uid);
    *out_needed = *out_needed || records->size > before;
}

/* A value that does not fit is in a record; the field says 0 then. */
static void put_octal(char *field, size_t field_size, int64_t value)
{
    (void) snprintf(field, field_size, "%0*" PRIo64, (int) field_size - 1,
                    fits_octal(field_size, value) ? value : 0);
}

/* The field may end without a NUL. */
static void put_text(char *field, size_t field_size, const char *text, size_t length)
{
    memcpy(field, text, length < field_size ? length : field_size);
}

/* The nearest that a field can say of a text that is in a record: without bytes that are not ASCII,
 * cut, and if cut then not after a slash, since readers may take that for a directory. */
static void put_hint(char *field, size_t field_size, const char *text)
{
    size_t length = 0;
    for (; *text; text++) {
        if ((unsigned char) *text >= 0x80)
            continue;
        if (length == field_size) {
            size_t end = field_size;
            while (end > 0 && field[end - 1] == '/')
                end--;
            if (end < field_size)
                field[end] = '\0';
            return;
        }
        field[length++] = *text;
    }
}

static void put_checksum(struct ustar *block)
{
    unsigned sum = 0;
    memset(block->checksum, ' ', sizeof block->checksum);
    for (size_t i = 0; i < sizeof *block; i++)
        sum += ((const unsigned char *) block)[i];
    put_octal(block->checksum, sizeof block->checksum - 1, sum);
}

static void put_magic(struct ustar *block)
{
    memcpy(block->magic, "ustar", sizeof block->magic);
    memcpy(block->version, "00", sizeof block->version);
}

static void put_entry(struct ustar *block, const struct tar_entry *entry, bool pax)
{
    const char *cut = pax ? NULL : find_cut(entry->path);
    if (cut) {
        put_text(block->prefix, sizeof block->prefix, entry->path, (size_t) (cut - entry->path));
        put_text(block->name, sizeof block->name, cut + 1, strlen(cut + 1));
    } else {
        put_hint(block->name, sizeof block->name, entry->path);
    }
    put_hint(block->target, sizeof block->target, entry->target);
    put_octal(block->mode, sizeof block->mode, entry->mode & 07777);
    put_octal(block->uid, sizeof block->uid, entry->uid);
    put_octal(block->gid, sizeof block->gid, entry->gid);
    put_octal(block->size, sizeof block->size, (int64_t) entry->size);
    put_octal(block->mtime, sizeof block->mtime, entry->mtime_seconds);
    put_octal(block->device_major, sizeof block->device_major, entry->device_major);
    put_octal(block->device_minor, sizeof block->device_minor, entry->device_minor);
    block->type = (char) entry->type;
    put_magic(block);
    put_checksum(block);
}

/* The pax header is a file of its own, DIR/PaxHeaders.0/NAME. */
static void put_pax(struct ustar *block, const char *path, size_t size)
{
    const char *slash = strrchr(path, '/');
    size_t dir_length = slash ? (size_t) (slash - path) + 1 : 0;
    const char *name = path + dir_length;
    owned(mem_free) char *pax_path =
        mem_printf("%.*sPaxHeaders.0%s%s", (int) dir_length, path, name[0] ? "/" : "", name);
    char *end = pax_path;
    for (const char *at = pax_path; *at; at++)
        if ((unsigned char) *at < 0x80)
            *end++ = *at;
    size_t length = (size_t) (end - pax_path);
    if (length > sizeof block->name)
        length = sizeof block->name;
    while (length > 0 && pax_path[length - 1] == '/')
        length--;
    put_text(block->name, sizeof block->name, pax_path, length);
    put_octal(block->mode, sizeof block->mode, 0);
    put_octal(block->uid, sizeof block->uid, 0);
    put_octal(block->gid, sizeof block->gid, 0);
    put_octal(block->size, sizeof block->size, (int64_t) size);
    put_octal(block->mtime, sizeof block->mtime, 0);
    block->type = 'x';
    put_magic(block);
    put_checksum(block);
}

int tar_header_make(const struct tar_entry *entry, char **out_header, size_t *out_size,
                    struct error *error)
{
    owned(records_clear) struct records records = {NULL, 0};
    bool pax = false;
    collect(entry, &records, &pax);
    if (pax && records.size > PAX_MAX)
        return error_set(error, ERROR_PRECONDITION,
                         "its name and extended attributes take %zu bytes, more than the %d that "
                         "readers of archives accept",
                         records.size, PAX_MAX);
    size_t blocks = pax ? 2 + (records.size + TAR_BLOCK - 1) / TAR_BLOCK : 1;
    struct ustar *header = mem_alloc_array(blocks, TAR_BLOCK);
    if (pax) {
        put_pax(&header[0], entry->path, records.size);
        memcpy(&header[1], records.text, records.size);
    }
    put_entry(&header[blocks - 1], entry, pax);
    *out_header = (char *) header;
    *out_size = blocks * TAR_BLOCK;
    return 0;
}
