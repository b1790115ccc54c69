/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "snapshotter/internal.h"

static const char list_name[] = "fixups"; /* beside the tree's fs */

/* A smaller tree is scanned in no time. */
enum { KEPT_ENTRIES_MIN = 1000 };

/* Two that do this for one tree at the same time may spoil the file, which is noticed when it is
 * read, and then made anew. */
static void keep(const struct fixups *list, int tree_dirfd)
{
    struct error error = {0};
    if (fixups_sum(list, 0, list->count).entries < KEPT_ENTRIES_MIN)
        return;
    if (fixups_save(list, tree_dirfd, list_name, &error) != 0)
        log_debug("%s", error.message);
}

bool snapshot_fixups(const struct snapshotter *snapshotter, int tree_dirfd,
                     const struct cancel *cancel, struct fixups *out_list)
{
    struct error error = {0};
    if (!snapshotter->options.clones_directories)
        return false;
    if (fixups_load(out_list, tree_dirfd, list_name))
        return true;
    int rc = fixups_scan(out_list, tree_dirfd, "fs", cancel, &error);
    if (rc < 0)
        log_debug("no fix-up list: %s", error.message);
    if (rc == 0)
        keep(out_list, tree_dirfd);
    return rc == 0;
}

void snapshot_record_fixups(struct snapshotter *snapshotter, const char *name, const char *key)
{
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    owned(fixups_clear) struct fixups list = FIXUPS_NULL;
    char tree[ID_NAME_SIZE];
    if (!snapshotter->options.clones_directories ||
        snapshot_stat(snapshotter, name, key, &record, NULL) != 0 ||
        record.kind != SNAPSHOT_COMMITTED)
        return;
    id_name(record.tree, tree);
    owned(fd_close) int dirfd = fd_open_dir(snapshotter->root->trees_fd, tree);
    if (dirfd >= 0)
        (void) snapshot_fixups(snapshotter, dirfd, &snapshotter->stopping, &list);
}
