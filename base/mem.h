/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/*
 * Memory. Small allocations abort the process when they fail: the store survives a kill at any
 * instant, so there is nothing to save. Sizes that come from a client are bounded first.
 */
void *mem_alloc(size_t size);                              /* zeroed */
void *mem_alloc_array(size_t count, size_t size);          /* zeroed, overflow checked */
void *mem_resize(void *memory, size_t count, size_t size); /* like realloc, overflow checked */
char *mem_strdup(const char *text);
const char *mem_last(const void *memory, int byte, size_t size); /* as memrchr(3) */
char *mem_strndup(const char *text, size_t length);
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* For owned(mem_free): frees *pointer_address and sets it to NULL. Keeps errno. */
void mem_free(void *pointer_address);

/* Moves a string out of an owned variable. */
char *mem_take(char **pointer_address);
