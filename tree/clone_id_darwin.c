/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/clone_id_darwin.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/attr.h>
#include <unistd.h>

/* Eight bytes that are aligned to four. */
struct id_answer {
    uint32_t length;
    uint8_t id[sizeof(uint64_t)];
};

/* Returns 0 where there is none. */
static uint64_t clone_id(int fd)
{
    struct attrlist wanted = {.bitmapcount = ATTR_BIT_MAP_COUNT, .forkattr = ATTR_CMNEXT_CLONEID};
    struct id_answer answer = {0};
    uint64_t id = 0;
    if (fgetattrlist(fd, &wanted, &answer, sizeof answer, FSOPT_ATTR_CMN_EXTENDED) != 0)
        return 0;
    if (answer.length == sizeof answer)
        memcpy(&id, answer.id, sizeof id);
    return id;
}

bool clone_id_equal(int a_fd, int b_fd)
{
    errno = 0;
    uint64_t id = clone_id(a_fd);
    return id != 0 && id == clone_id(b_fd);
}
