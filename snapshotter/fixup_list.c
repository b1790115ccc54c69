/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "snapshotter/internal.h"

static const char list_name[] = "fixups"; /* beside the tree's fs */

/* A smaller tree is scanned in no time. */
enum { KEPT_ENTRIES_MIN = 1000 };

/* Two that do this for one tree at the same time may spoil the file, which is noticed when it is
 * read, and then made anew. */
static void keep(const struct path_list *list, int tree_dirfd)
{
    struct error error = {0};
    if (fixups_sum(list, 0, list->count).entries < KEPT_ENTRIES_MIN)
        return;
    if (fixups_save(list, tree_dirfd, list_name, &error) != 0)
        log_debug("%s", error.message);
}

/* The list of the tree in tree_dirfd: the one that was recorded, or else a new one, which is
 * recorded if the tree is held. False if there is none: entries are cloned one by one. */
static bool find_list(const struct snapshotter *snapshotter, int tree_dirfd, bool held,
                      const struct cancel *cancel, struct path_list *out_list)
{
    struct error error = {0};
    if (!snapshotter->options.clones_directories)
        return false;
    if (fixups_load(out_list, tree_dirfd, list_name))
        return true;
    int rc = fixups_scan(out_list, tree_dirfd, "fs", cancel, &error);
    if (rc < 0)
        log_debug("no fix-up list: %s", error.message);
    if (rc == 0 && held)
        keep(out_list, tree_dirfd);
    return rc == 0;
}

/* A tree that was changed after all is cloned all the same, if more slowly. */
static int clone_without(int parent_dirfd, int dirfd, const struct tree_clone_options *options,
                         struct tree_clone_result *out_result, struct error *error)
{
    (void) unlinkat(parent_dirfd, list_name, 0);
    int rc = tree_remove(dirfd, "fs", options->cancel, error);
    return rc == 0 ? tree_clone(parent_dirfd, "fs", dirfd, "fs", options, out_result, error) : rc;
}

int snapshot_clone_tree(const struct snapshotter *snapshotter, int parent_dirfd, bool held,
                        int dirfd, const struct tree_clone_options *options,
                        struct tree_clone_result *out_result, struct error *error)
{
    owned(path_list_clear) struct path_list fixups = PATH_LIST_NULL;
    struct tree_clone_options by_list = *options;
    struct error own = {0};
    if (find_list(snapshotter, parent_dirfd, held, options->cancel, &fixups))
        by_list.fixups = &fixups;
    int rc = tree_clone(parent_dirfd, "fs", dirfd, "fs", &by_list, out_result, &own);
    if (rc == ERROR_CORRUPT && by_list.fixups) {
        log_warn("a snapshot is not as it was when it was committed, and is cloned entry by entry: "
                 "%s",
                 own.message);
        return clone_without(parent_dirfd, dirfd, options, out_result, error);
    }
    if (rc != 0 && error)
        *error = own;
    return rc;
}

static void record(const struct snapshotter *snapshotter, uint64_t tree,
                   const struct cancel *cancel)
{
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    owned(fd_close) int dirfd = snapshotter_open_folder(snapshotter, tree);
    if (dirfd >= 0)
        (void) find_list(snapshotter, dirfd, true, cancel, &list);
}

void snapshot_record_fixups(struct snapshotter *snapshotter, const char *name, const char *key)
{
    owned(snapshot_record_clear) struct snapshot_record snapshot = SNAPSHOT_RECORD_NULL;
    if (snapshotter->options.clones_directories &&
        snapshot_stat(snapshotter, name, key, &snapshot, NULL) == 0 &&
        snapshot.kind == SNAPSHOT_COMMITTED && !snapshot.layer && snapshot.tree)
        record(snapshotter, snapshot.tree, &snapshotter->stopping);
}

struct fixups_recording {
    const struct snapshotter *snapshotter;
    uint64_t tree;
    const struct cancel *cancel;
    pthread_t thread;
};

static void *run_recording(void *argument)
{
    const struct fixups_recording *recording = argument;
    record(recording->snapshotter, recording->tree, recording->cancel);
    return NULL;
}

struct fixups_recording *snapshot_begin_fixups(const struct snapshotter *snapshotter, uint64_t tree,
                                               const struct cancel *cancel)
{
    if (!snapshotter->options.clones_directories)
        return NULL;
    struct fixups_recording *recording = mem_alloc(sizeof *recording);
    *recording =
        (struct fixups_recording){.snapshotter = snapshotter, .tree = tree, .cancel = cancel};
    if (thread_start(&recording->thread, "fixups", run_recording, recording, NULL) != 0)
        mem_free(&recording);
    return recording;
}

void snapshot_end_fixups(struct fixups_recording **inout_recording)
{
    if (*inout_recording)
        (void) pthread_join((*inout_recording)->thread, NULL);
    mem_free(inout_recording);
}

void snapshot_drop_fixups(const struct snapshotter *snapshotter, uint64_t tree)
{
    if (!snapshotter->options.clones_directories)
        return;
    owned(fd_close) int dirfd = snapshotter_open_folder(snapshotter, tree);
    if (dirfd >= 0)
        (void) unlinkat(dirfd, list_name, 0);
}
