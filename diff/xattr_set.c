/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/xattr_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "diff/xattr_filter.h"
#include "tree/os.h"

enum { SHORT_LIST = 512, LIST_MAX = 65536, VALUE_MAX = 65536, TOTAL_MAX = 1 << 20 };

static int refuse_total(struct error *error)
{
    return error_set(error, ERROR_PRECONDITION,
                     "its extended attributes take more than the %d bytes that readers of archives "
                     "accept",
                     TOTAL_MAX);
}

/* Only a resource fork is bigger than others may be. */
static int read_value(struct xattr_set *set, int dirfd, const char *entry, const char *name,
                      struct error *error)
{
    owned(mem_free) char *buffer = mem_alloc(VALUE_MAX);
    ssize_t size = os_xattr_get_at(dirfd, entry, name, buffer, VALUE_MAX);
    if (size < 0 && errno == ERANGE) {
        size = os_xattr_get_at(dirfd, entry, name, NULL, 0);
        if (size > TOTAL_MAX)
            return refuse_total(error);
        mem_free(&buffer);
        buffer = mem_alloc(TOTAL_MAX);
        size = os_xattr_get_at(dirfd, entry, name, buffer, TOTAL_MAX);
    }
    if (size < 0)
        return error_errno(error, "cannot read the extended attribute %s", name);
    struct xattr_value *value = &set->values[set->count++];
    *value = (struct xattr_value){
        .name = mem_strdup(name), .value = mem_alloc((size_t) size + 1), .size = (size_t) size};
    memcpy(value->value, buffer, (size_t) size);
    return 0;
}

static int compare_values(const void *a, const void *b)
{
    const struct xattr_value *a_value = a;
    const struct xattr_value *b_value = b;
    return strcmp(a_value->name, b_value->name);
}

static size_t count_carried(const char *names, size_t length)
{
    size_t count = 0;
    for (const char *name = names; name < names + length; name += strlen(name) + 1)
        count += xattr_is_carried(layer_system, name) ? 1 : 0;
    return count;
}

static int read_carried(struct xattr_set *set, int dirfd, const char *entry, const char *names,
                        size_t length, struct error *error)
{
    size_t count = count_carried(names, length);
    if (count == 0)
        return 0;
    set->values = mem_alloc_array(count, sizeof *set->values);
    size_t total = 0;
    for (const char *name = names; name < names + length; name += strlen(name) + 1) {
        if (!xattr_is_carried(layer_system, name))
            continue;
        int code = read_value(set, dirfd, entry, name, error);
        total += code == 0 ? set->values[set->count - 1].size : 0;
        if (total > TOTAL_MAX)
            code = refuse_total(error);
        if (code != 0) {
            xattr_set_clear(set);
            return code;
        }
    }
    qsort(set->values, set->count, sizeof *set->values, compare_values);
    return 0;
}

int xattr_set_read(struct xattr_set *set, int dirfd, const char *entry, struct error *error)
{
    char list[SHORT_LIST];
    owned(mem_free) char *heap = NULL;
    const char *names = list;
    ssize_t length = os_xattr_list_at(dirfd, entry, list, sizeof list);
    if (length < 0 && errno == ERANGE) {
        names = heap = mem_alloc(LIST_MAX);
        length = os_xattr_list_at(dirfd, entry, heap, LIST_MAX);
    }
    if (length < 0 && errno != EOPNOTSUPP)
        return error_errno(error, "cannot list the extended attributes");
    return length <= 0 ? 0 : read_carried(set, dirfd, entry, names, (size_t) length, error);
}

bool xattr_set_equal(const struct xattr_set *a, const struct xattr_set *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->values[i].name, b->values[i].name) != 0 ||
            a->values[i].size != b->values[i].size ||
            memcmp(a->values[i].value, b->values[i].value, a->values[i].size) != 0)
            return false;
    return true;
}

void xattr_set_clear(struct xattr_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        mem_free(&set->values[i].name);
        mem_free(&set->values[i].value);
    }
    mem_free(&set->values);
    *set = XATTR_SET_NULL;
}
