/* SPDX-License-Identifier: Apache-2.0 */
#include "store/internal.h"

/* Semaphores of System V or POSIX, by version: both stay taken when their holder is killed. */
bool store_needs_own_locks(void)
{
    return true;
}
