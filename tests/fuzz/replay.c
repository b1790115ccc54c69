/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"

/*
 * Runs a fuzz target once for each file named on the command line, or in a folder named there:
 * the corpus and past finds as a test, without the fuzzing engine.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 1 << 20 };

static int replay_file(int dirfd, const char *name)
{
    owned(mem_free) char *buffer = mem_alloc(INPUT_BYTES_MAX + 1);
    ssize_t length = fd_read_small(dirfd, name, buffer, INPUT_BYTES_MAX + 1);
    if (length < 0) {
        perror(name);
        return -1;
    }
    /* An exact copy lets the address sanitizer see reads beyond the end. */
    owned(mem_free) uint8_t *input = mem_alloc((size_t) length);
    memcpy(input, buffer, (size_t) length);
    (void) LLVMFuzzerTestOneInput(input, (size_t) length);
    return 1;
}

static void close_folder(DIR **folder)
{
    if (*folder)
        (void) closedir(*folder);
}

/* The number of files that ran, or -1. */
static int replay_folder(const char *path)
{
    owned(close_folder) DIR *folder = opendir(path);
    if (!folder) {
        perror(path);
        return -1;
    }
    int count = 0;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        if (entry->d_name[0] == '.')
            continue;
        if (replay_file(dirfd(folder), entry->d_name) < 0)
            return -1;
        count++;
    }
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        owned(fd_close) int fd = fd_open_dir(AT_FDCWD, argv[i]);
        int count = fd >= 0 ? replay_folder(argv[i]) : replay_file(AT_FDCWD, argv[i]);
        if (count < 0)
            return 1;
        total += count;
    }
    printf("%s: %d inputs replayed\n", argv[0], total);
    return total > 0 ? 0 : 1;
}
