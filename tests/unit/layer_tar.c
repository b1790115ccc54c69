/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/layer_tar.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { BLOCK = 512, NAME_SIZE = 100, TIME_DEFAULT = 1000000 };

void layer_tar_clear(struct layer_tar *tar)
{
    mem_free(&tar->data);
    mem_free(&tar->pax);
    *tar = (struct layer_tar){0};
}

void layer_tar_raw(struct layer_tar *tar, const void *data, size_t size)
{
    if (tar->length + size >= tar->capacity) {
        tar->capacity = 2 * (tar->length + size) + 1;
        tar->data = mem_resize(tar->data, tar->capacity, 1);
    }
    memcpy(tar->data + tar->length, data, size);
    tar->length += size;
}

void layer_tar_data(struct layer_tar *tar, const void *data, size_t size)
{
    static const char zeros[BLOCK];
    layer_tar_raw(tar, data, size);
    layer_tar_raw(tar, zeros, (BLOCK - size % BLOCK) % BLOCK);
}

void layer_tar_fix(struct layer_tar *tar, size_t offset)
{
    char *header = tar->data + offset;
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (int i = 0; i < BLOCK; i++)
        sum += (unsigned char) header[i];
    (void) snprintf(header + 148, 8, "%06o", sum);
}

static void put_octal(char *field, size_t size, uint64_t number)
{
    char digits[32];
    (void) snprintf(digits, sizeof digits, "%0*" PRIo64, (int) size - 1, number);
    memcpy(field, digits, size);
}

static void add_header(struct layer_tar *tar, char type, const char *name, unsigned mode,
                       const char *target, uint64_t size)
{
    char header[BLOCK] = {0};
    size_t offset = tar->length;
    memcpy(header, name, strnlen(name, NAME_SIZE));
    put_octal(header + 100, 8, mode);
    put_octal(header + 108, 8, tar->uid);
    put_octal(header + 116, 8, tar->gid);
    put_octal(header + 124, 12, size);
    put_octal(header + 136, 12, (uint64_t) (tar->mtime ? tar->mtime : TIME_DEFAULT));
    header[156] = type;
    memcpy(header + 157, target, strnlen(target, NAME_SIZE));
    memcpy(header + 257, "ustar\00000", 8);
    layer_tar_raw(tar, header, BLOCK);
    layer_tar_fix(tar, offset);
}

void layer_tar_special(struct layer_tar *tar, char type, const void *body, size_t size)
{
    add_header(tar, type, "special", 0644, "", size);
    layer_tar_data(tar, body, size);
}

void layer_tar_pax(struct layer_tar *tar, const char *key, const void *value, size_t size)
{
    char front[400];
    size_t rest = strlen(key) + size + 3;
    size_t length = rest;
    int digits = 0;
    do {
        length = rest + (size_t) digits;
        digits = snprintf(front, sizeof front, "%zu", length);
    } while (length != rest + (size_t) digits);
    int used = snprintf(front, sizeof front, "%zu %s=", length, key);
    tar->pax = mem_resize(tar->pax, tar->pax_length + length + 1, 1);
    memcpy(tar->pax + tar->pax_length, front, (size_t) used);
    memcpy(tar->pax + tar->pax_length + used, value, size);
    tar->pax[tar->pax_length + length - 1] = '\n';
    tar->pax_length += length;
}

void layer_tar_pax_text(struct layer_tar *tar, const char *key, const char *value)
{
    layer_tar_pax(tar, key, value, strlen(value));
}

void layer_tar_entry(struct layer_tar *tar, char type, const char *name, unsigned mode,
                     const char *target, uint64_t size)
{
    if (strlen(name) > NAME_SIZE)
        layer_tar_pax_text(tar, "path", name);
    if (strlen(target) > NAME_SIZE)
        layer_tar_pax_text(tar, "linkpath", target);
    if (tar->pax_length > 0)
        layer_tar_special(tar, 'x', tar->pax, tar->pax_length);
    mem_free(&tar->pax);
    tar->pax_length = 0;
    add_header(tar, type, name, mode, target, size);
}

void layer_tar_file(struct layer_tar *tar, const char *name, unsigned mode, const char *content)
{
    layer_tar_entry(tar, '0', name, mode, "", strlen(content));
    layer_tar_data(tar, content, strlen(content));
}

void layer_tar_dir(struct layer_tar *tar, const char *name, unsigned mode)
{
    layer_tar_entry(tar, '5', name, mode, "", 0);
}

void layer_tar_symlink(struct layer_tar *tar, const char *name, const char *target)
{
    layer_tar_entry(tar, '2', name, 0777, target, 0);
}

void layer_tar_link(struct layer_tar *tar, const char *name, const char *target)
{
    layer_tar_entry(tar, '1', name, 0644, target, 0);
}

void layer_tar_device(struct layer_tar *tar, char type, const char *name, unsigned major,
                      unsigned minor)
{
    size_t offset = tar->length;
    layer_tar_entry(tar, type, name, 0620, "", 0);
    put_octal(tar->data + offset + 329, 8, major);
    put_octal(tar->data + offset + 337, 8, minor);
    layer_tar_fix(tar, offset);
}

void layer_tar_end(struct layer_tar *tar)
{
    static const char zeros[2 * BLOCK];
    layer_tar_raw(tar, zeros, sizeof zeros);
}
