/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A random UUID (version 4) as text of 36 characters. */
void random_uuid(char out[40]);
