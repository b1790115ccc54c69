/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * AppleDouble: how macOS's tar keeps what a file has besides its data, in a member "._NAME" before
 * the member NAME. An ACL is the attribute APPLEDOUBLE_ACL, as text; a resource fork and the
 * Finder's information go by the names that macOS has for them as extended attributes.
 */
#define APPLEDOUBLE_ACL "com.apple.acl.text"

struct appledouble_attribute {
    const char *name;
    const void *value;
    size_t size;
};

struct appledouble {
    struct appledouble_attribute *attributes; /* pointers into the data that was read */
    size_t count;
};

#define APPLEDOUBLE_NULL ((struct appledouble){0})

/* For owned(); repeatable. */
void appledouble_clear(struct appledouble *apple);

/* Reads data, which must outlive apple. False, with nothing to clear, if it is no AppleDouble file
 * or a malformed one. */
bool appledouble_read(struct appledouble *apple, const void *data, size_t size);

/* What an attribute is called here; false if it is not to be restored here: it belongs to the Mac
 * that it came from, or this system has nothing like it. (appledouble_linux.c: "user." in front;
 * appledouble_darwin.c: the same name.)
 */
enum { APPLEDOUBLE_NAME_SIZE = 256 };
bool appledouble_local_name(const char *name, char out[APPLEDOUBLE_NAME_SIZE]);

/* True for the names that no system restores. */
bool appledouble_is_private(const char *name);
