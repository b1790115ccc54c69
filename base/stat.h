/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* struct stat with the names that POSIX gives its times, and device numbers, on every system. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#ifdef __APPLE__
#define st_atim st_atimespec
#define st_mtim st_mtimespec
#define st_ctim st_ctimespec
#else
#include <sys/sysmacros.h>
#endif

/* How many bits of a device number each part has in what file systems keep. */
struct device_bits {
    unsigned major;
    unsigned minor;
};

#ifdef __APPLE__
static const struct device_bits device_bits = {8, 24};
#else
static const struct device_bits device_bits = {12, 20};
#endif

/* True if there can be such a device: makedev makes another one of what does not fit. */
static inline bool device_fits(const struct device_bits *bits, uint64_t major, uint64_t minor)
{
    return major >> bits->major == 0 && minor >> bits->minor == 0;
}
