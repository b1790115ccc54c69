/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Sets the process up for a daemon, before any thread exists: no umask (modes are what we say), as
 * many descriptors as allowed, and no more memory kept by the allocator than two threads' worth.
 */
void process_prepare(void);
