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

struct acl_entry;
struct acl_flagset;
typedef struct acl_entry *acl_entry_t;
typedef struct acl_flagset *acl_flagset_t;
typedef enum { ACL_FIRST_ENTRY = 0, ACL_NEXT_ENTRY = -1 } acl_entry_id_t;
typedef enum {
    ACL_ENTRY_INHERITED = 1 << 4,
    ACL_ENTRY_FILE_INHERIT = 1 << 5,
    ACL_ENTRY_DIRECTORY_INHERIT = 1 << 6,
} acl_flag_t;

int acl_get_entry(acl_t acl, int which, acl_entry_t *out_entry);
int acl_get_flagset_np(void *entry, acl_flagset_t *out_flags);
int acl_get_flag_np(acl_flagset_t flags, acl_flag_t flag);
