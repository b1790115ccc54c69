/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/hardlinks.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"

enum group_state { GROUP_CLAIMED, GROUP_PUBLISHED, GROUP_FAILED };

struct hardlink_group {
    struct hardlink_group *older; /* set once */
    unsigned flags;               /* OS_FLAG_... of the origin; set once */
    enum group_state state;       /* under lock */
    struct walk_dir *dir;         /* set when published, as name; referenced */
    char *name;
};

/* Of the two trees of a clone's walk, the one that is being made. */
enum { TARGET = 1 };

void hardlinks_init(struct hardlinks *links, struct walk *walk)
{
    *links = (struct hardlinks){
        .walk = walk, .lock = PTHREAD_MUTEX_INITIALIZER, .published = PTHREAD_COND_INITIALIZER};
}

void hardlinks_clear(struct hardlinks *links)
{
    while (links->newest) {
        struct hardlink_group *group = links->newest;
        links->newest = group->older;
        if (group->dir)
            walk_unref(links->walk, group->dir);
        mem_free(&group->name);
        mem_free(&group);
    }
    inode_map_clear(&links->groups);
    (void) pthread_mutex_destroy(&links->lock);
    (void) pthread_cond_destroy(&links->published);
}

struct hardlink_group *hardlinks_claim(struct hardlinks *links, const struct os_stat *origin,
                                       bool *out_first)
{
    (void) pthread_mutex_lock(&links->lock);
    uintptr_t known = inode_map_get(&links->groups, origin->dev, origin->ino);
    struct hardlink_group *group = (struct hardlink_group *) known;
    *out_first = !group;
    if (!group) {
        group = mem_alloc(sizeof *group);
        group->flags = S_ISREG(origin->mode) ? origin->flags : 0;
        group->older = links->newest;
        links->newest = group;
        inode_map_add(&links->groups, origin->dev, origin->ino, (uintptr_t) group);
    }
    (void) pthread_mutex_unlock(&links->lock);
    return group;
}

void hardlinks_publish(struct hardlinks *links, struct hardlink_group *group, struct walk_dir *dir,
                       const char *name)
{
    if (dir)
        walk_ref(dir);
    (void) pthread_mutex_lock(&links->lock);
    group->state = dir ? GROUP_PUBLISHED : GROUP_FAILED;
    group->dir = dir;
    group->name = dir ? mem_strdup(name) : NULL;
    (void) pthread_cond_broadcast(&links->published);
    (void) pthread_mutex_unlock(&links->lock);
}

static bool wait_until_published(struct hardlinks *links, struct hardlink_group *group)
{
    (void) pthread_mutex_lock(&links->lock);
    while (group->state == GROUP_CLAIMED)
        (void) pthread_cond_wait(&links->published, &links->lock);
    bool published = group->state == GROUP_PUBLISHED;
    (void) pthread_mutex_unlock(&links->lock);
    return published;
}

int hardlinks_link(struct hardlinks *links, struct hardlink_group *group, struct walk_dir *dir,
                   const char *name, struct error *error)
{
    if (!wait_until_published(links, group))
        return 0; /* the thread that claimed the group fails the walk, and knows why */
    if (walk_use(links->walk, group->dir) != 0)
        return error_errno(error, "cannot open the directory of another name of this file");
    int result = linkat(group->dir->fds[TARGET], group->name, dir->fds[TARGET], name, 0);
    int saved = errno;
    walk_unuse(links->walk, group->dir);
    errno = saved;
    return result == 0 ? 0 : error_errno(error, "cannot link to another name of this file");
}

static int set_flags(struct hardlinks *links, const struct hardlink_group *group,
                     struct error *error)
{
    if (walk_use(links->walk, group->dir) != 0)
        return error_errno(error, "cannot open the directory of %s", group->name);
    owned(fd_close) int fd = os_open_file(group->dir->fds[TARGET], group->name);
    walk_unuse(links->walk, group->dir);
    if (fd < 0 || os_change_flags(fd, group->flags, true) != 0)
        return error_errno(error, "cannot set the flags of %s", group->name);
    return 0;
}

int hardlinks_finish(struct hardlinks *links, struct error *error)
{
    int code = 0;
    for (struct hardlink_group *group = links->newest; group && code == 0; group = group->older)
        if (group->flags && group->state == GROUP_PUBLISHED)
            code = set_flags(links, group, error);
    return code;
}
