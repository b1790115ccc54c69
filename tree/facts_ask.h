/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tree/os.h"

/* For tree/facts*.c: questions to a volume, and what they have in common. */

/* Works in an empty folder of its own, which is removed with all that is in it. True is yes; false
 * is no, with errno as the reason unless it is 0. */
typedef bool question(int dirfd);

struct fact {
    const char *text;
    question *ask;
};

struct fact_list {
    const struct fact *facts;
    size_t count;
};

#define FACT_LIST(array)                                                                           \
    {                                                                                              \
        (array), sizeof(array) / sizeof((array)[0])                                                \
    }

extern const struct fact_list facts_of_clones;
extern const struct fact_list facts_of_names;
extern const struct fact_list facts_of_attributes;
extern const struct fact_list facts_of_kinds;

/* The lists of what is asked on this system alone. */
const struct fact_list *const *facts_of_system(size_t *out_count);

/* An answer for which no call failed. */
static inline bool fact_plainly(bool yes)
{
    errno = 0;
    return yes;
}

enum { FACT_DATA_BYTES = 16384, FACT_OWNER = 12345, FACT_GROUP = 54321 };

/* A new file, mode 0600, with FACT_DATA_BYTES of 'd'; -1 and errno. */
int fact_make_file(int dirfd, const char *name);

/* Never fails. */
bool fact_exists(int dirfd, const char *name);

bool fact_describe(int fd, struct os_stat *out_stat);
