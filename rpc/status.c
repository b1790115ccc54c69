/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/internal.h"

/* containerd's Go side turns these back into its own error classes (contract 2.1). */
grpc_status_code rpc_status_of(enum error_code code)
{
    switch (code) {
    case ERROR_INVALID:
        return GRPC_STATUS_INVALID_ARGUMENT;
    case ERROR_NOT_FOUND:
        return GRPC_STATUS_NOT_FOUND;
    case ERROR_EXISTS:
        return GRPC_STATUS_ALREADY_EXISTS;
    case ERROR_PRECONDITION:
        return GRPC_STATUS_FAILED_PRECONDITION;
    case ERROR_BUSY:
        return GRPC_STATUS_UNAVAILABLE;
    case ERROR_NO_SPACE:
        return GRPC_STATUS_RESOURCE_EXHAUSTED;
    case ERROR_CORRUPT:
        return GRPC_STATUS_DATA_LOSS;
    case ERROR_CANCELLED:
        return GRPC_STATUS_CANCELLED;
    case ERROR_OUT_OF_RANGE:
        return GRPC_STATUS_OUT_OF_RANGE;
    case ERROR_PERMISSION:
        return GRPC_STATUS_PERMISSION_DENIED;
    case ERROR_UNIMPLEMENTED:
        return GRPC_STATUS_UNIMPLEMENTED;
    case ERROR_IO:
    case ERROR_INTERNAL:
        return GRPC_STATUS_INTERNAL;
    }
    return GRPC_STATUS_UNKNOWN;
}
