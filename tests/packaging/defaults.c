/* SPDX-License-Identifier: Apache-2.0 */
/* Prints what the system is whose defaults.c this is linked with has as defaults, as lines of a
 * shell. */
#include <stdio.h>

#include "cmd/clonefsd/defaults.h"

int main(void)
{
    return printf("DEFAULT_ROOT=%s\nDEFAULT_ADDRESS=%s\nDEFAULT_CONTAINERD=%s\nDEFAULT_VIEW=%s\n",
                  defaults.root, defaults.address, defaults.containerd,
                  defaults.view == SNAPSHOT_VIEW_PRIVATE_CLONE ? "private-clone"
                                                               : "readonly-bind") < 0;
}
