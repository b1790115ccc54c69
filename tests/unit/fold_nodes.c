/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fold_nodes.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/utf8.h"

static struct fold_node **nodes;
static size_t node_count;

struct fold_node *fold_node_get(uint64_t id)
{
    return id >= FOLD_ROOT_ID && id <= node_count ? nodes[id - 1] : NULL;
}

struct fold_node *fold_node_make(mode_t mode)
{
    struct fold_node *node = mem_alloc(sizeof *node);
    nodes = mem_resize(nodes, node_count + 1, sizeof *nodes);
    nodes[node_count++] = node;
    *node = (struct fold_node){.id = node_count, .mode = mode, .nlink = S_ISDIR(mode) ? 2 : 0};
    (void) clock_gettime(CLOCK_REALTIME, &node->mtime);
    node->atime = node->ctime = node->mtime;
    return node;
}

/* The next character of *text, folded. */
static unsigned next_folded(const char **text)
{
    enum { ACCENT = 0x100 };
    static const char *const accented[] = {"\xc3\xa9", "\xc3\x89", "e\xcc\x81", "E\xcc\x81"};
    for (size_t i = 0; i < sizeof accented / sizeof accented[0]; i++) {
        size_t length = strlen(accented[i]);
        if (strncmp(*text, accented[i], length) == 0) {
            *text += length;
            return ACCENT;
        }
    }
    unsigned char byte = (unsigned char) *(*text)++;
    return byte < 0x80 ? (unsigned) tolower(byte) : byte;
}

bool fold_equal(const char *a, const char *b)
{
    while (*a && *b)
        if (next_folded(&a) != next_folded(&b))
            return false;
    return !*a && !*b;
}

struct fold_entry *fold_find(const struct fold_node *dir, const char *name)
{
    for (size_t i = 0; i < dir->entry_count; i++)
        if (fold_equal(dir->entries[i].name, name))
            return &dir->entries[i];
    return NULL;
}

static void touch(struct fold_node *dir, struct fold_node *node)
{
    (void) clock_gettime(CLOCK_REALTIME, &dir->mtime);
    dir->ctime = node->ctime = dir->mtime;
}

int fold_add(struct fold_node *dir, const char *name, struct fold_node *node)
{
    if (!utf8_valid(name, strlen(name)))
        return -EILSEQ;
    if (fold_find(dir, name))
        return -EEXIST;
    if (!S_ISDIR(node->mode) && node->nlink == FOLD_LINKS_MAX)
        return -EMLINK;
    dir->entries = mem_resize(dir->entries, dir->entry_count + 1, sizeof *dir->entries);
    dir->entries[dir->entry_count++] = (struct fold_entry){.name = mem_strdup(name), .node = node};
    node->nlink += !S_ISDIR(node->mode);
    touch(dir, node);
    return 0;
}

int fold_remove(struct fold_node *dir, const char *name)
{
    struct fold_entry *entry = fold_find(dir, name);
    if (!entry)
        return -ENOENT;
    if (entry->node->entry_count > 0)
        return -ENOTEMPTY;
    entry->node->nlink -= !S_ISDIR(entry->node->mode);
    touch(dir, entry->node);
    mem_free(&entry->name);
    *entry = dir->entries[--dir->entry_count];
    return 0;
}

void fold_resize(struct fold_node *node, size_t size)
{
    node->data = mem_resize(node->data, size + 1, 1);
    if (size > node->size)
        memset(node->data + node->size, 0, size - node->size);
    node->size = size;
}
