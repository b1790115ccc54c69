/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Fault points, for tests: a step that a crash or an error may hit has a name. In builds with
 * CLONEFS_FAULTS the environment variable CLONEFS_FAULT="name=kill", "name=stop" (the thread sleeps
 * for ever) or "name=ERRNO-NUMBER" makes that step die, hang or fail; "name@3=kill" acts at the
 * third pass. Several are separated by commas. Release builds have no trace of it.
 */
#ifdef CLONEFS_FAULTS
/* 0, or -1 with errno set as the test asked. */
int fault_point(const char *name);
#else
static inline int fault_point(const char *name)
{
    (void) name;
    return 0;
}
#endif
