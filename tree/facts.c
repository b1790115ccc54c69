/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/facts.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tree/facts_ask.h"
#include "tree/facts_os.h"
#include "tree/tree.h"

static int ask_in(int scratch_fd, question *ask, char *out_answer, size_t size, struct error *error)
{
    owned(fd_close) int fd = fd_make_dir(scratch_fd, "question", 0700, error);
    if (fd < 0)
        return fd;
    errno = 0;
    char text[100];
    bool yes = ask(fd);
    int reason = errno;
    if (yes || reason == 0)
        (void) snprintf(out_answer, size, "%s", yes ? "yes" : "no");
    else
        (void) snprintf(out_answer, size, "no: %s", error_number_text(reason, text, sizeof text));
    return tree_remove(scratch_fd, "question", NULL, error);
}

static int ask_list(int scratch_fd, const struct fact_list *list, tree_fact_teller *tell,
                    void *context, struct error *error)
{
    char answer[128];
    for (size_t i = 0; i < list->count; i++) {
        int rc = ask_in(scratch_fd, list->facts[i].ask, answer, sizeof answer, error);
        if (rc != 0)
            return rc;
        tell(context, list->facts[i].text, answer);
    }
    return 0;
}

static int ask_all(int scratch_fd, tree_fact_teller *tell, void *context, struct error *error)
{
    static const struct fact_list *const lists[] = {&facts_of_clones, &facts_of_names,
                                                    &facts_of_attributes, &facts_of_kinds};
    size_t count = 0;
    const struct fact_list *const *own = facts_of_system(&count);
    char answer[128];
    facts_file_system(scratch_fd, answer, sizeof answer);
    tell(context, "file system", answer);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof lists / sizeof lists[0]; i++)
        rc = ask_list(scratch_fd, lists[i], tell, context, error);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = ask_list(scratch_fd, own[i], tell, context, error);
    return rc;
}

int tree_facts(int dirfd, tree_fact_teller *tell, void *context, struct error *error)
{
    char name[64];
    (void) snprintf(name, sizeof name, ".clonefs-probe.%ld", (long) getpid());
    owned(fd_close) int fd = fd_make_dir(dirfd, name, 0700, error);
    if (fd < 0)
        return fd;
    int rc = ask_all(fd, tell, context, error);
    int removed = tree_remove(dirfd, name, NULL, rc == 0 ? error : NULL);
    return rc == 0 ? removed : rc;
}
