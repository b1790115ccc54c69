/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/entry_path.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "base/utf8.h"

enum { SHOWN_MAX = 190 }; /* each byte may need four */

static size_t drop_last(const char *out, size_t length)
{
    while (length > 0 && out[length - 1] != '/')
        length--;
    return length > 0 ? length - 1 : 0;
}

size_t entry_path_clean(const char *name, char *out)
{
    size_t length = 0;
    size_t count = 0;
    while (*name) {
        size_t part = strcspn(name, "/");
        bool up = part == 2 && memcmp(name, "..", 2) == 0;
        if (up && count > 0) {
            length = drop_last(out, length);
            count--;
        } else if (part > 0 && !up && !(part == 1 && *name == '.')) {
            if (length > 0)
                out[length++] = '/';
            memmove(out + length, name, part);
            length += part;
            count++;
        }
        name += part;
        name += *name == '/';
    }
    out[length] = '\0';
    return count;
}

bool entry_path_is_special(enum layer_system system, const char *path)
{
    static const char fork[] = "..namedfork";
    while (system == LAYER_DARWIN && *path) {
        size_t length = strcspn(path, "/");
        if (length == strlen(fork) && memcmp(path, fork, length) == 0)
            return true;
        path += length + (path[length] == '/');
    }
    return false;
}

const char *entry_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

size_t entry_path_parent_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t) (slash - path) : 0;
}

static uint64_t seed;

static void make_seed(void)
{
    char text[40];
    random_uuid(text);
    for (const char *at = text; *at; at++)
        seed = (seed ^ (unsigned char) *at) * 0x100000001b3ULL;
}

uint64_t entry_path_id(uint64_t parent_id, const char *component, size_t length)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void) pthread_once(&once, make_seed);
    uint64_t id = parent_id ^ seed;
    for (size_t i = 0; i < length; i++)
        id = (id ^ (unsigned char) component[i]) * 0x9e3779b97f4a7c15ULL;
    id = (id ^ id >> 32) * 0xd6e8feb86659fd93ULL;
    id ^= id >> 29;
    return id > ENTRY_PATH_ROOT_ID ? id : id + 2;
}

static void make_text(struct entry_text *text, const char *name, bool ascii)
{
    size_t length = strlen(name);
    const char *start = length > SHOWN_MAX ? name + length - SHOWN_MAX : name;
    while (start > name && ((unsigned char) *start & 0xc0) == 0x80)
        start++;
    bool utf8 = !ascii && utf8_valid(start, strlen(start));
    char *end = start > name ? stpcpy(text->text, "...") : text->text;
    for (const char *at = start; *at; at++) {
        unsigned char byte = (unsigned char) *at;
        if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8))
            end += sprintf(end, "\\x%02x", byte);
        else
            *end++ = *at;
    }
    *end = '\0';
}

void entry_text_make(struct entry_text *text, const char *name)
{
    make_text(text, name, false);
}

void entry_text_make_ascii(struct entry_text *text, const char *name)
{
    make_text(text, name, true);
}
