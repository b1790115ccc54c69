/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#define CHARACTER_MAX 0x10ffff

/* The smallest character that needs so many bytes: anything below it is an overlong form. */
static const uint32_t smallest[UTF8_LONGEST + 1] = {0, 0, 0x80, 0x800, 0x10000};

static const unsigned char lead_marks[UTF8_LONGEST + 1] = {0, 0, 0xc0, 0xe0, 0xf0};

static bool is_scalar(uint32_t character)
{
    bool surrogate = character >= 0xd800 && character <= 0xdfff;
    return character <= CHARACTER_MAX && !surrogate;
}

static size_t length_from_lead(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc0 && lead < 0xe0)
        return 2;
    if (lead >= 0xe0 && lead < 0xf0)
        return 3;
    return lead >= 0xf0 && lead < 0xf8 ? 4 : 0;
}

size_t utf8_decode(const char *text, size_t length, uint32_t *out_character)
{
    if (length == 0)
        return 0;
    unsigned char lead = (unsigned char) text[0];
    size_t size = length_from_lead(lead);
    if (size == 0 || size > length)
        return 0;
    uint32_t character = size == 1 ? lead : lead & (0x7fU >> size);
    for (size_t i = 1; i < size; i++) {
        unsigned char byte = (unsigned char) text[i];
        if ((byte & 0xc0) != 0x80)
            return 0;
        character = character << 6 | (byte & 0x3fU);
    }
    if (character < smallest[size] || !is_scalar(character))
        return 0;
    *out_character = character;
    return size;
}

size_t utf8_encode(uint32_t character, char out[UTF8_LONGEST])
{
    if (!is_scalar(character))
        return 0;
    size_t size = 1;
    while (size < UTF8_LONGEST && character >= smallest[size + 1])
        size++;
    for (size_t i = size - 1; i > 0; i--) {
        out[i] = (char) (0x80 | (character & 0x3f));
        character >>= 6;
    }
    out[0] = (char) (lead_marks[size] | character);
    return size;
}

bool utf8_valid(const char *text, size_t length)
{
    uint32_t character;
    size_t position = 0;
    while (position < length) {
        size_t size = utf8_decode(text + position, length - position, &character);
        if (size == 0)
            return false;
        position += size;
    }
    return true;
}
