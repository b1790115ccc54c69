/* SPDX-License-Identifier: Apache-2.0 */
#include "base/journal_pace.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/journal.h"
#include "base/mem.h"
#include "base/thread.h"

enum {
    PAUSE_MS = 4,    /* between two writes */
    PAUSE_TIMES = 4, /* or so many times what the last one took, on a slow disk */
    WANTED_MS = 1000 /* since somebody else has flushed anything */
};

struct journal_pace {
    struct journal journal; /* set once */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool ending; /* under lock */
};

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

struct journal_pace *journal_pace_begin(int dirfd)
{
    struct journal journal;
    if (!journal_open(dirfd, &journal))
        return NULL;
    struct journal_pace *pace = mem_alloc(sizeof *pace);
    pace->journal = journal;
    (void) pthread_mutex_init(&pace->lock, NULL);
    (void) pthread_cond_init(&pace->ended, NULL);
    if (thread_start(&pace->thread, "journal pace", run, pace, NULL) == 0)
        return pace;
    destroy(pace);
    return NULL;
}

void journal_pace_end(struct journal_pace *pace)
{
    if (!pace)
        return;
    (void) pthread_mutex_lock(&pace->lock);
    pace->ending = true;
    (void) pthread_cond_signal(&pace->ended);
    (void) pthread_mutex_unlock(&pace->lock);
    (void) pthread_join(pace->thread, NULL);
    destroy(pace);
}
