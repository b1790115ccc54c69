/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/health.h"

#include <string.h>

#include "health.pb-c.h"

static bool is_served(const struct rpc_health *health, const char *service)
{
    if (service[0] == '\0')
        return true;
    for (size_t i = 0; i < health->service_count; i++)
        if (strcmp(health->services[i], service) == 0)
            return true;
    return false;
}

static void check(struct rpc_call *call)
{
    const Grpc__Health__V1__HealthCheckRequest *request = rpc_call_request(call);
    if (!is_served(rpc_call_service(call), request->service)) {
        struct error error = {0};
        (void) error_set(&error, ERROR_NOT_FOUND, "unknown service %s", request->service);
        rpc_call_fail(call, &error);
        return;
    }
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    rpc_call_reply(call, &response.base);
}

static const struct rpc_method methods[] = {
    {.path = "/grpc.health.v1.Health/Check",
     .kind = RPC_UNARY,
     .request = &grpc__health__v1__health_check_request__descriptor,
     .lane = RPC_LANE_QUICK,
     .step = check},
};

void rpc_health_add(struct rpc_server *server, struct rpc_health *health)
{
    rpc_server_add(server, methods, sizeof methods / sizeof methods[0], health);
}
