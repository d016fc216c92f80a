#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void bytes_come_out_as_they_went_in(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    assert_int_equal(buf_append(&buf, "hello ", 6), 0);
    assert_int_equal(buf_append(&buf, "world", 5), 0);
    buf_consume(&buf, 2);
    assert_int_equal(buf_len(&buf), 9);
    assert_memory_equal(buf_bytes(&buf), "llo world", 9);
    buf_release(&buf);
}

static void the_maximum_is_kept(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 4);
    assert_int_equal(buf_append(&buf, "abcd", 4), 0);
    assert_int_equal(buf_append(&buf, "e", 1), -1);
    assert_int_equal(buf_len(&buf), 4);
    buf_consume(&buf, 3);
    assert_int_equal(buf_append(&buf, "efg", 3), 0);
    assert_memory_equal(buf_bytes(&buf), "defg", 4);
    assert_int_equal(buf_append(&buf, "", SIZE_MAX), -1);
    buf_release(&buf);
}

static void an_empty_buffer_holds_no_memory(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 4096);
    assert_null(buf.mem);
    assert_int_equal(buf_append(&buf, NULL, 0), 0);
    assert_null(buf.mem);
    buf_append(&buf, "x", 1);
    buf_release(&buf);
    assert_null(buf.mem);
    assert_int_equal(buf_append(&buf, "y", 1), 0);
    buf_clear(&buf);
    assert_int_equal(buf_len(&buf), 0);
    assert_non_null(buf.mem);
    buf_release(&buf);
}

/* Bytes in odd portions in and out, against a plain counter. */
static void a_long_stream_is_kept_in_order(void **state)
{
    (void)state;
    struct buf buf;
    uint8_t in = 0, out = 0, portion[97];
    buf_init(&buf, 5000);
    for (int round = 0; round < 2000; round++) {
        size_t n = (size_t)(round * 31 % 97);
        for (size_t i = 0; i < n; i++) {
            portion[i] = (uint8_t)(in + i);
        }
        if (buf_append(&buf, portion, n) == 0) {
            in = (uint8_t)(in + n);
        }
        size_t take = (size_t)(round * 17 % 89);
        take = take < buf_len(&buf) ? take : buf_len(&buf);
        for (size_t i = 0; i < take; i++) {
            assert_int_equal(buf_bytes(&buf)[i], out++);
        }
        buf_consume(&buf, take);
    }
    buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_as_they_went_in),
        cmocka_unit_test(the_maximum_is_kept),
        cmocka_unit_test(an_empty_buffer_holds_no_memory),
        cmocka_unit_test(a_long_stream_is_kept_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
