/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/acl_darwin.h"

#include <errno.h>
#include <string.h>
#include <sys/acl.h>
#include <sys/fcntl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/mem.h"

/* The text is a line "!#acl 1" and one for each entry: user:GUID:NAME:ID:allow,FLAGS:PERMISSIONS */
enum field { TAG, GUID, NAME, ID, KIND, PERMISSIONS, FIELDS };

enum { GUID_LENGTH = 36, ENTRIES_MAX = 128 };

static void close_acl(acl_t *acl)
{
    int saved = errno;
    if (*acl)
        (void) acl_free(*acl);
    *acl = NULL;
    errno = saved;
}

static void free_text(char **text)
{
    int saved = errno;
    if (*text)
        (void) acl_free(*text);
    *text = NULL;
    errno = saved;
}

/* No ACL answers ENOENT, a symlink, which has none, ENOTSUP. */
static acl_t get_acl(int fd)
{
    return acl_get_fd_np(fd, ACL_TYPE_EXTENDED);
}

bool acl_text_exists(int fd)
{
    owned(close_acl) acl_t acl = get_acl(fd);
    return acl != NULL;
}

/* Takes out what depends on the users and groups that this machine knows, and keeps the GUIDs. They
 * alone count when the text is read again; the tag, too, is only for those who look up a name. */
static void drop_names(char *text)
{
    const char *in = text + strcspn(text, "\n");
    char *out = text + (in - text);
    while (*in == '\n' && in[1] != '\0') {
        *out++ = *in++;
        memcpy(out, "user", 4);
        out += 4;
        in += strcspn(in, ":\n");
        for (int field = TAG; *in != '\0' && *in != '\n'; in++) {
            field += *in == ':';
            if (*in == ':' || (field != NAME && field != ID))
                *out++ = *in;
        }
    }
    memmove(out, in, strlen(in) + 1);
}

ssize_t acl_text_get(int fd, void *text, size_t size)
{
    owned(close_acl) acl_t acl = get_acl(fd);
    if (!acl) {
        errno = errno == ENOENT ? ENODATA : errno;
        return -1;
    }
    owned(free_text) char *all = acl_to_text(acl, NULL);
    if (!all)
        return -1;
    drop_names(all);
    size_t length = strlen(all);
    if (size == 0)
        return (ssize_t) length;
    if (length > size) {
        errno = ERANGE;
        return -1;
    }
    memcpy(text, all, length);
    return (ssize_t) length;
}

static bool is_entry(const char *line)
{
    size_t lengths[FIELDS] = {0};
    int count = 0;
    for (;; line++) {
        if (count == FIELDS)
            return false;
        lengths[count] = strcspn(line, ":\n");
        line += lengths[count++];
        if (*line != ':')
            break;
    }
    return count > KIND && lengths[TAG] > 0 && lengths[GUID] == GUID_LENGTH && lengths[KIND] > 0;
}

/* The text may come from a layer, and acl_from_text(3) dies of an entry that has too few fields and
 * stops without a word at one too many. */
static bool is_safe(const char *text)
{
    int count = 0;
    if (strncmp(text, "!#acl ", 6) != 0)
        return false;
    for (const char *line = strchr(text, '\n'); line; line = strchr(line, '\n')) {
        line++;
        if (*line == '\0')
            break;
        if (!is_entry(line) || ++count > ENTRIES_MAX)
            return false;
    }
    return true;
}

int acl_text_set(int fd, const void *text, size_t size)
{
    owned(mem_free) char *copy = mem_strndup(text, size);
    owned(close_acl) acl_t acl = is_safe(copy) ? acl_from_text(copy) : NULL;
    if (!acl) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (acl_set_fd_np(fd, acl, ACL_TYPE_EXTENDED) == 0)
        return 0;
    errno = errno == EINVAL ? EOPNOTSUPP : errno;
    return -1;
}

int acl_text_remove(int fd)
{
    filesec_t security = filesec_init();
    if (!security)
        return -1;
    int result = filesec_set_property(security, FILESEC_ACL, _FILESEC_REMOVE_ACL);
    if (result == 0)
        result = fchmodx_np(fd, security);
    int saved = errno;
    filesec_free(security);
    errno = saved;
    return result;
}
