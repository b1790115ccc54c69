/* SPDX-License-Identifier: Apache-2.0 */
#include "base/journal_pace.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/journal.h"
#include "base/mem.h"
#include "base/thread.h"

enum {
    PAUSE_MS = 4,    /* between two writes */
    PAUSE_TIMES = 4, /* or so many times what the last one took, on a slow disk */
    WANTED_MS = 1000 /* since somebody else has flushed anything */
};

/* Shared by all who ask for one on its volume: two would take each other's writes for somebody
 * else's. */
struct journal_pace {
    dev_t device; /* set once, as the next two */
    struct journal journal;
    pthread_t thread;
    unsigned users; /* under all_lock, as the next */
    struct journal_pace *next;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool ending; /* under lock */
};

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct journal_pace *all; /* under all_lock */

/* False when it is time to end. */
static bool pause_for(struct journal_pace *pace, int ms)
{
    struct timespec deadline = clock_deadline(ms);
    (void) pthread_mutex_lock(&pace->lock);
    int rc = 0;
    while (!pace->ending && rc == 0)
        rc = pthread_cond_timedwait(&pace->ended, &pace->lock, &deadline);
    bool ending = pace->ending;
    (void) pthread_mutex_unlock(&pace->lock);
    return !ending;
}

static int pause_after(int64_t took_ms)
{
    int64_t pause = PAUSE_TIMES * took_ms;
    return pause > PAUSE_MS ? (int) pause : PAUSE_MS;
}

static void *run(void *argument)
{
    struct journal_pace *pace = argument;
    const struct journal *journal = &pace->journal;
    int64_t seen = journal_count_writes(journal);
    int64_t wanted_until = 0;
    int pause_ms = PAUSE_MS;
    thread_lower_priority(0); /* not as low as that of the clone whose changes it writes */
    while (pause_for(pace, pause_ms)) {
        int64_t begun = clock_monotonic_ms();
        int64_t found = journal_count_writes(journal);
        if (found < 0 || found != seen)
            wanted_until = begun + WANTED_MS;
        seen = found;
        pause_ms = PAUSE_MS;
        if (begun >= wanted_until)
            continue;
        if (journal_write(journal) != 0)
            break;
        seen = journal_count_writes(journal);
        pause_ms = pause_after(clock_monotonic_ms() - begun);
    }
    return NULL;
}

static void destroy(struct journal_pace *pace)
{
    journal_close(&pace->journal);
    (void) pthread_mutex_destroy(&pace->lock);
    (void) pthread_cond_destroy(&pace->ended);
    free(pace);
}

static struct journal_pace *start(int dirfd, dev_t device)
{
    struct journal journal;
    if (!journal_open(dirfd, &journal))
        return NULL;
    struct journal_pace *pace = mem_alloc(sizeof *pace);
    pace->device = device;
    pace->journal = journal;
    (void) pthread_mutex_init(&pace->lock, NULL);
    (void) pthread_cond_init(&pace->ended, NULL);
    if (thread_start(&pace->thread, "journal pace", run, pace, NULL) == 0)
        return pace;
    destroy(pace);
    return NULL;
}

static void stop(struct journal_pace *pace)
{
    (void) pthread_mutex_lock(&pace->lock);
    pace->ending = true;
    (void) pthread_cond_signal(&pace->ended);
    (void) pthread_mutex_unlock(&pace->lock);
    (void) pthread_join(pace->thread, NULL);
    destroy(pace);
}

/* Under all_lock: where the one of the device stands, or the next may stand. */
static struct journal_pace **place_of(dev_t device)
{
    struct journal_pace **place = &all;
    while (*place && (*place)->device != device)
        place = &(*place)->next;
    return place;
}

struct journal_pace *journal_pace_begin(int dirfd)
{
    struct stat status;
    if (fstat(dirfd, &status) != 0)
        return NULL;
    (void) pthread_mutex_lock(&all_lock);
    struct journal_pace **place = place_of(status.st_dev);
    if (!*place)
        *place = start(dirfd, status.st_dev);
    struct journal_pace *pace = *place;
    if (pace)
        pace->users++;
    (void) pthread_mutex_unlock(&all_lock);
    return pace;
}

void journal_pace_end(struct journal_pace *pace)
{
    if (!pace)
        return;
    (void) pthread_mutex_lock(&all_lock);
    bool last = --pace->users == 0;
    if (last)
        *place_of(pace->device) = pace->next;
    (void) pthread_mutex_unlock(&all_lock);
    if (last)
        stop(pace);
}
