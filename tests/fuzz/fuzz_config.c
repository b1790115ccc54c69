/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check_value(void *context, const char *section, const char *key,
                       const struct config_value *value, struct error *error)
{
    (void) context;
    (void) section;
    if (key[0] == '\0')
        abort();
    if (value->type == CONFIG_STRING && !utf8_valid(value->string, strlen(value->string)))
        abort();
    if (value->type == CONFIG_INTEGER && value->integer == 42)
        return error_set(error, ERROR_INVALID, "42 is refused");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    int code = config_parse("fuzz", (const char *) data, size, check_value, NULL, &error);
    if (code != 0 && (error.code != code || strncmp(error.message, "fuzz:", 5) != 0))
        abort();
    return 0;
}
