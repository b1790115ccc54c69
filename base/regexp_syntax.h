/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The PCRE2 pattern that means what pattern means to Go's regexp package, without captures; NULL
 * if Go would refuse it. Only what Go knows is ever written, so nothing else of PCRE2 (verbs,
 * lookaround, back references, recursion, callouts) can be reached. The caller frees the text.
 */
char *regexp_syntax_to_pcre2(const char *pattern);
