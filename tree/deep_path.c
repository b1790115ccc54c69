/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/deep_path.h"

#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tree/os.h"

int deep_path_open(int base_fd, char *path)
{
    owned(fd_close) int step_fd = -1;
    while (strlen(path) >= PATH_MAX) {
        char *cut = path + (mem_last(path, '/', PATH_MAX - 1) - path);
        *cut = '\0';
        int next_fd = os_open_dir(step_fd < 0 ? base_fd : step_fd, path);
        *cut = '/';
        fd_close(&step_fd);
        if (next_fd < 0)
            return -1;
        step_fd = next_fd;
        path = cut + 1;
    }
    return os_open_dir(step_fd < 0 ? base_fd : step_fd, path[0] ? path : ".");
}

int deep_path_open_parent(int base_fd, const char *path, const char **out_name)
{
    const char *slash = strrchr(path, '/');
    owned(mem_free) char *parent = mem_strndup(path, slash ? (size_t) (slash - path) : 0);
    *out_name = slash ? slash + 1 : path;
    return deep_path_open(base_fd, parent);
}
