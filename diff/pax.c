/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/pax.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/mem.h"

enum {
    RECORD_MAX = 999999, /* of libarchive */
    XATTRS_MAX = 1024    /* of one entry */
};

/* One record: text ends with a NUL here, value may have others. */
struct record {
    char *key;
    char *value;
    size_t size; /* of the value */
};

void pax_clear(struct pax *pax)
{
    mem_free(&pax->xattrs);
    mem_free(&pax->passed);
    *pax = PAX_NULL;
}

void pax_reset(struct pax *pax)
{
    struct pax empty = {.xattrs = pax->xattrs,
                        .xattr_capacity = pax->xattr_capacity,
                        .passed = pax->passed,
                        .passed_capacity = pax->passed_capacity};
    *pax = empty;
}

void pax_pass(struct pax *pax, const char *key, const char *value, size_t size)
{
    /* The length at the front counts itself. */
    size_t rest = strlen(key) + size + 3;
    size_t length = rest + 1;
    char digits[24];
    while (length != rest + (size_t) snprintf(digits, sizeof digits, "%zu", length))
        length = rest + strlen(digits);
    if (pax->passed_length + length + 1 > pax->passed_capacity) {
        pax->passed_capacity = 2 * (pax->passed_length + length + 1);
        pax->passed = mem_resize(pax->passed, pax->passed_capacity, 1);
    }
    char *end = pax->passed + pax->passed_length;
    end += sprintf(end, "%s %s=", digits, key);
    memcpy(end, value, size);
    end[size] = '\n';
    pax->passed_length += length;
}

static int malformed(const char *key, struct error *error)
{
    return error_set(error, ERROR_INVALID, "the pax record %.40s is malformed", key);
}

/* Cuts the record at the start of text. Returns its length, or 0 if it is malformed. */
static size_t cut_record(char *text, size_t length, struct record *out)
{
    size_t size = 0;
    size_t at = 0;
    for (; at < length && text[at] >= '0' && text[at] <= '9' && size <= RECORD_MAX; at++)
        size = size * 10 + (size_t) (text[at] - '0');
    if (at == 0 || size > RECORD_MAX || size > length || size < at + 4 || text[at] != ' ' ||
        text[size - 1] != '\n')
        return 0;
    char *equals = memchr(text + at + 1, '=', size - at - 2);
    char *key = text + at + 1;
    if (!equals || equals == key || memchr(key, '\0', (size_t) (equals - key)))
        return 0;
    *equals = '\0';
    text[size - 1] = '\0';
    *out = (struct record){
        .key = key, .value = equals + 1, .size = (size_t) (text + size - 1 - (equals + 1))};
    return size;
}

static bool is_number(const char *text, size_t size)
{
    return size > 0 && size <= 18 && strspn(text, "0123456789") == size;
}

static uint64_t to_number(const char *text)
{
    uint64_t number = 0;
    for (; *text; text++)
        number = number * 10 + (uint64_t) (*text - '0');
    return number;
}

/* A time before 1970 becomes 1970, as it does in the end. */
static bool check_time(struct record *record)
{
    char *text = record->value;
    bool negative = *text == '-';
    if (negative)
        *text = '0';
    size_t seconds = strspn(text, "0123456789");
    size_t nanos = text[seconds] == '.' ? 1 + strspn(text + seconds + 1, "0123456789") : 0;
    if (seconds == 0 || seconds > 18 || seconds + nanos != record->size)
        return false;
    for (size_t i = 0; negative && i < record->size; i++)
        text[i] = text[i] == '.' ? '.' : '0';
    return true;
}

/* "offset,size,offset,size" */
static bool check_map(const struct record *record)
{
    size_t numbers = 1;
    size_t digits = 0;
    for (size_t i = 0; i < record->size; i++) {
        bool comma = record->value[i] == ',';
        if ((comma && digits == 0) ||
            (!comma && (record->value[i] < '0' || record->value[i] > '9')))
            return false;
        digits = comma ? 0 : digits + 1;
        numbers += comma;
        if (digits > 18)
            return false;
    }
    return digits > 0 && numbers % 2 == 0;
}

static int take_sparse(struct pax *pax, const struct record *record, struct error *error)
{
    const char *key = record->key + strlen("GNU.sparse.");
    bool valid = strcmp(key, "name") == 0  ? strlen(record->value) == record->size
                 : strcmp(key, "map") == 0 ? check_map(record)
                                           : is_number(record->value, record->size);
    if (!valid)
        return malformed(record->key, error);
    if (strcmp(key, "major") == 0)
        pax->data_map = to_number(record->value) == 1;
    pax->sparse = true;
    pax_pass(pax, record->key, record->value, record->size);
    return 0;
}

static int add_xattr(struct pax *pax, const struct pax_xattr *added,
                     const struct layer_limits *limits, struct error *error)
{
    if (limits->xattr_bytes > 0 && added->size > limits->xattr_bytes)
        return error_set(error, ERROR_NO_SPACE,
                         "the extended attribute %.255s has more than %" PRIu64 " bytes",
                         added->name, limits->xattr_bytes);
    for (size_t i = 0; i < pax->xattr_count; i++) {
        struct pax_xattr *known = &pax->xattrs[i];
        if (strcmp(known->name, added->name) != 0)
            continue;
        if (known->weak || !added->weak)
            *known = *added;
        return 0;
    }
    if (pax->xattr_count == XATTRS_MAX)
        return error_set(error, ERROR_NO_SPACE, "more than %d extended attributes", XATTRS_MAX);
    if (pax->xattr_count == pax->xattr_capacity) {
        pax->xattr_capacity = 2 * pax->xattr_capacity + 4;
        pax->xattrs = mem_resize(pax->xattrs, pax->xattr_capacity, sizeof *pax->xattrs);
    }
    pax->xattrs[pax->xattr_count++] = *added;
    return 0;
}

/* Decodes %XX in place. */
static void decode_url(char *text)
{
    char *out = text;
    for (; *text; text++) {
        unsigned high = *text == '%' ? hex_digit_value(text[1]) : 16;
        unsigned low = high < 16 ? hex_digit_value(text[2]) : 16;
        if (low < 16 && high * 16 + low != 0) {
            *out++ = (char) (high * 16 + low);
            text += 2;
        } else {
            *out++ = *text;
        }
    }
    *out = '\0';
}

static unsigned base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned) (c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned) (c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned) (c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* Decodes base64, padded or not, in place. False if it is none. */
static bool decode_base64(char *text, size_t *size)
{
    size_t length = *size;
    size_t out = 0;
    uint32_t bits = 0;
    while (length > 0 && text[length - 1] == '=')
        length--;
    for (size_t i = 0; i < length; i++) {
        unsigned value = base64_value(text[i]);
        if (value > 63)
            return false;
        bits = bits << 6 | value;
        if (i % 4 > 0)
            text[out++] = (char) (bits >> (6 - 2 * (i % 4)));
    }
    *size = out;
    return length % 4 != 1;
}

static int take_weak_xattr(struct pax *pax, struct record *record,
                           const struct layer_limits *limits, struct error *error)
{
    char *name = record->key + strlen("LIBARCHIVE.xattr.");
    decode_url(name);
    if (!*name || !decode_base64(record->value, &record->size))
        return 0; /* containerd never looks at it */
    struct pax_xattr xattr = {
        .name = name, .value = record->value, .size = record->size, .weak = true};
    return add_xattr(pax, &xattr, limits, error);
}

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* What describes the entry itself: of several records of a key the last one counts, and an empty
 * one means that the header does. */
static const char *const basic_keys[] = {"path", "linkpath", "size", "uid",
                                         "gid",  "mtime",    "atime"};
enum { BASIC_KEYS = sizeof basic_keys / sizeof basic_keys[0] };

static void pass_basic(struct pax *pax, const struct record *record)
{
    if (record->size == 0)
        return;
    if (strcmp(record->key, "size") == 0) {
        pax->has_size = true;
        pax->size = to_number(record->value);
        return;
    }
    pax->has_link |= strcmp(record->key, "linkpath") == 0;
    pax_pass(pax, record->key, record->value, record->size);
}

static int take_basic(struct record *record, struct record basic[BASIC_KEYS], struct error *error)
{
    size_t index = 0;
    const char *key = record->key;
    while (index < BASIC_KEYS && strcmp(key, basic_keys[index]) != 0)
        index++;
    if (index == BASIC_KEYS)
        return 0;
    bool text = strcmp(key, "path") == 0 || strcmp(key, "linkpath") == 0;
    bool time = strcmp(key, "mtime") == 0 || strcmp(key, "atime") == 0;
    bool valid = record->size == 0 ? true
                 : text            ? strlen(record->value) == record->size
                 : time            ? check_time(record)
                                   : is_number(record->value, record->size);
    if (!valid)
        return malformed(key, error);
    basic[index] = *record;
    return 0;
}

/* containerd never looks at it: what is no time counts as not there. */
static void take_birth(struct pax *pax, struct record *record)
{
    static const long tenths = 100000000;
    if (*record->value == '-' || !check_time(record))
        return;
    const char *text = record->value;
    size_t seconds = strspn(text, "0123456789");
    long nanos = 0;
    long digit = tenths;
    for (const char *at = text + seconds; *at && digit > 0; at++) {
        nanos += *at == '.' ? 0 : digit * (*at - '0');
        digit = *at == '.' ? digit : digit / 10;
    }
    pax->has_birth = true;
    pax->birth = (struct timespec){(time_t) strtoull(text, NULL, 10), nanos};
}

static int take_record(struct pax *pax, struct record *record, struct record basic[BASIC_KEYS],
                       const struct layer_limits *limits, struct error *error)
{
    if (has_prefix(record->key, "SCHILY.xattr.")) {
        struct pax_xattr xattr = {.name = record->key + strlen("SCHILY.xattr."),
                                  .value = record->value,
                                  .size = record->size};
        return add_xattr(pax, &xattr, limits, error);
    }
    if (has_prefix(record->key, "LIBARCHIVE.xattr."))
        return take_weak_xattr(pax, record, limits, error);
    if (has_prefix(record->key, "GNU.sparse."))
        return take_sparse(pax, record, error);
    if (strcmp(record->key, "SCHILY.fflags") == 0)
        pax->file_flags = record->value;
    if (strcmp(record->key, "LIBARCHIVE.creationtime") == 0)
        take_birth(pax, record);
    return take_basic(record, basic, error);
}

int pax_parse(struct pax *pax, char *text, size_t length, const struct layer_limits *limits,
              struct error *error)
{
    struct record basic[BASIC_KEYS] = {0};
    while (length > 0) {
        struct record record = {0};
        size_t size = cut_record(text, length, &record);
        if (size == 0)
            return error_set(error, ERROR_INVALID, "the pax header is malformed");
        int code = take_record(pax, &record, basic, limits, error);
        if (code != 0)
            return code;
        text += size;
        length -= size;
    }
    for (size_t i = 0; i < BASIC_KEYS; i++)
        pass_basic(pax, &basic[i]);
    return 0;
}
