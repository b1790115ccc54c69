/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/tar_guard.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum {
    BLOCK = 512,
    SPECIAL_MAX = 1 << 20, /* of Go and of libarchive */
    MAP_BYTES_FOR_PIECE = 64
};

/* A field of a header. */
struct field {
    unsigned offset;
    unsigned size;
};

static const struct field mode_field = {100, 8};
static const struct field uid_field = {108, 8};
static const struct field gid_field = {116, 8};
static const struct field size_field = {124, 12};
static const struct field mtime_field = {136, 12};
static const struct field checksum_field = {148, 8};
static const struct field major_field = {329, 8};
static const struct field minor_field = {337, 8};
enum { TYPE_OFFSET = 156, LINK_OFFSET = 157, MAGIC_OFFSET = 257 };

static const char zeros[BLOCK];
static const char ustar[8] = {'u', 's', 't', 'a', 'r', '\0', '0', '0'};

void tar_guard_init(struct tar_guard *guard, struct layer_stream *stream,
                    const struct layer_limits *limits)
{
    *guard = (struct tar_guard){.stream = stream, .limits = limits};
}

void tar_guard_clear(struct tar_guard *guard)
{
    pax_clear(&guard->pax);
    mem_free(&guard->pax_text);
    mem_free(&guard->long_name);
    mem_free(&guard->long_link);
    mem_free(&guard->group);
}

static int refuse(struct tar_guard *guard, const char *why)
{
    return error_set(&guard->error, ERROR_INVALID, "no valid archive: %s", why);
}

/* Sees to it that there are bytes: 1, 0 at the end of the stream, or an error code. */
static int fill(struct tar_guard *guard)
{
    while (guard->available == 0) {
        const void *data = NULL;
        int got = layer_stream_next(guard->stream, &data, &guard->available, &guard->error);
        if (got <= 0) {
            guard->available = 0;
            return got;
        }
        guard->next = data;
    }
    return 1;
}

/* Copies size bytes of the stream: how many there were, or an error code. */
static ssize_t take(struct tar_guard *guard, char *out, size_t size)
{
    size_t done = 0;
    while (done < size) {
        int got = fill(guard);
        if (got < 0)
            return got;
        if (got == 0)
            break;
        size_t part = size - done < guard->available ? size - done : guard->available;
        memcpy(out + done, guard->next, part);
        guard->next += part;
        guard->available -= part;
        done += part;
    }
    return (ssize_t) done;
}

/* 1, 0 if the stream ends before it, or an error code. */
static int take_block(struct tar_guard *guard, char block[BLOCK])
{
    ssize_t got = take(guard, block, BLOCK);
    if (got > 0 && got < BLOCK)
        return refuse(guard, "it ends within a header");
    return got == BLOCK ? 1 : (int) got;
}

static bool is_zero(const char block[BLOCK])
{
    return memcmp(block, zeros, BLOCK) == 0;
}

/* The numbers that a tar header may hold: octal digits amid spaces and NULs, or base 256. Those
 * that do not fit 63 bits are malformed. */
static bool read_number(const char *block, struct field field, int64_t *out)
{
    const unsigned char *text = (const unsigned char *) block + field.offset;
    const unsigned char *end = text + field.size;
    uint64_t number = 0;
    if (*text & 0x80) {
        bool negative = (*text & 0x40) != 0;
        number = negative ? UINT64_MAX : 0;
        for (unsigned i = 0; i < field.size; i++) {
            unsigned byte = i > 0 ? text[i] : negative ? text[i] | 0x80U : text[i] & 0x7fU;
            if ((int64_t) number >> 55 != (negative ? -1 : 0))
                return false;
            number = number << 8 | byte;
        }
        *out = (int64_t) number;
        return true;
    }
    while (text < end && *text == ' ')
        text++;
    for (; text < end && *text >= '0' && *text <= '7'; text++)
        number = number << 3 | (unsigned) (*text - '0');
    while (text < end && (*text == ' ' || *text == '\0'))
        text++;
    *out = (int64_t) number;
    return text == end;
}

static void write_number(char *block, struct field field, uint64_t number)
{
    char *text = block + field.offset;
    text[field.size - 1] = '\0';
    for (unsigned i = field.size - 1; i > 0; i--, number >>= 3)
        text[i - 1] = (char) ('0' + (number & 7));
}

/* The sum of all bytes as unsigned or, of old writers, as signed ones; its own field as spaces. */
static void sum_block(const char *block, int64_t *out_unsigned, int64_t *out_signed)
{
    *out_unsigned = *out_signed = (int64_t) checksum_field.size * ' ';
    for (unsigned i = 0; i < BLOCK; i++) {
        if (i == checksum_field.offset)
            i += checksum_field.size;
        *out_unsigned += (unsigned char) block[i];
        *out_signed += (signed char) block[i];
    }
}

static void write_checksum(char *block)
{
    int64_t sum = 0;
    int64_t other = 0;
    sum_block(block, &sum, &other);
    write_number(block, (struct field){checksum_field.offset, 7}, (uint64_t) sum);
    block[checksum_field.offset + 7] = ' ';
}

static int check_header(struct tar_guard *guard, const char *block)
{
    int64_t found = 0;
    int64_t as_unsigned = 0;
    int64_t as_signed = 0;
    sum_block(block, &as_unsigned, &as_signed);
    if (!read_number(block, checksum_field, &found) || (found != as_unsigned && found != as_signed))
        return refuse(guard, "the checksum of a header is wrong");
    int64_t mode = 0;
    int64_t uid = 0;
    int64_t gid = 0;
    int64_t size = 0;
    int64_t mtime = 0;
    int64_t device[2] = {0, 0};
    bool valid = read_number(block, mode_field, &mode) && read_number(block, uid_field, &uid) &&
                 read_number(block, gid_field, &gid) && read_number(block, size_field, &size) &&
                 read_number(block, mtime_field, &mtime);
    if (memcmp(block + MAGIC_OFFSET, "ustar", 5) == 0)
        valid = valid && read_number(block, major_field, &device[0]) &&
                read_number(block, minor_field, &device[1]);
    if (!valid || uid < 0 || gid < 0 || size < 0 || size == INT64_MAX)
        return refuse(guard, "a number in a header is malformed");
    return 0;
}

static char *group_add(struct tar_guard *guard, const void *data, size_t size)
{
    if (guard->group_length + size > guard->group_capacity) {
        guard->group_capacity = guard->group_length + size + BLOCK;
        guard->group = mem_resize(guard->group, guard->group_capacity, 1);
    }
    char *place = guard->group + guard->group_length;
    memcpy(place, data, size);
    guard->group_length += size;
    return place;
}

/* Takes the body of a long name or pax header, which is not longer than SPECIAL_MAX. */
static int take_body(struct tar_guard *guard, size_t size, char **out_text)
{
    size_t padded = (size + BLOCK - 1) / BLOCK * BLOCK;
    mem_free(out_text);
    *out_text = mem_alloc(padded + 1);
    ssize_t got = take(guard, *out_text, padded);
    if (got >= 0 && (size_t) got < size)
        return refuse(guard, "it ends within a header");
    (*out_text)[size] = '\0';
    return got < 0 ? (int) got : 0;
}

/* An empty one means: what the header says counts. */
static int take_long_name(struct tar_guard *guard, size_t size, char **out_name)
{
    int code = take_body(guard, size, out_name);
    if (code == 0 && (*out_name)[0] == '\0')
        mem_free(out_name);
    return code;
}

static int take_special(struct tar_guard *guard, const char *block, uint64_t *budget)
{
    int64_t size = 0;
    (void) read_number(block, size_field, &size); /* checked already */
    if ((uint64_t) size + BLOCK > *budget)
        return error_set(&guard->error, ERROR_NO_SPACE,
                         "long names and pax headers of an entry have more than %" PRIu64 " bytes",
                         guard->limits->header_bytes);
    if (size > SPECIAL_MAX)
        return refuse(guard, "a long name or pax header has more than 1 MiB");
    *budget -= (uint64_t) size + BLOCK;
    char type = block[TYPE_OFFSET];
    if (type == 'L' || type == 'K')
        return take_long_name(guard, (size_t) size,
                              type == 'L' ? &guard->long_name : &guard->long_link);
    char *text = NULL;
    int code = take_body(guard, (size_t) size, &text);
    if (code != 0 || type == 'g') {
        mem_free(&text);
        return code;
    }
    mem_free(&guard->pax_text);
    guard->pax_text = text;
    pax_reset(&guard->pax);
    return pax_parse(&guard->pax, text, (size_t) size, guard->limits, &guard->error);
}

/* Only these have data, whatever the header of another says. */
static bool has_data(char type)
{
    return type == '0';
}

static int check_type(struct tar_guard *guard, char *block)
{
    char *type = &block[TYPE_OFFSET];
    guard->type = *type;
    if (*type == '\0')
        *type = '0';
    if (*type < '0' || *type > '6')
        return error_set(&guard->error, ERROR_INVALID,
                         "no valid archive: entries of type 0x%02x are not known",
                         (unsigned char) *type);
    if (!has_data(*type) && guard->pax.sparse)
        return refuse(guard, "what is no file cannot be sparse");
    return 0;
}

/* One pax header tells libarchive all that the headers before block told us. */
static void add_pax_header(struct tar_guard *guard)
{
    struct pax *pax = &guard->pax;
    char header[BLOCK] = "pax";
    write_number(header, mode_field, 0644);
    write_number(header, size_field, pax->passed_length);
    header[TYPE_OFFSET] = 'x';
    memcpy(header + MAGIC_OFFSET, ustar, sizeof ustar);
    write_checksum(header);
    (void) group_add(guard, header, BLOCK);
    (void) group_add(guard, pax->passed, pax->passed_length);
    (void) group_add(guard, zeros, (BLOCK - pax->passed_length % BLOCK) % BLOCK);
}

/* libarchive reads a map that comes before the data as a whole: looks how many pieces it has. */
static int check_map(struct tar_guard *guard)
{
    char block[BLOCK];
    if (guard->data_left < BLOCK)
        return refuse(guard, "the map of a sparse file is missing");
    int got = take_block(guard, block);
    if (got <= 0)
        return got < 0 ? got : refuse(guard, "it ends within a file");
    uint64_t pieces = 0;
    unsigned i = 0;
    for (; i < 18 && block[i] >= '0' && block[i] <= '9'; i++)
        pieces = pieces * 10 + (unsigned) (block[i] - '0');
    if (i == 0 || block[i] != '\n')
        return refuse(guard, "the map of a sparse file is malformed");
    if (guard->limits->header_bytes > 0 &&
        pieces > guard->limits->header_bytes / MAP_BYTES_FOR_PIECE)
        return error_set(&guard->error, ERROR_NO_SPACE, "a sparse file has %" PRIu64 " pieces",
                         pieces);
    (void) group_add(guard, block, BLOCK);
    guard->data_left -= BLOCK;
    return 0;
}

static int finish_group(struct tar_guard *guard, char *block)
{
    struct pax *pax = &guard->pax;
    int code = check_type(guard, block);
    if (code != 0)
        return code;
    int64_t size = 0;
    (void) read_number(block, size_field, &size); /* checked already */
    guard->data_left = pax->has_size ? pax->size : (uint64_t) size;
    if (has_data(block[TYPE_OFFSET]) && pax->has_size) {
        char digits[24];
        int length = snprintf(digits, sizeof digits, "%" PRIu64, pax->size);
        pax_pass(pax, "size", digits, (size_t) length);
    } else if (!has_data(block[TYPE_OFFSET])) {
        guard->data_left = 0;
        write_number(block, size_field, 0);
    }
    guard->padding_left = (unsigned) (-guard->data_left % BLOCK);
    /* libarchive overlooks a long name of a link without a short one, and Go writes no short one if
     * nothing of the name is ASCII. */
    if (pax->has_link || guard->long_link)
        block[LINK_OFFSET] = '-';
    write_checksum(block);
    if (guard->long_name)
        pax_pass(pax, "path", guard->long_name, strlen(guard->long_name));
    if (guard->long_link)
        pax_pass(pax, "linkpath", guard->long_link, strlen(guard->long_link));
    if (pax->passed_length > 0) {
        pax_pass(pax, "hdrcharset", "BINARY", strlen("BINARY"));
        add_pax_header(guard);
    }
    if (guard->group_length > SPECIAL_MAX)
        return refuse(guard, "long names and pax headers have more than 1 MiB");
    (void) group_add(guard, block, BLOCK);
    return pax->data_map ? check_map(guard) : 0;
}

/* After a first block of zeros: another one, or nothing. */
static int check_end(struct tar_guard *guard)
{
    char block[BLOCK];
    int got = take_block(guard, block);
    if (got < 0)
        return got;
    guard->ended = true;
    if (got == 1 && !is_zero(block))
        return refuse(guard, "a block of zeros is followed by data");
    return 0;
}

/* Takes all headers of the next entry: 1, 0 at the end, or an error code. */
static int take_group(struct tar_guard *guard)
{
    uint64_t budget = guard->limits->header_bytes > 0 ? guard->limits->header_bytes : UINT64_MAX;
    char block[BLOCK];
    guard->group_length = 0;
    guard->position = guard->given;
    pax_reset(&guard->pax);
    mem_free(&guard->long_name);
    mem_free(&guard->long_link);
    for (;;) {
        int code = take_block(guard, block);
        if (code == 0)
            guard->ended = true;
        if (code <= 0)
            return code;
        if (is_zero(block))
            return check_end(guard);
        code = check_header(guard, block);
        bool special = code == 0 && strchr("xgLK", block[TYPE_OFFSET]) && block[TYPE_OFFSET];
        if (code == 0)
            code = special ? take_special(guard, block, &budget) : finish_group(guard, block);
        if (code != 0)
            return code;
        if (!special)
            return 1;
    }
}

/* Hands on file data, or zeros for padding that the end of the stream cuts off. */
static ssize_t give_data(struct tar_guard *guard, const void **out_data)
{
    int got = fill(guard);
    if (got < 0)
        return got;
    if (got == 0 && guard->data_left > 0)
        return refuse(guard, "it ends within a file");
    uint64_t wanted = guard->data_left > 0 ? guard->data_left : guard->padding_left;
    size_t size = wanted < guard->available ? (size_t) wanted : guard->available;
    *out_data = guard->next;
    if (got == 0) {
        *out_data = zeros;
        size = guard->padding_left;
    } else {
        guard->next += size;
        guard->available -= size;
    }
    if (guard->data_left > 0)
        guard->data_left -= size;
    else
        guard->padding_left -= (unsigned) size;
    return (ssize_t) size;
}

ssize_t tar_guard_read(struct tar_guard *guard, const void **out_data)
{
    ssize_t size = 0;
    if (guard->error.code != 0)
        return guard->error.code;
    if (guard->data_left > 0 || guard->padding_left > 0) {
        size = give_data(guard, out_data);
    } else if (!guard->ended) {
        size = take_group(guard);
        if (size == 1) {
            *out_data = guard->group;
            size = (ssize_t) guard->group_length;
        }
    }
    if (size > 0)
        guard->given += (uint64_t) size;
    return size;
}
