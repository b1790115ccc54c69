/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "diff/appledouble.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int condition)
{
    if (!condition)
        abort();
}

/* Every attribute lies within the input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct appledouble apple;
    if (!appledouble_read(&apple, data, size))
        return 0;
    const uint8_t *end = data + size;
    for (size_t i = 0; i < apple.count; i++) {
        const struct appledouble_attribute *attribute = &apple.attributes[i];
        const uint8_t *value = attribute->value;
        char name[APPLEDOUBLE_NAME_SIZE];
        expect(value >= data && value <= end && attribute->size <= (size_t) (end - value));
        expect(strlen(attribute->name) > 0);
        if (appledouble_local_name(attribute->name, name))
            expect(strlen(name) < sizeof name && !appledouble_is_private(attribute->name));
    }
    appledouble_clear(&apple);
    return 0;
}
