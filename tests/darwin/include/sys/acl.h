/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

struct acl;
typedef struct acl *acl_t;
typedef enum { ACL_TYPE_EXTENDED = 0x100 } acl_type_t;

acl_t acl_get_fd_np(int fd, acl_type_t type);
int acl_set_fd_np(int fd, acl_t acl, acl_type_t type);
acl_t acl_from_text(const char *text);
char *acl_to_text(acl_t acl, ssize_t *out_length);
int acl_free(void *acl_or_text);
