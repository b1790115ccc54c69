/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/clonefsd/startup.h"

#include <sys/resource.h>

#include "base/log.h"
#include "tree/volume_check.h"

/* Some 100 for each tree that is worked on, some for each connection, and blobs that are read. */
enum { DESCRIPTORS_NEEDED = 1024 };

struct refusal {
    int rc;
    struct error *error;
};

/* The first refusal is what the caller says; those after it are for the same run of mending. */
static void hear(void *context, enum volume_verdict verdict, const char *text)
{
    struct refusal *refusal = context;
    if (verdict == VOLUME_WARNED)
        log_warn("%s", text);
    else if (refusal->rc == 0)
        refusal->rc = error_set(refusal->error, ERROR_PRECONDITION, "%s", text);
    else
        log_error("%s", text);
}

static void check_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS_NEEDED)
        log_warn("there are no more than %llu descriptors, so that calls will fail when many come "
                 "at a time: allow %d (ulimit -Hn, LimitNOFILE= of systemd, HardResourceLimits of "
                 "launchd)",
                 (unsigned long long) limit.rlim_cur, DESCRIPTORS_NEEDED);
}

int startup_check(const char *root, bool allow_case_insensitive, struct error *error)
{
    const struct volume_allowances allowances = {.case_insensitive = allow_case_insensitive};
    struct refusal refusal = {.error = error};
    check_descriptors();
    int rc = volume_check(root, &allowances, hear, &refusal, error);
    return rc == 0 ? refusal.rc : rc;
}
