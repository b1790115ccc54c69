/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/layer_system.h"

const enum layer_system layer_system = LAYER_DARWIN;
