/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/appledouble.h"

#include <string.h>

#include "base/mem.h"

enum {
    MAGIC = 0x00051607,
    VERSION = 0x00020000,
    HEADER_SIZE = 26,
    ENTRY_SIZE = 12,
    RESOURCE_FORK = 2,
    FINDER_INFO = 9,
    FINDER_SIZE = 32,
    ATTRIBUTES_MAGIC = 0x41545452, /* "ATTR" */
    ATTRIBUTES_OFFSET = FINDER_SIZE + 2,
    ATTRIBUTES_SIZE = 36,
    ATTRIBUTE_SIZE = 11, /* without its name */
    ATTRIBUTES_MAX = 1024
};

/* A part of the file, and reading from it. */
struct part {
    const uint8_t *data;
    size_t size;
};

static bool has(const struct part *part, size_t offset, size_t size)
{
    return offset <= part->size && size <= part->size - offset;
}

static uint32_t number(const struct part *part, size_t offset, int bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | part->data[offset + (size_t) i];
    return value;
}

void appledouble_clear(struct appledouble *apple)
{
    mem_free(&apple->attributes);
    *apple = APPLEDOUBLE_NULL;
}

static void add(struct appledouble *apple, const char *name, const uint8_t *value, size_t size)
{
    if (!apple->attributes)
        apple->attributes = mem_alloc_array(ATTRIBUTES_MAX + 2, sizeof *apple->attributes);
    apple->attributes[apple->count++] =
        (struct appledouble_attribute){.name = name, .value = value, .size = size};
}

/* One attribute's description at *offset, which moves on to the next. */
static bool read_attribute(struct appledouble *apple, const struct part *file, size_t *offset)
{
    if (!has(file, *offset, ATTRIBUTE_SIZE))
        return false;
    uint32_t value_offset = number(file, *offset, 4);
    uint32_t value_size = number(file, *offset + 4, 4);
    uint32_t name_size = number(file, *offset + 10, 1);
    const char *name = (const char *) file->data + *offset + ATTRIBUTE_SIZE;
    if (name_size < 2 || !has(file, *offset + ATTRIBUTE_SIZE, name_size) ||
        strnlen(name, name_size) != name_size - 1 || !has(file, value_offset, value_size))
        return false;
    add(apple, name, file->data + value_offset, value_size);
    *offset += (ATTRIBUTE_SIZE + name_size + 3) & ~(size_t) 3;
    return true;
}

/* offset: of the header of the attributes, whose offsets count from the start of the file. */
static bool read_attributes(struct appledouble *apple, const struct part *file, size_t offset)
{
    if (!has(file, offset, ATTRIBUTES_SIZE))
        return false;
    uint32_t count = number(file, offset + 34, 2);
    if (count > ATTRIBUTES_MAX)
        return false;
    offset += ATTRIBUTES_SIZE;
    for (uint32_t i = 0; i < count; i++)
        if (!read_attribute(apple, file, &offset))
            return false;
    return true;
}

/* All zero means that there is none. */
static bool is_zero(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i] != 0)
            return false;
    return true;
}

static bool read_finder(struct appledouble *apple, const struct part *file, size_t offset,
                        size_t size)
{
    if (size < FINDER_SIZE)
        return false;
    if (!is_zero(file->data + offset, FINDER_SIZE))
        add(apple, "com.apple.FinderInfo", file->data + offset, FINDER_SIZE);
    if (size < ATTRIBUTES_OFFSET + ATTRIBUTES_SIZE ||
        number(file, offset + ATTRIBUTES_OFFSET, 4) != ATTRIBUTES_MAGIC)
        return true;
    return read_attributes(apple, file, offset + ATTRIBUTES_OFFSET);
}

/* Each kind of entry counts once: fork, then finder tell what was read. */
static bool read_entry(struct appledouble *apple, const struct part *file, size_t at, bool *fork,
                       bool *finder)
{
    uint32_t kind = number(file, at, 4);
    uint32_t offset = number(file, at + 4, 4);
    uint32_t size = number(file, at + 8, 4);
    if (!has(file, offset, size))
        return false;
    if (kind == FINDER_INFO && !*finder) {
        *finder = true;
        return read_finder(apple, file, offset, size);
    }
    if (kind == RESOURCE_FORK && !*fork) {
        *fork = true;
        if (size > 0)
            add(apple, "com.apple.ResourceFork", file->data + offset, size);
    }
    return true;
}

bool appledouble_read(struct appledouble *apple, const void *data, size_t size)
{
    const struct part file = {.data = data, .size = size};
    bool fork = false;
    bool finder = false;
    *apple = APPLEDOUBLE_NULL;
    if (!has(&file, 0, HEADER_SIZE) || number(&file, 0, 4) != MAGIC ||
        number(&file, 4, 4) != VERSION)
        return false;
    uint32_t count = number(&file, 24, 2);
    bool valid = has(&file, HEADER_SIZE, (size_t) count * ENTRY_SIZE);
    for (uint32_t i = 0; valid && i < count; i++)
        valid = read_entry(apple, &file, HEADER_SIZE + (size_t) i * ENTRY_SIZE, &fork, &finder);
    if (!valid)
        appledouble_clear(apple);
    return valid;
}

bool appledouble_is_private(const char *name)
{
    static const char *const names[] = {"com.apple.provenance",   "com.apple.macl",
                                        "com.apple.rootless",     "com.apple.quarantine",
                                        "com.apple.lastuseddate", "com.apple.decmpfs"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0)
            return true;
    return strncmp(name, "com.apple.system.", strlen("com.apple.system.")) == 0;
}
