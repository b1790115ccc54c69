/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <limits.h>
#include <stdlib.h>

#include "base/mem.h"
#include "diff/gzip.h"

struct inflater {
    struct inflate_state state;
};

uint32_t gzip_crc32(uint32_t crc, const void *data, size_t size)
{
    return crc32_gzip_refl(crc, data, size);
}

struct inflater *inflater_new(void)
{
    struct inflater *inflater = mem_alloc(sizeof *inflater);
    isal_inflate_init(&inflater->state);
    return inflater;
}

void inflater_free(struct inflater *inflater)
{
    free(inflater);
}

void inflater_begin(struct inflater *inflater)
{
    isal_inflate_reset(&inflater->state);
    inflater->state.crc_flag = ISAL_GZIP_NO_HDR_VER;
}

enum inflate_answer inflater_run(struct inflater *inflater, struct inflate_step *step)
{
    struct inflate_state *state = &inflater->state;
    assert(step->in_size <= INT_MAX && step->out_size <= INT_MAX);
    state->next_in = (uint8_t *) step->in; /* ISA-L only reads it */
    state->avail_in = (uint32_t) step->in_size;
    state->next_out = step->out;
    state->avail_out = (uint32_t) step->out_size;
    int rc = isal_inflate(state);
    step->in = state->next_in;
    step->in_size = state->avail_in;
    step->out = state->next_out;
    step->out_size = state->avail_out;
    if (rc == ISAL_INCORRECT_CHECKSUM)
        return INFLATE_WRONG;
    if (rc < 0)
        return INFLATE_BROKEN;
    return state->block_state == ISAL_BLOCK_FINISH ? INFLATE_END : INFLATE_MORE;
}
