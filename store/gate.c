/* SPDX-License-Identifier: Apache-2.0 */
#include "store/internal.h"

void store_gate_init(struct store_gate *gate)
{
    (void) pthread_mutex_init(&gate->lock, NULL);
    (void) pthread_cond_init(&gate->changed, NULL);
}

void store_gate_clear(struct store_gate *gate)
{
    (void) pthread_mutex_destroy(&gate->lock);
    (void) pthread_cond_destroy(&gate->changed);
}

void store_gate_enter(struct store_gate *gate)
{
    (void) pthread_mutex_lock(&gate->lock);
    while (gate->closed)
        (void) pthread_cond_wait(&gate->changed, &gate->lock);
    gate->inside++;
    (void) pthread_mutex_unlock(&gate->lock);
}

void store_gate_leave(struct store_gate *gate)
{
    (void) pthread_mutex_lock(&gate->lock);
    gate->inside--;
    if (gate->closed && gate->inside == 0)
        (void) pthread_cond_broadcast(&gate->changed);
    (void) pthread_mutex_unlock(&gate->lock);
}

void store_gate_close(struct store_gate *gate)
{
    (void) pthread_mutex_lock(&gate->lock);
    gate->closed = true;
    while (gate->inside > 0)
        (void) pthread_cond_wait(&gate->changed, &gate->lock);
    (void) pthread_mutex_unlock(&gate->lock);
}

void store_gate_open(struct store_gate *gate)
{
    (void) pthread_mutex_lock(&gate->lock);
    gate->closed = false;
    (void) pthread_cond_broadcast(&gate->changed);
    (void) pthread_mutex_unlock(&gate->lock);
}
