/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/clonefsd/probe.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tree/facts.h"
#include "tree/volume_check.h"

static void print_fact(void *context, const char *fact, const char *answer)
{
    (void) context;
    (void) printf("%s: %s\n", fact, answer);
    (void) fflush(stdout);
}

/* Of a store in this folder. */
static void print_finding(void *context, enum volume_verdict verdict, const char *text)
{
    unsigned *count = context;
    (void) printf("%s: %s\n", verdict == VOLUME_REFUSED ? "a start refuses" : "a start warns",
                  text);
    (*count)++;
}

static int print_findings(const char *folder, struct error *error)
{
    static const struct volume_allowances allowances = {0};
    unsigned count = 0;
    int rc = volume_check(folder, &allowances, print_finding, &count, error);
    if (rc == 0 && count == 0)
        (void) puts("a start finds nothing wrong");
    return rc;
}

int probe(const char *folder, struct error *error)
{
    struct utsname system;
    owned(fd_close) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(error, "cannot open the folder %s", folder);
    if (uname(&system) == 0)
        (void) printf("clonefsd " CLONEFS_VERSION " on %s %s %s\n", system.sysname, system.release,
                      system.machine);
    int rc = tree_facts(fd, print_fact, NULL, error);
    if (rc == 0)
        rc = print_findings(folder, error);
    return rc == 0 ? 0 : error_wrap(error, "%s", folder);
}
