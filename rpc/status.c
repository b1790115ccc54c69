/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/internal.h"

/*
 * Our codes and those on the wire; containerd's Go side turns the latter into its own error classes
 * (contract 2.1). Both directions take the first row that fits, so the rows behind the first of a
 * code or status say what the other direction makes of the rest.
 */
static const struct row {
    enum error_code code;
    grpc_status_code status;
} rows[] = {
    {ERROR_INVALID, GRPC_STATUS_INVALID_ARGUMENT},
    {ERROR_NOT_FOUND, GRPC_STATUS_NOT_FOUND},
    {ERROR_EXISTS, GRPC_STATUS_ALREADY_EXISTS},
    {ERROR_PRECONDITION, GRPC_STATUS_FAILED_PRECONDITION},
    {ERROR_BUSY, GRPC_STATUS_UNAVAILABLE},
    {ERROR_NO_SPACE, GRPC_STATUS_RESOURCE_EXHAUSTED},
    {ERROR_CORRUPT, GRPC_STATUS_DATA_LOSS},
    {ERROR_CANCELLED, GRPC_STATUS_CANCELLED},
    {ERROR_OUT_OF_RANGE, GRPC_STATUS_OUT_OF_RANGE},
    {ERROR_PERMISSION, GRPC_STATUS_PERMISSION_DENIED},
    {ERROR_UNIMPLEMENTED, GRPC_STATUS_UNIMPLEMENTED},
    {ERROR_IO, GRPC_STATUS_INTERNAL},
    {ERROR_INTERNAL, GRPC_STATUS_INTERNAL},
    {ERROR_BUSY, GRPC_STATUS_ABORTED},
    {ERROR_CANCELLED, GRPC_STATUS_DEADLINE_EXCEEDED},
    {ERROR_PERMISSION, GRPC_STATUS_UNAUTHENTICATED},
    {ERROR_IO, GRPC_STATUS_UNKNOWN},
};

enum { ROWS = sizeof rows / sizeof rows[0] };

grpc_status_code rpc_status_of(enum error_code code)
{
    for (int i = 0; i < ROWS; i++)
        if (rows[i].code == code)
            return rows[i].status;
    return GRPC_STATUS_UNKNOWN;
}

enum error_code rpc_status_code(grpc_status_code status)
{
    for (int i = 0; i < ROWS; i++)
        if (rows[i].status == status)
            return rows[i].code;
    return ERROR_IO; /* none of gRPC's */
}
