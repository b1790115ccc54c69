/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* struct stat with the names that POSIX gives its times, and makedev, on every system. */
#include <sys/stat.h>
#include <sys/types.h>

#ifdef __APPLE__
#define st_atim st_atimespec
#define st_mtim st_mtimespec
#define st_ctim st_ctimespec
#else
#include <sys/sysmacros.h>
#endif
