/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tells the supervisor that started us, where one asks by NOTIFY_SOCKET (sd_notify(3)), a state
 * such as "READY=1" or "STOPPING=1". Does nothing where none does. */
void notify_supervisor(const char *state);
