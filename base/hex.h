/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The value of a digit in any base up to 16; 16 for every other character. */
static inline unsigned hex_digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return (unsigned) (digit - '0');
    if (digit >= 'a' && digit <= 'f')
        return (unsigned) (digit - 'a') + 10;
    return digit >= 'A' && digit <= 'F' ? (unsigned) (digit - 'A') + 10 : 16;
}
