/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Directories below an open one, by paths that may be longer than PATH_MAX. As os_open_dir. */

/* Opens the directory path of base_fd, "" for base_fd itself. path changes on the way, and is
 * restored. */
int deep_path_open(int base_fd, char *path);

/* Opens the directory that the last component of path is in, and tells that component, which is
 * part of path. */
int deep_path_open_parent(int base_fd, const char *path, const char **out_name);
