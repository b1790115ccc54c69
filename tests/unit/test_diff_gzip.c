/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "diff/gzip.h"
#include "tests/unit/layer_memory.h"

/* Both libraries behind diff/gzip.h pass these: `make GZIP=zlib OUT=build/zlib test`. */

static void free_inflater(struct inflater **inflater)
{
    inflater_free(*inflater);
}

static void free_deflater(struct deflater **deflater)
{
    deflater_free(*deflater);
}

static void the_crc_is_that_of_gzip(void **state)
{
    (void) state;
    assert_int_equal(gzip_crc32(0, "", 0), 0);
    assert_int_equal(gzip_crc32(0, "123456789", 9), 0xcbf43926);
    assert_int_equal(gzip_crc32(gzip_crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
}

enum { SAMPLE_SIZE = 300000, PIECES = 3, MEMBER_MAX = 2 * SAMPLE_SIZE };

static void store_le32(uint8_t *out, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (uint8_t) (value >> 8 * i);
}

/* A member behind its header: the sample in pieces. Returns its size. */
static size_t make_member(const uint8_t *sample, size_t size, uint8_t *out)
{
    owned(free_deflater) struct deflater *deflater = deflater_new();
    size_t length = 0;
    for (size_t i = 0; i < PIECES; i++) {
        size_t begin = size * i / PIECES;
        length +=
            deflater_run(deflater, sample + begin, size * (i + 1) / PIECES - begin, out + length);
    }
    out[length++] = 3; /* the last block: empty */
    out[length++] = 0;
    store_le32(out + length, gzip_crc32(0, sample, size));
    store_le32(out + length + 4, (uint32_t) size);
    return length + GZIP_TRAILER_SIZE;
}

/* Inflates with input and output in parts of these sizes, until the inflater does not go on. */
static enum inflate_answer inflate_parts(struct inflater *inflater, const uint8_t *in, size_t size,
                                         size_t in_part, uint8_t *out, size_t out_part,
                                         size_t *out_left)
{
    struct inflate_step step = {.in = in, .out = out};
    for (;;) {
        size_t left = size - (size_t) (step.in - in);
        const uint8_t *in_before = step.in;
        const uint8_t *out_before = step.out;
        step.in_size = left < in_part ? left : in_part;
        step.out_size = out_part;
        enum inflate_answer answer = inflater_run(inflater, &step);
        if (answer == INFLATE_MORE && (step.in != in_before || step.out != out_before))
            continue;
        *out_left = size - (size_t) (step.in - in);
        return answer;
    }
}

static void members_are_inflated_in_any_parts(void **state)
{
    (void) state;
    static const size_t in_parts[] = {1, 3, 1000, MEMBER_MAX};
    static const size_t out_parts[] = {1, 17, 4096, 65536, SAMPLE_SIZE + 1};
    owned(mem_free) uint8_t *sample = layer_sample_new(SAMPLE_SIZE, 1);
    owned(mem_free) uint8_t *member = mem_alloc(MEMBER_MAX);
    owned(mem_free) uint8_t *found = mem_alloc(2 * SAMPLE_SIZE);
    owned(free_inflater) struct inflater *inflater = inflater_new();
    static const size_t sizes[] = {0, 1, 100, 70000, SAMPLE_SIZE};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t size = make_member(sample, sizes[s], member);
        memcpy(member + size, "next", 4);
        for (size_t i = 0; i < sizeof in_parts / sizeof in_parts[0]; i++) {
            for (size_t o = 0; o < sizeof out_parts / sizeof out_parts[0]; o++) {
                size_t left = 0;
                memset(found, 0xaa, sizes[s]);
                inflater_begin(inflater);
                assert_int_equal(inflate_parts(inflater, member, size + 4, in_parts[i], found,
                                               out_parts[o], &left),
                                 INFLATE_END);
                assert_int_equal(left, 4); /* what follows is not touched */
                assert_memory_equal(found, sample, sizes[s]);
            }
        }
    }
}

static void a_cut_member_asks_for_more(void **state)
{
    (void) state;
    owned(mem_free) uint8_t *sample = layer_sample_new(1000, 2);
    owned(mem_free) uint8_t *member = mem_alloc(MEMBER_MAX);
    owned(mem_free) uint8_t *found = mem_alloc(2000);
    owned(free_inflater) struct inflater *inflater = inflater_new();
    size_t size = make_member(sample, 1000, member);
    for (size_t length = 0; length < size; length++) {
        size_t left = 0;
        owned(mem_free) uint8_t *copy = mem_alloc(length ? length : 1);
        memcpy(copy, member, length);
        inflater_begin(inflater);
        assert_int_equal(inflate_parts(inflater, copy, length, length, found, 2000, &left),
                         INFLATE_MORE);
        assert_int_equal(left, 0);
    }
}

static void trailers_are_compared(void **state)
{
    (void) state;
    owned(mem_free) uint8_t *sample = layer_sample_new(1000, 3);
    owned(mem_free) uint8_t *member = mem_alloc(MEMBER_MAX);
    owned(mem_free) uint8_t *found = mem_alloc(2000);
    owned(free_inflater) struct inflater *inflater = inflater_new();
    size_t size = make_member(sample, 1000, member);
    for (size_t bit = 0; bit < 8 * GZIP_TRAILER_SIZE; bit++) {
        size_t left = 0;
        uint8_t *byte = member + size - GZIP_TRAILER_SIZE + bit / 8;
        *byte ^= (uint8_t) (1U << bit % 8);
        for (size_t part = 1; part <= size; part += size - 1) {
            inflater_begin(inflater);
            assert_int_equal(inflate_parts(inflater, member, size, part, found, 2000, &left),
                             INFLATE_WRONG);
        }
        *byte ^= (uint8_t) (1U << bit % 8);
    }
}

static void wrong_data_is_told(void **state)
{
    (void) state;
    static const struct {
        const char *data;
        size_t size;
    } wrong[] = {
        {"\7 a block of type 3 is none at all", 30},
        {"\1\4\0\xfa\xffstored, with lengths that do not match", 30},
        {"\xfd\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12}, /* codes that cannot be */
        {"\3\2\0\0\0\0\0\0\0\0\0\0", 12}, /* a distance before the beginning */
    };
    uint8_t found[1000];
    owned(free_inflater) struct inflater *inflater = inflater_new();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        size_t left = 0;
        inflater_begin(inflater);
        assert_int_equal(inflate_parts(inflater, (const uint8_t *) wrong[i].data, wrong[i].size,
                                       wrong[i].size, found, sizeof found, &left),
                         INFLATE_BROKEN);
    }
}

/* A piece does not depend on those that the deflater made before, nor on others like it. */
static void pieces_depend_on_their_data_alone(void **state)
{
    (void) state;
    enum { SIZE = 200000 };
    owned(free_deflater) struct deflater *deflater = deflater_new();
    owned(free_deflater) struct deflater *other = deflater_new();
    owned(mem_free) uint8_t *first = mem_alloc(deflate_bound(SIZE));
    owned(mem_free) uint8_t *second = mem_alloc(deflate_bound(SIZE));
    for (unsigned seed = 0; seed < 8; seed++) {
        owned(mem_free) uint8_t *sample = layer_sample_new(SIZE, seed);
        owned(mem_free) uint8_t *copy = mem_alloc(SIZE + 7);
        size_t size = deflater_run(deflater, sample, SIZE, first);
        memcpy(copy + seed % 7, sample, SIZE); /* at another address */
        assert_int_equal(deflater_run(seed % 2 ? other : deflater, copy + seed % 7, SIZE, second),
                         size);
        assert_memory_equal(first, second, size);
        assert_true(size < SIZE * 9 / 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_crc_is_that_of_gzip),
        cmocka_unit_test(members_are_inflated_in_any_parts),
        cmocka_unit_test(a_cut_member_asks_for_more),
        cmocka_unit_test(trailers_are_compared),
        cmocka_unit_test(wrong_data_is_told),
        cmocka_unit_test(pieces_depend_on_their_data_alone),
    };
    return cmocka_run_group_tests_name("diff/gzip", tests, NULL, NULL);
}
