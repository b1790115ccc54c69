/* SPDX-License-Identifier: Apache-2.0 */
#include "content/ingest_table.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"

void ingest_table_init(struct ingest_table *table)
{
    *table = (struct ingest_table){0};
    (void) pthread_mutex_init(&table->lock, NULL);
    (void) pthread_cond_init(&table->changed, NULL);
}

/* What the recorder could not write. */
static void drop_unrecorded(struct ingest_table *table)
{
    struct ingest **ingests = NULL;
    size_t count = ingest_table_take_unrecorded(table, &ingests);
    for (size_t i = 0; i < count; i++)
        ingest_unref(ingests[i]);
    free(ingests);
}

void ingest_table_clear(struct ingest_table *table)
{
    drop_unrecorded(table);
    while (table->first)
        ingest_table_remove(table, table->first);
    (void) pthread_mutex_destroy(&table->lock);
    (void) pthread_cond_destroy(&table->changed);
}

static int compare(const void *a, const void *b)
{
    const struct ingest *left = a;
    const struct ingest *right = b;
    return strcmp(left->ref, right->ref);
}

struct ingest *ingest_new(struct content *content, uint64_t id, const char *ref)
{
    struct ingest *ingest = mem_alloc(sizeof *ingest);
    *ingest = (struct ingest){.content = content,
                              .id = id,
                              .ref = mem_strdup(ref),
                              .expected = mem_strdup(""),
                              .started = clock_now(),
                              .references = 1,
                              .fd = -1};
    ingest->updated = ingest->started;
    return ingest;
}

static void free_ingest(struct ingest *ingest)
{
    fd_close(&ingest->fd);
    digester_free(ingest->digester);
    mem_free(&ingest->expected);
    mem_free(&ingest->ref);
    mem_free(&ingest);
}

void ingest_unref(struct ingest *ingest)
{
    if (--ingest->references == 0)
        free_ingest(ingest);
}

struct ingest *ingest_table_find(struct ingest_table *table, const char *ref)
{
    const struct ingest key = {.ref = (char *) ref};
    void *node = tfind(&key, &table->root, compare);
    return node ? *(struct ingest **) node : NULL;
}

void ingest_table_add(struct ingest_table *table, struct ingest *take_ingest)
{
    if (!tsearch(take_ingest, &table->root, compare))
        abort(); /* as every small allocation */
    take_ingest->next = table->first;
    if (table->first)
        table->first->previous = take_ingest;
    table->first = take_ingest;
    table->count++;
}

void ingest_table_remove(struct ingest_table *table, struct ingest *ingest)
{
    (void) tdelete(ingest, &table->root, compare);
    *(ingest->previous ? &ingest->previous->next : &table->first) = ingest->next;
    if (ingest->next)
        ingest->next->previous = ingest->previous;
    table->count--;
    ingest->gone = true;
    ingest_unref(ingest);
}

void ingest_table_note(struct ingest_table *table, struct ingest *ingest)
{
    if (ingest->unrecorded || ingest->gone)
        return;
    ingest->unrecorded = true;
    ingest->references++;
    ingest->next_unrecorded = table->unrecorded;
    table->unrecorded = ingest;
    table->unrecorded_count++;
}

size_t ingest_table_take_unrecorded(struct ingest_table *table, struct ingest ***out_ingests)
{
    size_t count = 0;
    *out_ingests = mem_alloc_array(table->unrecorded_count, sizeof **out_ingests);
    for (struct ingest *ingest = table->unrecorded; ingest; ingest = ingest->next_unrecorded) {
        ingest->unrecorded = false;
        (*out_ingests)[count++] = ingest;
    }
    table->unrecorded = NULL;
    table->unrecorded_count = 0;
    return count;
}

int ingest_change_begin(struct ingest_table *table, struct ingest *ingest, struct error *error)
{
    while (ingest->changing)
        (void) pthread_cond_wait(&table->changed, &table->lock);
    if (ingest->gone)
        return error_set(error, ERROR_NOT_FOUND, "ingest %s was aborted", ingest->ref);
    ingest->changing = true;
    return 0;
}

void ingest_change_end(struct ingest_table *table, struct ingest *ingest, bool gone)
{
    ingest->changing = false;
    if (gone)
        ingest_table_remove(table, ingest);
    else
        ingest_table_note(table, ingest);
    (void) pthread_cond_broadcast(&table->changed);
}
