/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/difference.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "diff/change.h"
#include "diff/layer_writer.h"
#include "diff/link_groups.h"
#include "diff/pair_walk.h"
#include "tree/os.h"
#include "tree/walk.h"

/*
 * What a clone proves. An inode of the right tree whose change time is earlier than the clone's end
 * is as it was cloned: its bytes, its attributes, and of a directory the set of its entries. That
 * says nothing of where it is now: a directory above it may have been renamed, and two names that
 * are exchanged (RENAME_EXCHANGE on XFS) leave no trace but in their directory. So it counts only
 * below directories that have the same entries as when they were cloned, all the way from the root
 * (pair_scope.same_names): then each path leads to the clone of what left has there.
 *
 * What is so proven is not looked at in left; everything else is compared.
 */
struct difference {
    const struct layer_difference_options *options;
    struct pair_walk *walk;
    struct changes changes;
    struct link_groups groups;
    struct layer_writer writer;
    uint64_t files_looked;
};

/* An entry of the right tree. */
struct subject {
    struct pair pair;
    struct layer_inode inode; /* xattrs only once they are needed */
    bool proven;              /* equal to what left has there */
    bool left_known;          /* left is the entry of the left tree */
    struct change_side left;
};

static atomic_ulong reserved_count;

/* Names that mean a whiteout in a layer cannot be told of in one: writing such a file would remove
 * another one, and removing it could empty its directory. */
static bool is_reserved(const struct pair *pair)
{
    if (strncmp(pair->name, ".wh.", 4) != 0)
        return false;
    if (log_count(&reserved_count)) {
        owned(mem_free) char *path = walk_dir_describe(pair->dir, pair->name);
        log_warn("%s is left out of a layer, since its name means a whiteout there (logged once)",
                 path);
    }
    return true;
}

static int wrap(const struct pair *pair, int code, struct error *error)
{
    owned(mem_free) char *path = walk_dir_describe(pair->dir, pair->name);
    (void) error_wrap(error, "%s", path);
    return code;
}

static int stat_entry(const struct pair *pair, int dirfd, struct os_stat *out_stat,
                      struct error *error)
{
    int code = 0;
    if (os_stat_at(dirfd, pair->name, out_stat) != 0)
        code = walk_open_error(error);
    else if (out_stat->mount_root)
        code = error_set(error, ERROR_PRECONDITION, "something is mounted here");
    return code == 0 ? 0 : wrap(pair, code, error);
}

static int look_left(struct difference *difference, struct subject *subject, struct error *error)
{
    if (!subject->pair.in_left || subject->left_known)
        return 0;
    int code = pair_walk_left_fd(difference->walk, &subject->left.dirfd, error);
    if (code == 0)
        code = stat_entry(&subject->pair, subject->left.dirfd, &subject->left.stat, error);
    subject->left_known = code == 0;
    return code;
}

/* 1 if the entry is to be written, 0 if left has its equal. */
static int find_change(struct difference *difference, struct subject *subject, bool *read,
                       struct error *error)
{
    if (subject->proven)
        return 0;
    int code = look_left(difference, subject, error);
    if (code != 0)
        return code;
    if (!subject->left_known)
        return 1;
    struct change_side right = {.dirfd = subject->pair.dir->fds[0], .stat = subject->inode.stat};
    bool was_read = *read;
    int result =
        changes_find(&difference->changes, subject->pair.name, &subject->left, &right, read, error);
    difference->writer.files_read += *read && !was_read ? 1 : 0;
    return result >= 0 ? result : wrap(&subject->pair, result, error);
}

static int visit_dir(struct difference *difference, struct subject *subject, struct error *error)
{
    const struct pair *pair = &subject->pair;
    bool read = false;
    int changed = find_change(difference, subject, &read, error);
    if (changed < 0)
        return changed;
    bool in_left = pair->in_left && (subject->proven || S_ISDIR(subject->left.stat.mode));
    bool same_names =
        subject->proven ||
        (in_left && pair->scope.same_names &&
         changes_same_names(&difference->changes, &subject->left.stat, &subject->inode.stat));
    struct pair_scope scope = {.in_left = in_left, .same_names = same_names};
    struct walk_dir *dir = NULL;
    int code = pair_walk_enter(difference->walk, scope, &dir, error);
    if (code == 0 && changed)
        code = layer_writer_dirs(&difference->writer, dir, error);
    return code;
}

static int write_entry(struct difference *difference, struct subject *subject,
                       struct link_group *group, bool *read, struct error *error)
{
    const struct pair *pair = &subject->pair;
    struct layer_writer *writer = &difference->writer;
    int code = xattr_set_read(&subject->inode.xattrs, pair->dir->fds[0], pair->name, error);
    if (code != 0)
        return wrap(pair, code, error);
    if (group && group->path)
        return layer_writer_link(writer, pair->dir, pair->name, &subject->inode, group->path,
                                 error);
    code = layer_writer_entry(writer, pair->dir, pair->name, &subject->inode, read, error);
    if (code != 0 || !group)
        return code;
    group->path = walk_dir_path(pair->dir, pair->name);
    for (const struct link_name *link = group->first; link && code == 0; link = link->next)
        code =
            layer_writer_link(writer, link->dir, link->name, &subject->inode, group->path, error);
    link_groups_forget(&difference->groups, group);
    return code;
}

/* As find_change, for a file of which either tree has several names. */
static int find_link_change(struct difference *difference, struct subject *subject,
                            struct link_group *group, struct error *error)
{
    int code = look_left(difference, subject, error);
    if (code != 0)
        return code;
    enum link_relation relation =
        subject->left_known ? link_groups_relation(&difference->groups, group, &subject->left.stat)
                            : LINK_OTHER;
    if (relation == LINK_SAME)
        return 0;
    if (relation == LINK_OTHER)
        return 1;
    int changed = find_change(difference, subject, &group->read, error);
    if (changed == 0)
        link_groups_relate(&difference->groups, group, &subject->left.stat);
    return changed;
}

static int visit_linked(struct difference *difference, struct subject *subject, struct error *error)
{
    const struct pair *pair = &subject->pair;
    struct link_group *group = link_groups_of(&difference->groups, &subject->inode.stat);
    int changed = group->path ? 1 : find_link_change(difference, subject, group, error);
    if (changed < 0)
        return changed;
    if (changed)
        return write_entry(difference, subject, group, &group->read, error);
    if (subject->inode.stat.nlink > 1)
        link_groups_remember(group, pair->dir, pair->name);
    return 0;
}

static int visit_file(struct difference *difference, struct subject *subject, struct error *error)
{
    bool read = false;
    if (subject->inode.stat.nlink > 1)
        return visit_linked(difference, subject, error);
    if (!subject->proven) {
        int code = look_left(difference, subject, error);
        if (code != 0)
            return code;
        if (subject->left_known && subject->left.stat.nlink > 1 &&
            !S_ISDIR(subject->left.stat.mode))
            return visit_linked(difference, subject, error);
    }
    int changed = find_change(difference, subject, &read, error);
    return changed > 0 ? write_entry(difference, subject, NULL, &read, error) : changed;
}

/* A layer has no sockets; but what left has there is gone. */
static int visit_socket(struct difference *difference, struct subject *subject, struct error *error)
{
    int code = subject->proven ? 0 : look_left(difference, subject, error);
    if (code != 0 || !subject->left_known || S_ISSOCK(subject->left.stat.mode))
        return code;
    return layer_writer_whiteout(&difference->writer, subject->pair.dir, subject->pair.name, error);
}

static void subject_clear(struct subject *subject)
{
    layer_inode_clear(&subject->inode);
}

static int visit_right(struct difference *difference, const struct pair *pair, struct error *error)
{
    owned(subject_clear) struct subject subject = {.pair = *pair};
    struct os_stat *stat = &subject.inode.stat;
    int code = stat_entry(pair, pair->dir->fds[0], stat, error);
    if (code != 0)
        return code;
    difference->files_looked++;
    subject.proven = pair->scope.same_names && changes_as_cloned(&difference->changes, stat);
    if (S_ISDIR(stat->mode))
        return visit_dir(difference, &subject, error);
    if (S_ISSOCK(stat->mode))
        return visit_socket(difference, &subject, error);
    return visit_file(difference, &subject, error);
}

static int visit(struct difference *difference, const struct pair *pair, struct error *error)
{
    if (is_reserved(pair))
        return 0;
    if (!pair->in_right)
        return layer_writer_whiteout(&difference->writer, pair->dir, pair->name, error);
    return visit_right(difference, pair, error);
}

static int walk_trees(struct difference *difference, struct error *error)
{
    struct pair pair;
    int result;
    while ((result = pair_walk_next(difference->walk, &pair, error)) > 0) {
        int code = visit(difference, &pair, error);
        if (code != 0)
            return code;
    }
    return result == 0 ? tar_writer_finish(&difference->writer.tar, error) : result;
}

static void difference_clear(struct difference *difference)
{
    tar_writer_clear(&difference->writer.tar);
    link_groups_clear(&difference->groups);
    changes_clear(&difference->changes);
    pair_walk_clear(&difference->walk);
}

static int open_trees(struct difference *difference, struct error *error)
{
    const struct layer_difference_options *options = difference->options;
    struct pair_scope scope = {.in_left = options->left_fd >= 0};
    struct os_stat left;
    struct os_stat right;
    if (scope.in_left && options->cloned) {
        if (os_stat(options->left_fd, &left) != 0 || os_stat(options->right_fd, &right) != 0)
            return error_errno(error, "cannot read the attributes of a root");
        scope.same_names = changes_same_names(&difference->changes, &left, &right);
    }
    return pair_walk_open(options->left_fd, options->right_fd, scope, options->cancel,
                          &difference->walk, error);
}

int layer_difference(const struct layer_difference_options *options, struct layer_sink *sink,
                     struct layer_difference_result *out_result, struct error *error)
{
    owned(difference_clear) struct difference difference = {.options = options};
    changes_init(&difference.changes, options->cloned, options->cancel);
    difference.changes.reads_all = options->reads_all;
    int code = open_trees(&difference, error);
    if (code != 0)
        return code;
    link_groups_init(&difference.groups, difference.walk);
    difference.writer = (struct layer_writer){.walk = difference.walk,
                                              .cancel = options->cancel,
                                              .has_epoch = options->has_epoch,
                                              .epoch_seconds = options->epoch_seconds};
    tar_writer_init(&difference.writer.tar, sink);
    code = walk_trees(&difference, error);
    if (code == 0)
        *out_result = (struct layer_difference_result){.entries = difference.writer.entries,
                                                       .files_read = difference.writer.files_read,
                                                       .files_looked = difference.files_looked};
    return code;
}
