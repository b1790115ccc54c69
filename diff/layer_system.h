/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where layers are taken apart and made. The rules that depend on it are functions of it, so that
 * those of each system can be tested on the other; docs/attributes.md has them in words.
 */
enum layer_system { LAYER_LINUX, LAYER_DARWIN };

/* This one: layer_system_linux.c, layer_system_darwin.c. */
extern const enum layer_system layer_system;
