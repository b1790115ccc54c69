/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include <string.h>

#include "base/hex.h"

static const struct {
    const char *name; /* NULL: no algorithm */
    size_t size;
} algorithms[] = {
    [DIGEST_SHA256] = {"sha256", DIGEST_SHA256_SIZE},
    [DIGEST_SHA384] = {"sha384", 48},
    [DIGEST_SHA512] = {"sha512", 64},
};

#define ALGORITHM_END (sizeof algorithms / sizeof algorithms[0])

const char *digest_algorithm_name(enum digest_algorithm algorithm)
{
    return (size_t) algorithm < ALGORITHM_END ? algorithms[algorithm].name : NULL;
}

size_t digest_size(enum digest_algorithm algorithm)
{
    return (size_t) algorithm < ALGORITHM_END ? algorithms[algorithm].size : 0;
}

static bool is_digit(char character)
{
    return hex_digit_value(character) < 16 && !(character >= 'A' && character <= 'F');
}

bool digest_from_hex(enum digest_algorithm algorithm, const char *hex, struct digest *out_digest)
{
    size_t size = digest_size(algorithm);
    struct digest digest = {.algorithm = algorithm};
    for (size_t i = 0; i < size; i++) {
        if (!is_digit(hex[2 * i]) || !is_digit(hex[2 * i + 1]))
            return false;
        digest.bytes[i] =
            (uint8_t) (hex_digit_value(hex[2 * i]) << 4 | hex_digit_value(hex[2 * i + 1]));
    }
    if (size == 0 || hex[2 * size] != '\0')
        return false;
    *out_digest = digest;
    return true;
}

/* The algorithm that text begins with, and where its digits begin; 0 if there is none. */
static enum digest_algorithm parse_algorithm(const char *text, const char **out_hex)
{
    for (size_t i = DIGEST_SHA256; i < ALGORITHM_END; i++) {
        size_t length = strlen(algorithms[i].name);
        if (strncmp(text, algorithms[i].name, length) == 0 && text[length] == ':') {
            *out_hex = text + length + 1;
            return (enum digest_algorithm) i;
        }
    }
    return (enum digest_algorithm) 0;
}

int digest_parse(const char *text, struct digest *out_digest, struct error *error)
{
    const char *hex = "";
    enum digest_algorithm algorithm = parse_algorithm(text, &hex);
    if (digest_from_hex(algorithm, hex, out_digest))
        return 0;
    if (digest_size(algorithm) == 0)
        return error_set(error, ERROR_INVALID,
                         "a digest is sha256:HEX, sha384:HEX or sha512:HEX, not \"%s\"", text);
    return error_set(error, ERROR_INVALID,
                     "a digest of %s has exactly %zu hexadecimal digits in lower case, unlike "
                     "\"%s\"",
                     digest_algorithm_name(algorithm), 2 * digest_size(algorithm), text);
}

void digest_format(const struct digest *digest, char out[DIGEST_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    const char *name = digest_algorithm_name(digest->algorithm);
    size_t size = digest_size(digest->algorithm);
    size_t length = name ? strlen(name) : 0;
    memcpy(out, name ? name : "", length);
    out[length++] = ':';
    for (size_t i = 0; i < size; i++) {
        out[length++] = digits[digest->bytes[i] >> 4];
        out[length++] = digits[digest->bytes[i] & 15];
    }
    out[length] = '\0';
}

const char *digest_text_hex(const char text[DIGEST_TEXT_SIZE])
{
    return strchr(text, ':') + 1;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return a->algorithm == b->algorithm &&
           memcmp(a->bytes, b->bytes, digest_size(a->algorithm)) == 0;
}

void digester_clear(struct digester **digester)
{
    digester_free(*digester);
    *digester = NULL;
}
