/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "base/mem.h"
#include "base/small_calls.h"
#include "snapshotter/cached_trees.h"

/* What a Commit leaves to the background: whoever needs it earlier does it himself. */
struct after_commit {
    struct lane_job job;
    struct snapshotter *snapshotter;
    char *name;
    char *key;
};

static void measure(struct snapshotter *snapshotter, const struct after_commit *after)
{
    struct snapshot_usage usage;
    struct error error = {0};
    if (snapshot_usage_known(snapshotter, after->name, after->key, &usage, NULL) != 0)
        return;
    small_calls_give_way(); /* to what containerd writes when it has the answer */
    if (snapshot_usage_measure(snapshotter, after->name, after->key, &snapshotter->stopping, &usage,
                               &error) != 0)
        log_debug("measuring %s: %s", after->key, error.message);
}

static void run(struct lane_job *job)
{
    struct after_commit *after = (struct after_commit *) job;
    struct snapshotter *snapshotter = after->snapshotter;
    if (!cancel_requested(&snapshotter->stopping))
        cached_trees_make_room(snapshotter);
    if (!cancel_requested(&snapshotter->stopping))
        measure(snapshotter, after);
    if (!cancel_requested(&snapshotter->stopping))
        snapshot_record_fixups(snapshotter, after->name, after->key);
    inventories_drop_idle(snapshotter->inventories, clock_monotonic_ms());
    mem_free(&after->name);
    mem_free(&after->key);
    mem_free(&after);
}

void snapshot_after_commit(struct snapshotter *snapshotter, const char *name, const char *key)
{
    struct after_commit *after = mem_alloc(sizeof *after);
    *after = (struct after_commit){.job = {.run = run},
                                   .snapshotter = snapshotter,
                                   .name = mem_strdup(name),
                                   .key = mem_strdup(key)};
    lane_put(snapshotter->background, &after->job);
}
