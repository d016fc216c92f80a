#include "base/parse.h"

#include <string.h>

/* Reads the digits at `*text` and moves behind them. */
static int take_digits(const char **text, uint64_t *ret_number)
{
    const char *at = *text;
    uint64_t number = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number)) {
            return -1;
        }
    }
    if (at == *text) {
        return -1;
    }
    *text = at;
    *ret_number = number;
    return 0;
}

int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_number)
{
    uint64_t number;
    if (take_digits(&text, &number) < 0 || *text != '\0' || number < min || number > max) {
        return -1;
    }
    *ret_number = number;
    return 0;
}

int parse_duration(const char *text, uint64_t *ret_ms)
{
    static const struct unit {
        const char *word;
        uint64_t ms;
    } units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
    };
    uint64_t number;
    if (take_digits(&text, &number) < 0) {
        return -1;
    }
    const struct unit *unit = units;
    while (unit->word != NULL && strcmp(unit->word, text) != 0) {
        unit++;
    }
    if (unit->word == NULL || __builtin_mul_overflow(number, unit->ms, &number)) {
        return -1;
    }
    *ret_ms = number;
    return 0;
}

int parse_bool(const char *text, bool *ret_value)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"yes", true},  {"no", false},  {"on", true},
                 {"off", false}, {"true", true}, {"false", false}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i].word) == 0) {
            *ret_value = words[i].value;
            return 0;
        }
    }
    return -1;
}

/* Finds where the host begins and ends and where the port begins. */
static int split_host_port(const char *text, const char **ret_host, size_t *ret_len,
                           const char **ret_port, const char **ret_why)
{
    bool bracketed = text[0] == '[';
    const char *host = bracketed ? text + 1 : text;
    const char *end = bracketed ? strchr(host, ']') : strrchr(host, ':');
    if (bracketed && (end == NULL || memchr(host, ':', (size_t)(end - host)) == NULL)) {
        *ret_why = "brackets hold an IPv6 address; write it as in [2001:db8::1]:443";
        return -1;
    }
    const char *colon = bracketed ? end + 1 : end;
    if (colon == NULL || *colon != ':') {
        *ret_why = "the port is missing; write HOST:PORT";
        return -1;
    }
    if (end == host) {
        *ret_why = "the host is missing; write HOST:PORT";
        return -1;
    }
    if (!bracketed && memchr(host, ':', (size_t)(end - host)) != NULL) {
        *ret_why = "an IPv6 address needs brackets; write it as in [2001:db8::1]:443";
        return -1;
    }
    *ret_host = host;
    *ret_len = (size_t)(end - host);
    *ret_port = colon + 1;
    return 0;
}

int parse_host_port(const char *text, char **ret_host, uint16_t *ret_port, const char **ret_why)
{
    const char *host, *port;
    size_t len;
    uint64_t number;
    if (split_host_port(text, &host, &len, &port, ret_why) < 0) {
        return -1;
    }
    if (parse_number(port, 1, UINT16_MAX, &number) < 0) {
        *ret_why = "the port is not a number from 1 to 65535; write HOST:PORT";
        return -1;
    }
    char *copy = strndup(host, len);
    if (copy == NULL) {
        *ret_why = "out of memory; free some and try again";
        return -1;
    }
    *ret_host = copy;
    *ret_port = (uint16_t)number;
    return 0;
}

/* The six bits that a letter of the alphabet stands for, or -1. */
static int base64_bits(char letter)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = letter != '\0' ? strchr(alphabet, letter) : NULL;
    return at != NULL ? (int)(at - alphabet) : -1;
}

/* Gathers up to four letters into 24 bits, left-aligned. Returns how many letters there were before
 * the padding, or -1. */
static int base64_group(const char *text, uint32_t *ret_bits)
{
    uint32_t bits = 0;
    int letters = 0;
    for (int i = 0; i < 4; i++) {
        int value = base64_bits(text[i]);
        bool is_padding = text[i] == '=' && i >= 2;
        if ((value < 0 && !is_padding) || (value >= 0 && letters < i)) {
            return -1;
        }
        bits = bits << 6 | (value >= 0 ? (uint32_t)value : 0);
        letters += value >= 0 ? 1 : 0;
    }
    *ret_bits = bits;
    return letters;
}

int parse_base64(const char *text, uint8_t *ret_bytes, size_t size)
{
    size_t len = strlen(text), n = 0;
    if (len % 4 != 0 || len / 4 > (size + 2) / 3) {
        return -1;
    }
    for (size_t i = 0; i < len; i += 4) {
        uint32_t bits;
        int letters = base64_group(text + i, &bits);
        bool is_last = i + 4 == len;
        if (letters < 0 || (letters < 4 && !is_last)) {
            return -1;
        }
        size_t bytes = (size_t)letters - 1;
        /* Bits that no byte uses must be zero, or two texts would mean the same. */
        if ((bits & (0xffffffU >> (8 * bytes))) != 0 || bytes > size - n) {
            return -1;
        }
        for (size_t b = 0; b < bytes; b++) {
            ret_bytes[n++] = (uint8_t)(bits >> (16 - 8 * b));
        }
    }
    return (int)n;
}
