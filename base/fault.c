/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fault.h"

#ifdef CLONEFS_FAULTS

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fault {
    char name[64];
    long pass; /* acts at this pass */
    char action[16];
};

static struct fault faults[16];
static size_t fault_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void parse_fault(char *text)
{
    char *equals = strchr(text, '=');
    if (!equals || fault_count == sizeof faults / sizeof faults[0])
        return;
    *equals = '\0';
    struct fault *fault = &faults[fault_count++];
    char *at = strchr(text, '@');
    fault->pass = 1;
    if (at) {
        *at = '\0';
        fault->pass = strtol(at + 1, NULL, 10);
    }
    strncpy(fault->name, text, sizeof fault->name - 1);
    strncpy(fault->action, equals + 1, sizeof fault->action - 1);
}

static void load(void)
{
    const char *value = getenv("CLONEFS_FAULT");
    char *copy = value ? strdup(value) : NULL;
    char *save = NULL;
    for (char *item = copy ? strtok_r(copy, ",", &save) : NULL; item;
         item = strtok_r(NULL, ",", &save))
        parse_fault(item);
    free(copy);
}

static int act(const char *action)
{
    if (strcmp(action, "kill") == 0)
        (void) kill(getpid(), SIGKILL);
    while (strcmp(action, "kill") == 0 || strcmp(action, "stop") == 0)
        (void) pause();
    errno = (int) strtol(action, NULL, 10);
    return errno ? -1 : 0;
}

int fault_point(const char *name)
{
    (void) pthread_once(&once, load);
    for (size_t i = 0; i < fault_count; i++) {
        if (strcmp(faults[i].name, name) != 0)
            continue;
        (void) pthread_mutex_lock(&lock);
        bool now = --faults[i].pass == 0;
        (void) pthread_mutex_unlock(&lock);
        if (now)
            return act(faults[i].action);
    }
    return 0;
}

#endif
