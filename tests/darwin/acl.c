/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/darwin/include/sys/acl.h"
#include "tests/darwin/internal.h"

/* An ACL is its text, an entry a line, without the names and numbers of users and groups: those
 * are put in when it is asked for, as by a machine that knows them. */
struct acl {
    size_t next; /* the entry that acl_get_entry gives next, in text */
    char text[];
};

enum { TEXT_MAX = 60000, GUID_LENGTH = 36, ENTRIES_MAX = 128 };

/* include/darwin.h */
struct filesec {
    bool removes_acl;
};
struct filesec *filesec_init(void);
void filesec_free(struct filesec *security);
int filesec_set_property(struct filesec *security, int property, const void *value);
int fchmodx_np(int fd, struct filesec *security);

int acl_free(void *acl_or_text)
{
    free(acl_or_text);
    return 0;
}

static bool is_symlink(int fd)
{
    struct stat found;
    return fstat(fd, &found) == 0 && S_ISLNK(found.st_mode);
}

static acl_t new_acl(const char *text, size_t length)
{
    acl_t acl = calloc(1, sizeof *acl + length + 1);
    if (!acl)
        return NULL;
    memcpy(acl->text, text, length);
    acl->text[length] = '\0';
    return acl;
}

acl_t acl_get_fd_np(int fd, acl_type_t type)
{
    struct proc_path path = proc_path(fd);
    char text[TEXT_MAX];
    if (type != ACL_TYPE_EXTENDED) {
        errno = EINVAL;
        return NULL;
    }
    ssize_t length = proc_get(&path, OWN_ACL, text, sizeof text);
    if (length >= 0)
        return new_acl(text, (size_t) length);
    if (errno == ENODATA || errno == EOPNOTSUPP)
        errno = ENOENT;
    return NULL;
}

int acl_set_fd_np(int fd, acl_t acl, acl_type_t type)
{
    struct proc_path path = proc_path(fd);
    if (type != ACL_TYPE_EXTENDED || is_symlink(fd)) {
        errno = DARWIN_ENOTSUP;
        return -1;
    }
    if (proc_set(&path, OWN_ACL, acl->text, strlen(acl->text), 0) == 0)
        return 0;
    errno = errno == EOPNOTSUPP ? DARWIN_ENOTSUP : errno;
    return -1;
}

/* Appends an entry without name and number; false if it is none. */
static bool add_entry(char *out, const char *line, size_t length)
{
    char copy[512];
    char *fields[7];
    int count = 0;
    if (length >= sizeof copy)
        return false;
    memcpy(copy, line, length);
    copy[length] = '\0';
    for (char *rest = copy; rest && count < 7;)
        fields[count++] = strsep(&rest, ":");
    if (count < 5 || count > 6 ||
        (strcmp(fields[0], "user") != 0 && strcmp(fields[0], "group") != 0) ||
        strlen(fields[1]) != GUID_LENGTH ||
        (strncmp(fields[4], "allow", 5) != 0 && strncmp(fields[4], "deny", 4) != 0))
        return false;
    (void) sprintf(out + strlen(out), "user:%s:::%s:%s\n", fields[1], fields[4],
                   count == 6 ? fields[5] : "");
    return true;
}

/* The one of macOS ends the program at a line that has too few fields. */
acl_t acl_from_text(const char *text)
{
    static const char head[] = "!#acl 1\n";
    size_t entries = 0;
    bool good = strncmp(text, head, sizeof head - 1) == 0 && strlen(text) < TEXT_MAX / 2;
    char *out = good ? calloc(1, TEXT_MAX) : NULL;
    if (out)
        (void) strcpy(out, head);
    for (const char *line = text + (good ? sizeof head - 1 : 0); out && good && *line;) {
        size_t length = strcspn(line, "\n");
        good = add_entry(out, line, length) && ++entries <= ENTRIES_MAX;
        line += length + (line[length] == '\n');
    }
    acl_t acl = good && out ? new_acl(out, strlen(out)) : NULL;
    free(out);
    errno = acl ? errno : EINVAL;
    return acl;
}

/* An entry, and its flags, are the place of its line. */
int acl_get_entry(acl_t acl, int which, acl_entry_t *out_entry)
{
    if (which == ACL_FIRST_ENTRY)
        acl->next = strcspn(acl->text, "\n") + 1;
    char *line = acl->text + acl->next;
    if (*line == '\0') {
        errno = EINVAL;
        return -1;
    }
    acl->next += strcspn(line, "\n") + 1;
    *out_entry = (acl_entry_t) (void *) line;
    return 0;
}

int acl_get_flagset_np(void *entry, acl_flagset_t *out_flags)
{
    *out_flags = entry;
    return 0;
}

int acl_get_flag_np(acl_flagset_t flags, acl_flag_t flag)
{
    const char *line = (const char *) (const void *) flags;
    const char *name = flag == ACL_ENTRY_INHERITED      ? ",inherited"
                       : flag == ACL_ENTRY_FILE_INHERIT ? ",file_inherit"
                                                        : ",directory_inherit";
    const char *found = strstr(line, name);
    return found && found < line + strcspn(line, "\n");
}

char *acl_to_text(acl_t acl, ssize_t *out_length)
{
    char *text = calloc(1, 2 * TEXT_MAX);
    char *out = text;
    if (!text)
        return NULL;
    for (const char *in = acl->text; *in; in++) {
        if (strncmp(in, ":::", 3) == 0) {
            out += sprintf(out, ":somebody:501:");
            in += 2;
        } else {
            *out++ = *in;
        }
    }
    if (out_length)
        *out_length = out - text;
    return text;
}

struct filesec *filesec_init(void)
{
    return calloc(1, sizeof(struct filesec));
}

void filesec_free(struct filesec *security)
{
    free(security);
}

int filesec_set_property(struct filesec *security, int property, const void *value)
{
    enum { ACL = 5 };
    if (property != ACL || value != (const void *) 1) {
        errno = EINVAL;
        return -1;
    }
    security->removes_acl = true;
    return 0;
}

int fchmodx_np(int fd, struct filesec *security)
{
    struct proc_path path = proc_path(fd);
    if (security->removes_acl && proc_remove(&path, OWN_ACL) != 0 && errno != ENODATA)
        return -1;
    return 0;
}

int acl_copy(int from_fd, int to_fd)
{
    acl_t acl = acl_get_fd_np(from_fd, ACL_TYPE_EXTENDED);
    if (!acl)
        return errno == ENOENT ? 0 : -1;
    int result = acl_set_fd_np(to_fd, acl, ACL_TYPE_EXTENDED);
    int saved = errno;
    (void) acl_free(acl);
    errno = saved;
    return result;
}

/* "file_inherit", "directory_inherit"; symlinks have no ACL. */
void acl_inherit(int dirfd, const char *path)
{
    static const char head[] = "!#acl 1\n";
    struct proc_path dir = proc_path(dirfd);
    struct proc_path made = proc_path_at(dirfd, path, AT_SYMLINK_NOFOLLOW);
    char text[TEXT_MAX + 1];
    char inherited[TEXT_MAX + sizeof head];
    struct stat found;
    ssize_t length = proc_get(&dir, OWN_ACL, text, TEXT_MAX);
    if (length <= 0 || fstatat(dirfd, path, &found, AT_SYMLINK_NOFOLLOW) != 0 ||
        S_ISLNK(found.st_mode))
        return;
    text[length] = '\0';
    size_t used = sizeof head - 1;
    memcpy(inherited, head, sizeof head);
    for (const char *line = text; *line;) {
        size_t size = strcspn(line, "\n");
        const char *flag = memmem(line, size, "_inherit", 8);
        if (flag) {
            memcpy(inherited + used, line, size);
            used += size;
            inherited[used++] = '\n';
        }
        line += size + (line[size] == '\n');
    }
    if (used >= sizeof head)
        (void) proc_set(&made, OWN_ACL, inherited, used, 0);
}
