/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tree/facts_ask.h"

static bool differ_by_case(int dirfd)
{
    owned(fd_close) int fd = fact_make_file(dirfd, "name");
    return fd >= 0 && !fact_exists(dirfd, "NAME");
}

static bool differ_by_normalisation(int dirfd)
{
    owned(fd_close) int fd = fact_make_file(dirfd, "\xc3\xa9");
    return fd >= 0 && !fact_exists(dirfd, "e\xcc\x81");
}

static bool takes_any_bytes(int dirfd)
{
    owned(fd_close) int fd = fact_make_file(dirfd, "\xff\xfe");
    return fd >= 0 && fact_exists(dirfd, "\xff\xfe");
}

static bool takes_long_names(int dirfd)
{
    char name[256];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    owned(fd_close) int fd = fact_make_file(dirfd, name);
    return fd >= 0 && fact_exists(dirfd, name);
}

static const struct fact facts[] = {
    {"names may differ by case", differ_by_case},
    {"names may differ by Unicode normalisation", differ_by_normalisation},
    {"names may be any bytes", takes_any_bytes},
    {"names may have 255 bytes", takes_long_names},
};

const struct fact_list facts_of_names = FACT_LIST(facts);
