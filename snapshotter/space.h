/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is left of the volume, of its blocks or its inodes, whatever is less: a tenth, a twentieth.
 */
enum space { SPACE_PLENTY, SPACE_LITTLE, SPACE_NONE };

/* fd is anything on the volume. What cannot be asked is plenty. */
enum space space_left(int fd);
