/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/digest.h"

#define EMPTY_256 "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC_256 "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY_384                                                                                  \
    "sha384:38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da"                      \
    "274edebfe76f65fbd51ad2f14898b95b"
#define ABC_384                                                                                    \
    "sha384:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"                      \
    "8086072ba1e7cc2358baeca134c825a7"
#define EMPTY_512                                                                                  \
    "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"                      \
    "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
#define ABC_512                                                                                    \
    "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"                      \
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

static const struct {
    enum digest_algorithm algorithm;
    const char *name;
    size_t size;
    const char *empty;
    const char *abc;
} known[] = {
    {DIGEST_SHA256, "sha256", 32, EMPTY_256, ABC_256},
    {DIGEST_SHA384, "sha384", 48, EMPTY_384, ABC_384},
    {DIGEST_SHA512, "sha512", 64, EMPTY_512, ABC_512},
};
enum { KNOWN_COUNT = sizeof known / sizeof known[0] };

static void assert_digester_says(const struct digester *digester, const char *expected)
{
    struct digest digest;
    char text[DIGEST_TEXT_SIZE];
    digester_read(digester, &digest);
    digest_format(&digest, text);
    assert_string_equal(text, expected);
}

static void algorithms_have_names_and_sizes(void **state)
{
    (void) state;
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        assert_string_equal(digest_algorithm_name(known[i].algorithm), known[i].name);
        assert_int_equal(digest_size(known[i].algorithm), known[i].size);
    }
    static const int wrong[] = {-1, 0, DIGEST_SHA512 + 1};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_null(digest_algorithm_name((enum digest_algorithm) wrong[i]));
        assert_int_equal(digest_size((enum digest_algorithm) wrong[i]), 0);
    }
}

static void a_digest_survives_parse_and_format(void **state)
{
    (void) state;
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        struct digest digest;
        struct digest again;
        char text[DIGEST_TEXT_SIZE];
        memset(&digest, 0xff, sizeof digest);
        assert_int_equal(digest_parse(known[i].abc, &digest, NULL), 0);
        assert_int_equal(digest.algorithm, known[i].algorithm);
        for (size_t j = known[i].size; j < DIGEST_MAX_SIZE; j++)
            assert_int_equal(digest.bytes[j], 0);
        digest_format(&digest, text);
        assert_string_equal(text, known[i].abc);
        assert_string_equal(digest_text_hex(text), known[i].abc + strlen("sha256:"));
        assert_true(digest_from_hex(known[i].algorithm, digest_text_hex(text), &again));
        assert_true(digest_equal(&digest, &again));
    }
    assert_int_equal(strlen(ABC_512) + 1, DIGEST_TEXT_SIZE);
}

static void what_is_not_to_the_letter_is_refused(void **state)
{
    (void) state;
    static const char *const wrong[] = {
        "",
        ":",
        "sha256",
        "sha256:",
        "sha512:",
        EMPTY_256 "0", /* one digit too many, and two */
        EMPTY_256 "00",
        EMPTY_384 "0",
        EMPTY_512 "00",
        EMPTY_256 "\n",
        EMPTY_256 " ",
        EMPTY_256 "@" EMPTY_256,
        " " EMPTY_256,
        &EMPTY_256[1],
        &EMPTY_256[sizeof "sha256:" - 1], /* no algorithm */
        &EMPTY_256[sizeof "sha256" - 1],
        "sha256e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", /* no colon */
        "sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8", /* too short */
        "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85F",
        "sha256:g3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha256:../../98fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85555",
        "SHA256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "sha224:d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "sha384:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha256:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
        "8086072ba1e7cc2358baeca134c825a7",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct digest digest = {.algorithm = DIGEST_SHA384};
        struct error error = {0};
        if (digest_parse(wrong[i], &digest, &error) != ERROR_INVALID)
            fail_msg("taken: %s", wrong[i]);
        assert_int_equal(digest.algorithm, DIGEST_SHA384);
        assert_non_null(strstr(error.message, wrong[i]));
    }
}

static void hex_alone_is_judged_by_the_algorithm(void **state)
{
    (void) state;
    struct digest digest;
    const char *hex = strchr(ABC_384, ':') + 1;
    assert_true(digest_from_hex(DIGEST_SHA384, hex, &digest));
    assert_false(digest_from_hex(DIGEST_SHA256, hex, &digest));
    assert_false(digest_from_hex(DIGEST_SHA512, hex, &digest));
    assert_false(digest_from_hex((enum digest_algorithm) 0, "", &digest));
    assert_false(digest_from_hex(DIGEST_SHA384, ABC_384, &digest));
}

static void digests_are_equal_in_algorithm_and_every_byte(void **state)
{
    (void) state;
    struct digest a = {.algorithm = DIGEST_SHA256};
    struct digest b = a;
    assert_true(digest_equal(&a, &b));
    b.bytes[31] = 1;
    assert_false(digest_equal(&a, &b));
    b = a;
    b.algorithm = DIGEST_SHA384;
    assert_false(digest_equal(&a, &b));
}

static void known_data_has_its_known_digest(void **state)
{
    (void) state;
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        owned(digester_clear) struct digester *digester = digester_new(known[i].algorithm);
        assert_int_equal(digester_algorithm(digester), known[i].algorithm);
        assert_digester_says(digester, known[i].empty);
        digester_add(digester, "abc", 3);
        assert_digester_says(digester, known[i].abc);
    }
    digester_free(NULL);
}

static void a_digest_can_be_read_in_the_middle(void **state)
{
    (void) state;
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        owned(digester_clear) struct digester *digester = digester_new(known[i].algorithm);
        for (int round = 0; round < 3; round++) {
            assert_digester_says(digester, known[i].empty);
            digester_add(digester, "", 0);
            digester_add(digester, "a", 1);
            struct digest middle;
            digester_read(digester, &middle);
            assert_int_equal(middle.algorithm, known[i].algorithm);
            digester_add(digester, "bc", 2);
            assert_digester_says(digester, known[i].abc);
            assert_digester_says(digester, known[i].abc);
            digester_reset(digester);
        }
    }
}

/* Pieces of a million "a" that meet no block boundary (FIPS 180's third vector). */
static void pieces_of_any_length_give_the_same_digest(void **state)
{
    (void) state;
    enum { TOTAL = 1000000, PIECE = 997 };
    char piece[PIECE];
    memset(piece, 'a', sizeof piece);
    owned(digester_clear) struct digester *digester = digester_new(DIGEST_SHA256);
    struct digest ignored;
    for (size_t done = 0; done < TOTAL;) {
        size_t length = TOTAL - done < PIECE ? TOTAL - done : PIECE;
        digester_add(digester, piece, length);
        digester_read(digester, &ignored);
        done += length;
    }
    assert_digester_says(digester,
                         "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void one_shot_and_running_digest_agree(void **state)
{
    (void) state;
    struct digest expected;
    uint8_t bytes[DIGEST_SHA256_SIZE];
    assert_int_equal(digest_parse(ABC_256, &expected, NULL), 0);
    digest_sha256("abc", 3, bytes);
    assert_memory_equal(bytes, expected.bytes, sizeof bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(algorithms_have_names_and_sizes),
        cmocka_unit_test(a_digest_survives_parse_and_format),
        cmocka_unit_test(what_is_not_to_the_letter_is_refused),
        cmocka_unit_test(hex_alone_is_judged_by_the_algorithm),
        cmocka_unit_test(digests_are_equal_in_algorithm_and_every_byte),
        cmocka_unit_test(known_data_has_its_known_digest),
        cmocka_unit_test(a_digest_can_be_read_in_the_middle),
        cmocka_unit_test(pieces_of_any_length_give_the_same_digest),
        cmocka_unit_test(one_shot_and_running_digest_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
