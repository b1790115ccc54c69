/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/filter.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every path is present; its value is the path itself, so that texts and patterns meet. */
static bool look_up(const void *object, const char *const *path, size_t count,
                    const char **out_value)
{
    (void) object;
    static _Thread_local char value[4096];
    if (!filter_join(path, 0, count, value, sizeof value))
        return false;
    *out_value = value;
    return true;
}

/* The input is a list of filters, one a line. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    owned(mem_free) char *input = mem_strndup((const char *) data, size);
    char *texts[16];
    size_t count = 0;
    char *rest = input;
    while (rest && count < sizeof texts / sizeof texts[0])
        texts[count++] = strsep(&rest, "\n");
    owned(filter_list_clear) struct filter_list *list = NULL;
    if (filter_list_parse(texts, count, &list, NULL) == 0)
        (void) filter_list_match(list, look_up, NULL);
    return 0;
}
