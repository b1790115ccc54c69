/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef uint32_t attrgroup_t;

struct attrlist {
    uint16_t bitmapcount;
    uint16_t reserved;
    attrgroup_t commonattr;
    attrgroup_t volattr;
    attrgroup_t dirattr;
    attrgroup_t fileattr;
    attrgroup_t forkattr;
};

typedef struct {
    attrgroup_t commonattr;
    attrgroup_t volattr;
    attrgroup_t dirattr;
    attrgroup_t fileattr;
    attrgroup_t forkattr;
} attribute_set_t;

typedef struct {
    int32_t attr_dataoffset;
    uint32_t attr_length;
} attrreference_t;

enum { ATTR_BIT_MAP_COUNT = 5 };

enum {
    FSOPT_NOFOLLOW = 0x1,
    FSOPT_REPORT_FULLSIZE = 0x4,
    FSOPT_PACK_INVAL_ATTRS = 0x8,
    FSOPT_ATTR_CMN_EXTENDED = 0x20,
};

#define ATTR_CMN_NAME 0x00000001u
#define ATTR_CMN_DEVID 0x00000002u
#define ATTR_CMN_FSID 0x00000004u
#define ATTR_CMN_OBJTYPE 0x00000008u
#define ATTR_CMN_CRTIME 0x00000200u
#define ATTR_CMN_MODTIME 0x00000400u
#define ATTR_CMN_CHGTIME 0x00000800u
#define ATTR_CMN_ACCTIME 0x00001000u
#define ATTR_CMN_OWNERID 0x00008000u
#define ATTR_CMN_GRPID 0x00010000u
#define ATTR_CMN_ACCESSMASK 0x00020000u
#define ATTR_CMN_FLAGS 0x00040000u
#define ATTR_CMN_EXTENDED_SECURITY 0x00400000u
#define ATTR_CMN_FILEID 0x02000000u
#define ATTR_CMN_ERROR 0x20000000u
#define ATTR_CMN_RETURNED_ATTRS 0x80000000u

#define ATTR_DIR_LINKCOUNT 0x00000001u
#define ATTR_DIR_ENTRYCOUNT 0x00000002u
#define ATTR_DIR_MOUNTSTATUS 0x00000004u
#define DIR_MNTSTATUS_MNTPOINT 0x00000001u

#define ATTR_FILE_LINKCOUNT 0x00000001u
#define ATTR_FILE_TOTALSIZE 0x00000002u
#define ATTR_FILE_ALLOCSIZE 0x00000004u
#define ATTR_FILE_DEVTYPE 0x00000020u
#define ATTR_FILE_DATALENGTH 0x00000200u
#define ATTR_FILE_DATAALLOCSIZE 0x00000400u

#define ATTR_CMNEXT_PRIVATESIZE 0x00000008u
#define ATTR_CMNEXT_CLONEID 0x00000100u
#define ATTR_CMNEXT_EXT_FLAGS 0x00000200u
#define EF_MAY_SHARE_BLOCKS 0x00000001u
#define EF_NO_XATTRS 0x00000002u

#define ATTR_VOL_INFO 0x80000000u
#define ATTR_VOL_CAPABILITIES 0x00020000u

enum { VOL_CAPABILITIES_FORMAT, VOL_CAPABILITIES_INTERFACES };
#define VOL_CAP_FMT_CASE_SENSITIVE 0x00000100u
#define VOL_CAP_FMT_CASE_PRESERVING 0x00000200u
#define VOL_CAP_INT_CLONE 0x00010000u
#define VOL_CAP_INT_RENAME_SWAP 0x00040000u
#define VOL_CAP_INT_RENAME_EXCL 0x00080000u

typedef uint32_t vol_capabilities_set_t[4];

typedef struct {
    vol_capabilities_set_t capabilities;
    vol_capabilities_set_t valid;
} vol_capabilities_attr_t;

int getattrlist(const char *path, void *wanted, void *buffer, size_t size, unsigned options);
int getattrlistat(int dirfd, const char *path, void *wanted, void *buffer, size_t size,
                  unsigned long options);
int fgetattrlist(int fd, void *wanted, void *buffer, size_t size, unsigned options);
int getattrlistbulk(int dirfd, void *wanted, void *buffer, size_t size, uint64_t options);
int setattrlistat(int dirfd, const char *path, void *wanted, void *buffer, size_t size,
                  uint32_t options);
int fsetattrlist(int fd, void *wanted, void *buffer, size_t size, unsigned options);
