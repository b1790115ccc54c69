/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * What gzip files are made of, by whichever library is built in: gzip_isal.c (ISA-L) or gzip_zlib.c
 * (zlib). Headers are parsed by decode_gzip.c and written by
 * pack.c.
 */

#define GZIP_MAGIC_1 0x1f
#define GZIP_MAGIC_2 0x8b
#define GZIP_METHOD_DEFLATE 8
#define GZIP_HEADER_SIZE ((size_t) 10)
#define GZIP_TRAILER_SIZE ((size_t) 8)

/* Adds data to a CRC-32 as gzip has it; it begins with 0. */
uint32_t gzip_crc32(uint32_t crc, const void *data, size_t size);

/* Inflates members of a gzip file, but for their headers. Belongs to one thread at a time. */
struct inflater;

struct inflater *inflater_new(void);
void inflater_free(struct inflater *inflater); /* NULL is allowed */

/* What comes is a member behind its header. */
void inflater_begin(struct inflater *inflater);

enum inflate_answer {
    INFLATE_MORE, /* the input is used up, or the output is full */
    INFLATE_END,  /* the member is complete, and its CRC and size are right */
    INFLATE_BROKEN /* the data is no valid deflate data */,
    INFLATE_WRONG /* the CRC or the size is not that of the data */
};

/* The parts that are used are moved over, but for answers that tell of an error. */
struct inflate_step {
    const uint8_t *in;
    size_t in_size;
    uint8_t *out;
    size_t out_size;
};

enum inflate_answer inflater_run(struct inflater *inflater, struct inflate_step *step);

/* Compresses pieces to deflate data that can be put one behind the other. Belongs to one thread at
 * a time. */
struct deflater;

struct deflater *deflater_new(void);
void deflater_free(struct deflater *deflater); /* NULL is allowed */

/* What the compressed form of a piece of this size takes at most: both libraries store what does
 * not get smaller, at a cost of some bytes for each block of it. */
static inline size_t deflate_bound(size_t size)
{
    return size + size / 8 + 1024;
}

/*
 * Compresses a piece by itself; out has room for deflate_bound(size). Returns the size of what is
 * there then: whole bytes, no last block. The result depends on the data alone.
 */
size_t deflater_run(struct deflater *deflater, const void *data, size_t size, uint8_t *out);
