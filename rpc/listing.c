/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/listing.h"

#include "rpc/message.h"

/* A message ends with the record that reaches this size, far from the limit of 16 MiB. */
#define MESSAGE_BYTES ((size_t) 1 << 20)
#define STEP_MS 20
/* For one record, on lane search. The longest keys and labels, and filters as many and as long as
 * they may be, are far below, unless they are made to be costly. */
#define COSTLY_MS INT64_C(5000)

struct patience rpc_filter_patience(const struct rpc_call *call, bool costly)
{
    return (struct patience){.cancel = rpc_call_cancel(call),
                             .until_ms = clock_monotonic_ms() + (costly ? COSTLY_MS : STEP_MS)};
}

int rpc_filter_too_costly(struct error *error)
{
    return error_set(error, ERROR_INVALID,
                     "the filters take more than %d seconds: use simpler regular expressions",
                     (int) (COSTLY_MS / 1000));
}

bool rpc_listing_goes_on(struct rpc_listing *listing, int answer, size_t bytes)
{
    if (answer != FILTER_MATCH && answer != FILTER_OTHER)
        return false;
    listing->looks++;
    if (answer == FILTER_MATCH) {
        listing->count++;
        listing->bytes += bytes;
    }
    int64_t now_ms = clock_monotonic_ms();
    if (listing->costly) /* anew for each record */
        listing->patience.until_ms = now_ms + COSTLY_MS;
    return listing->count < RPC_LISTING_BATCH && listing->bytes < MESSAGE_BYTES &&
           now_ms <= listing->until_ms;
}

static int fill(struct rpc_call *call, struct rpc_listing *listing, struct error *error)
{
    if (cancel_requested(rpc_call_cancel(call)))
        return error_set(error, ERROR_CANCELLED, "the client has gone");
    listing->until_ms = clock_monotonic_ms() + STEP_MS;
    listing->patience = rpc_filter_patience(call, listing->costly);
    listing->looks = listing->bytes = 0;
    int answer = listing->kind->fill(call, listing, error);
    if (answer != FILTER_AGAIN || listing->looks > 0)
        return answer;
    if (listing->costly)
        return rpc_filter_too_costly(error);
    listing->costly = true;
    return answer;
}

void rpc_listing_step(struct rpc_call *call)
{
    struct rpc_listing *listing = rpc_call_state(call);
    struct error error = {0};
    int answer = fill(call, listing, &error);
    bool more = answer != FILTER_END;
    enum rpc_lane lane = listing->costly ? RPC_LANE_SEARCH : RPC_LANE_QUICK;
    if (answer < 0)
        rpc_fail_logged(call, "List", "", &error);
    else if (listing->count > 0)
        listing->kind->send(call, listing, lane, more ? rpc_listing_step : rpc_call_finish);
    else if (more)
        rpc_call_continue(call, lane, rpc_listing_step);
    else
        rpc_call_finish(call);
}
