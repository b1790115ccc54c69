/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

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
        assert_ptr_equal(step.in + step.in_size, in_before + (left < in_part ? left : in_part));
        assert_ptr_equal(step.out + step.out_size, out_before + out_part);
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

/* Memory of whole pages, and what follows it may not be touched: assembly is not seen by the
 * address sanitizer. */
struct fenced {
    uint8_t *memory;
    size_t size;
};

enum { PAGE_BYTES = 65536 };

static struct fenced fenced_make(size_t size)
{
    struct fenced fenced = {.size = (size + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES};
    fenced.memory = mmap(NULL, fenced.size + PAGE_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(fenced.memory != MAP_FAILED);
    assert_int_equal(mprotect(fenced.memory + fenced.size, PAGE_BYTES, PROT_NONE), 0);
    return fenced;
}

static void fenced_clear(struct fenced *fenced)
{
    (void) munmap(fenced->memory, fenced->size + PAGE_BYTES);
}

/* Inflates a damaged member whose input and output each end at a fence, in parts of these sizes. */
static void inflate_damaged(struct inflater *inflater, const uint8_t *member, size_t size,
                            size_t part, struct fenced *in, struct fenced *out)
{
    struct inflate_step step = {0};
    inflater_begin(inflater);
    for (size_t done = 0, made = 0; done < size && made < MEMBER_MAX;) {
        size_t in_size = size - done < part ? size - done : part;
        size_t out_size = part * 3;
        memcpy(in->memory + in->size - in_size, member + done, in_size);
        step = (struct inflate_step){.in = in->memory + in->size - in_size,
                                     .in_size = in_size,
                                     .out = out->memory + out->size - out_size,
                                     .out_size = out_size};
        if (inflater_run(inflater, &step) != INFLATE_MORE)
            return;
        assert_true(step.in_size <= in_size && step.out_size <= out_size);
        assert_ptr_equal(step.in + step.in_size, in->memory + in->size);
        assert_ptr_equal(step.out + step.out_size, out->memory + out->size);
        if (step.in_size == in_size && step.out_size == out_size)
            fail_msg("the inflater does not go on");
        done += in_size - step.in_size;
        made += out_size - step.out_size;
    }
}

static void damaged_data_is_inflated_within_bounds(void **state)
{
    (void) state;
    enum { SIZE = 3000, ROUNDS = 6000, PART_MAX = 9000 };
    struct fenced in = fenced_make(PART_MAX);
    struct fenced out = fenced_make((size_t) PART_MAX * 3);
    owned(mem_free) uint8_t *sample = layer_sample_new(SIZE, 4);
    owned(mem_free) uint8_t *member = mem_alloc(MEMBER_MAX);
    owned(mem_free) uint8_t *copy = mem_alloc(MEMBER_MAX);
    owned(free_inflater) struct inflater *inflater = inflater_new();
    size_t size = make_member(sample, SIZE, member);
    uint32_t random = 1;
    for (unsigned round = 0; round < ROUNDS; round++) {
        memcpy(copy, member, size);
        for (unsigned i = 0; i <= round % 4; i++) {
            random = random * 1664525U + 1013904223U;
            copy[(random >> 8) % size] ^= (uint8_t) (1U << (random >> 29));
        }
        size_t part = round % 3 == 0 ? PART_MAX : (random >> 16) % 300 + 1;
        inflate_damaged(inflater, copy, size, part, &in, &out);
    }
    fenced_clear(&in);
    fenced_clear(&out);
}

/* What made ISA-L 2.30 say that more input is left than there was: a distance too far. */
static void a_distance_too_far_amid_the_data_is_told(void **state)
{
    (void) state;
    static const uint8_t broken[] = {0x2b, 0xce, 0xcf, 0x4d, 0x55, 0x28, 0x49, 0xad, 0x28, 0xd1,
                                     0x51, 0x28, 0x06, 0x31, 0x73, 0xf3, 0x8b, 0x60, 0xfc, 0xc4,
                                     0xbc, 0x14, 0x30, 0x4b, 0x21, 0x31, 0x3d, 0x31, 0x33, 0x8f,
                                     0x2b, 0x78, 0x54, 0xe5, 0x88, 0xca, 0x51, 0x95, 0x38, 0x54,
                                     0x02, 0x00, 0x88, 0x4e, 0xd8, 0xdf, 0x48, 0x03, 0x00, 0x00};
    uint8_t found[2000];
    size_t left = 0;
    owned(free_inflater) struct inflater *inflater = inflater_new();
    for (size_t part = 1; part <= sizeof broken; part++) {
        inflater_begin(inflater);
        enum inflate_answer answer =
            inflate_parts(inflater, broken, sizeof broken, part, found, sizeof found - 1000, &left);
        assert_true(answer == INFLATE_BROKEN || answer == INFLATE_WRONG);
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
        cmocka_unit_test(damaged_data_is_inflated_within_bounds),
        cmocka_unit_test(a_distance_too_far_amid_the_data_is_told),
        cmocka_unit_test(pieces_depend_on_their_data_alone),
    };
    return cmocka_run_group_tests_name("diff/gzip", tests, NULL, NULL);
}
