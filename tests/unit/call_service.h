/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "rpc/server.h"

enum { CALL_SERVICE_CHUNK = 256 << 10 };

/*
 * A service for tests of calls that counts what happens to it. Its requests and responses are
 * those of containerd's content service, WriteContentRequest where the client streams,
 * ReadContentRequest elsewhere, ReadContentResponse in return:
 *
 *   /test/Echo     each message comes back with its offset and data
 *   /test/Sink     counts messages up to the end; a message says by total how many there are, and
 *                  by offset whether a half-close follows. The payload is unpacked
 *   /test/Source   size bytes in chunks, the last one with the status
 *   /test/Delay    answers after offset milliseconds
 *   /test/Long     with an offset it waits for the gate on the lane with that number, a long one
 *
 * 2000 streams of Echo may be open at once, and as many of Sink.
 */
struct call_service {
    atomic_uint opened;   /* states made */
    atomic_uint released; /* states released */
    atomic_uint half_closed;
    atomic_uint cut;
    atomic_uint wrong; /* ends that were told wrongly */
    atomic_bool gate;  /* lets long calls go on */
    atomic_uint ran;   /* delays that are over */
};

/* Adds the methods to a server that is not started. A zeroed service is ready; it outlives the
 * server. */
void call_service_add(struct call_service *service, struct rpc_server *server);
