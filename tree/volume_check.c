/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/volume_check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool on_macos(const struct volume_state *state)
{
    return state->system == VOLUME_ON_MACOS;
}

/* The sealed one, or one beside it: Data, which has everything else. */
static bool is_the_systems(const struct volume_state *state)
{
    static const char beside[] = "/System/Volumes/";
    return on_macos(state) && (strcmp(state->mount_point, "/") == 0 ||
                               (begins(state->mount_point, beside) &&
                                strchr(state->mount_point + sizeof beside - 1, '/') == NULL));
}

static bool is_sealed(const struct volume_state *state)
{
    return state->read_only && is_the_systems(state);
}

static bool is_read_only(const struct volume_state *state)
{
    return state->read_only && !is_the_systems(state);
}

static bool is_not_apfs(const struct volume_state *state)
{
    return on_macos(state) && strcmp(state->file_system, "apfs") != 0;
}

static bool ignores_owners(const struct volume_state *state)
{
    return state->owners_ignored;
}

static bool is_case_insensitive_apfs(const struct volume_state *state)
{
    return on_macos(state) && state->case_insensitive;
}

static bool is_case_insensitive_folder(const struct volume_state *state)
{
    return !on_macos(state) && state->case_insensitive;
}

/* What macOS keeps from programs without a window, and what is taken to a cloud and back. */
static bool is_guarded(const struct volume_state *state)
{
    static const char *const folders[] = {"/Desktop/", "/Documents/", "/Downloads/",
                                          "/Library/Mobile Documents/", "/Library/CloudStorage/"};
    char path[VOLUME_PATH_SIZE + 1];
    const char *home = path + strlen("/Users/");
    (void) snprintf(path, sizeof path, "%s/", state->root);
    if (!on_macos(state) || !begins(path, "/Users/"))
        return false;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        if (begins(home + strcspn(home, "/"), folders[i]))
            return true;
    return false;
}

static bool is_home(const struct volume_state *state)
{
    return on_macos(state) && !is_guarded(state) && !begins(state->root, "/Users/Shared/") &&
           (begins(state->root, "/Users/") || begins(state->root, "/private/var/root/"));
}

static bool inherits_acl(const struct volume_state *state)
{
    return state->inherits_acl;
}

static bool is_remote(const struct volume_state *state)
{
    return !on_macos(state) && state->remote;
}

static bool is_removable(const struct volume_state *state)
{
    return state->removable;
}

/* The marks of the next three would be for everything else on the system's volume, too. */
static bool is_indexed(const struct volume_state *state)
{
    return state->indexed && !is_the_systems(state);
}

static bool has_events_logged(const struct volume_state *state)
{
    return state->events_logged && !is_the_systems(state);
}

static bool is_backed_up(const struct volume_state *state)
{
    return state->backed_up && !is_the_systems(state);
}

static bool has_no_suid(const struct volume_state *state)
{
    return state->no_suid;
}

static bool has_no_dev(const struct volume_state *state)
{
    return state->no_dev;
}

static bool has_no_exec(const struct volume_state *state)
{
    return state->no_exec;
}

#define MAKE_VOLUME "make a volume for the store by sudo clonefs-make-volume"

/* In texts {root}, {folder}, {volume} and {kind} stand for what the state says. */
static const struct rule {
    bool (*applies)(const struct volume_state *state);
    enum volume_verdict verdict;
    const char *text;
} rules[] = {
    {is_sealed, VOLUME_REFUSED,
     "{root} is on the volume of macOS itself, which nobody can write to: " MAKE_VOLUME
     ", and give --root the folder that it names"},
    {is_read_only, VOLUME_REFUSED,
     "{root} is on {volume}, which is mounted read-only: mount it for writing, or give --root a "
     "folder of another volume"},
    {is_not_apfs, VOLUME_REFUSED,
     "{root} is on {volume}, which is {kind}: of the file systems of macOS only APFS clones files "
     "and keeps owners, modes, links, names and times as images have them; " MAKE_VOLUME
     ", and give --root the folder that it names"},
    {ignores_owners, VOLUME_REFUSED,
     "{volume} is mounted without owners, so that chown does nothing and every file of every image "
     "would belong to one user: sudo diskutil enableOwnership '{volume}'"},
    {is_case_insensitive_apfs, VOLUME_REFUSED,
     "{volume} takes names that differ by case alone for one, so that layers which have both are "
     "not "
     "what they should be: " MAKE_VOLUME
     ", and give --root the folder that it names (or mount that volume, if "
     "this is the place where it should be: sudo diskutil mount clonefs); if no image will have "
     "such names, allow_case_insensitive = true at the top of the configuration"},
    {is_case_insensitive_folder, VOLUME_REFUSED,
     "{folder} takes names that differ by case alone for one, so that layers which have both are "
     "not "
     "what they should be: make the root in a folder that does not, or of an empty one do chattr "
     "-F "
     "'{folder}'; if no image will have such names, allow_case_insensitive = true at the top of "
     "the configuration"},
    {is_guarded, VOLUME_REFUSED,
     "{root} is in a folder that macOS keeps from services (\"Operation not permitted\"), and of "
     "which a cloud may take files away: " MAKE_VOLUME
     ", and give --root the folder that it names"},
    {inherits_acl, VOLUME_REFUSED,
     "{folder} has an access control list that everything made in it inherits, so that snapshots "
     "would have entries that their images do not have: sudo chmod -N '{folder}'"},
    {is_remote, VOLUME_WARNED,
     "{root} is on a server's volume ({kind}): the database needs one of this machine, since its "
     "locks and its memory map are not a server's; give --root a folder on a local disk"},
    {is_the_systems, VOLUME_WARNED,
     "{root} is on the volume that macOS and its users have everything on: Spotlight, its log of "
     "changes and Time Machine take part in all that is stored, and local snapshots keep what was "
     "removed; " MAKE_VOLUME ", and give --root the folder that it names"},
    {is_home, VOLUME_WARNED,
     "{root} is below a user's home, parts of which macOS keeps from services and takes to a "
     "cloud: give --root a folder of a volume of its own (sudo clonefs-make-volume)"},
    {is_removable, VOLUME_WARNED,
     "{volume} is on a medium that can be taken out, which macOS keeps from services unless they "
     "have Full Disk Access: give --root a folder on an internal disk"},
    {is_indexed, VOLUME_WARNED,
     "Spotlight reads every file that is stored on {volume}: sudo touch "
     "'{volume}/.metadata_never_index' && sudo mdutil -i off '{volume}'"},
    {has_events_logged, VOLUME_WARNED,
     "fseventsd writes down every change on {volume}: sudo mkdir -p '{volume}/.fseventsd' && sudo "
     "touch '{volume}/.fseventsd/no_log' (counts from the next mount on)"},
    {is_backed_up, VOLUME_WARNED,
     "Time Machine may back up {volume}, and its local snapshots keep what was removed and make "
     "the usage of snapshots 0: sudo tmutil addexclusion '{volume}'"},
    {has_no_suid, VOLUME_WARNED,
     "{volume} is mounted nosuid, so that set-id programs and file capabilities of images have no "
     "effect: mount it without (mount -u -o suid on macOS, mount -o remount,suid on Linux, and "
     "/etc/fstab)"},
    {has_no_dev, VOLUME_WARNED,
     "{volume} is mounted nodev, so that device files of images have no effect: mount it without "
     "(mount -u -o dev on macOS, mount -o remount,dev on Linux, and /etc/fstab)"},
    {has_no_exec, VOLUME_WARNED,
     "{volume} is mounted noexec, so that no program of any image can be run: mount it without "
     "(mount -u -o exec on macOS, mount -o remount,exec on Linux, and /etc/fstab)"},
};

/* The value of the word in braces that text begins with, and its length; "" for no such word. */
static const char *find_value(const struct volume_state *state, const char *text, size_t *out_size)
{
    const struct {
        const char *word;
        const char *value;
    } values[] = {{"{root}", state->root},
                  {"{folder}", state->folder},
                  {"{volume}", state->mount_point},
                  {"{kind}", state->file_system}};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        *out_size = strlen(values[i].word);
        if (begins(text, values[i].word))
            return values[i].value;
    }
    *out_size = 1;
    return "";
}

static char *fill_in(const struct volume_state *state, const char *text)
{
    char *filled = mem_strdup("");
    while (*text) {
        size_t size = strcspn(text, "{");
        owned(mem_free) char *before = filled;
        const char *value = size > 0 ? text : find_value(state, text, &size);
        filled =
            mem_printf("%s%.*s", before, value == text ? (int) size : (int) strlen(value), value);
        text += size;
    }
    return filled;
}

static bool is_allowed(const struct rule *rule, const struct volume_allowances *allowances)
{
    return allowances->case_insensitive && (rule->applies == is_case_insensitive_apfs ||
                                            rule->applies == is_case_insensitive_folder);
}

void volume_judge(const struct volume_state *state, const struct volume_allowances *allowances,
                  volume_teller *tell, void *context)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (!rules[i].applies(state))
            continue;
        owned(mem_free) char *text = fill_in(state, rules[i].text);
        tell(context, is_allowed(&rules[i], allowances) ? VOLUME_WARNED : rules[i].verdict, text);
    }
}

/* Finds out root and folder; false if neither is there. */
static bool find_folder(const char *root, struct volume_state *state)
{
    owned(mem_free) char *found = realpath(root, NULL);
    if (found) {
        (void) snprintf(state->root, sizeof state->root, "%s", found);
        (void) snprintf(state->folder, sizeof state->folder, "%s", found);
        return true;
    }
    size_t end = strlen(root);
    while (end > 0 && root[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && root[start - 1] != '/')
        start--;
    owned(mem_free) char *parent = start > 0 ? mem_strndup(root, start) : mem_strdup(".");
    owned(mem_free) char *above = realpath(parent, NULL);
    if (!above)
        return false;
    (void) snprintf(state->folder, sizeof state->folder, "%s", above);
    (void) snprintf(state->root, sizeof state->root, "%s/%.*s", above[1] ? above : "",
                    (int) (end - start), root + start);
    return true;
}

int volume_check(const char *root, const struct volume_allowances *allowances, volume_teller *tell,
                 void *context, struct error *error)
{
    struct volume_state state = {0};
    if (!find_folder(root, &state))
        return 0;
    owned(fd_close) int fd = open(state.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(error, "cannot open the folder %s", state.folder);
    volume_state_read(fd, &state);
    volume_judge(&state, allowances, tell, context);
    return 0;
}
