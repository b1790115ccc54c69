/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * owned(release) makes a local release itself when it goes out of scope: release gets the
 * variable's address. Hand the value out with the matching take function (fd_take, mem_take).
 */
#define owned(release) __attribute__((cleanup(release)))
