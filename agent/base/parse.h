/* Small texts to values: the whole text must be consumed, nothing is guessed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads a decimal number without sign. Returns -1 for trailing junk, an empty text, or a number
 * outside [min, max] (2^64 and more included). */
int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_number);

/* Reads a duration with its unit, ms s m h d: "250ms", "10m". Gives milliseconds. A plain number
 * has no unit and is refused, "0" included. Returns -1 also on overflow. */
int parse_duration(const char *text, uint64_t *ret_ms);

/* Reads yes, no, on, off, true or false. */
int parse_bool(const char *text, bool *ret_value);

/* Splits "host:port" or "[v6]:port" at the last colon. `*ret_host` is a new string without
 * brackets, owned by the caller; the port is 1 to 65535. An IPv6 address without brackets is
 * refused. Returns -1 with a clause in `*ret_why` (a constant). */
int parse_host_port(const char *text, char **ret_host, uint16_t *ret_port, const char **ret_why);

/* Reads standard base64 (RFC 4648 section 4, padded). Returns the number of bytes written to
 * `ret_bytes`, or -1 when the text is not base64 or has more than `size` bytes. */
int parse_base64(const char *text, uint8_t *ret_bytes, size_t size);
