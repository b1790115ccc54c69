/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/link_groups.h"

#include <string.h>

#include "base/mem.h"

void link_groups_init(struct link_groups *groups, struct pair_walk *walk)
{
    *groups = (struct link_groups){.walk = walk};
}

void link_groups_clear(struct link_groups *groups)
{
    while (groups->newest) {
        struct link_group *group = groups->newest;
        groups->newest = group->older;
        link_groups_forget(groups, group);
        mem_free(&group->path);
        mem_free(&group);
    }
    inode_map_clear(&groups->right);
    inode_map_clear(&groups->left);
}

struct link_group *link_groups_of(struct link_groups *groups, const struct os_stat *right)
{
    struct link_group *group =
        (struct link_group *) inode_map_get(&groups->right, right->dev, right->ino);
    if (group)
        return group;
    group = mem_alloc(sizeof *group);
    group->older = groups->newest;
    groups->newest = group;
    inode_map_add(&groups->right, right->dev, right->ino, (uintptr_t) group);
    return group;
}

enum link_relation link_groups_relation(const struct link_groups *groups,
                                        const struct link_group *group, const struct os_stat *left)
{
    uintptr_t other = inode_map_get(&groups->left, left->dev, left->ino);
    if (other == (uintptr_t) group)
        return LINK_SAME;
    return other || group->has_left ? LINK_OTHER : LINK_UNKNOWN;
}

void link_groups_relate(struct link_groups *groups, struct link_group *group,
                        const struct os_stat *left)
{
    inode_map_add(&groups->left, left->dev, left->ino, (uintptr_t) group);
    group->has_left = true;
}

void link_groups_remember(struct link_group *group, struct walk_dir *dir, const char *name)
{
    size_t size = strlen(name) + 1;
    struct link_name *entry = mem_alloc(sizeof *entry + size);
    memcpy(entry->name, name, size);
    pair_walk_ref(dir);
    entry->dir = dir;
    *(group->last ? &group->last->next : &group->first) = entry;
    group->last = entry;
}

void link_groups_forget(struct link_groups *groups, struct link_group *group)
{
    while (group->first) {
        struct link_name *entry = group->first;
        group->first = entry->next;
        pair_walk_unref(groups->walk, entry->dir);
        mem_free(&entry);
    }
    group->last = NULL;
}
