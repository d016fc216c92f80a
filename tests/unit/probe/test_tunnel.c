#include "net/socket.h"
#include "probe/tunnel.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/unit/tls/pair.h"

#define MANY_TURNS 20000

#define MIB ((size_t)1024 * 1024)

/* A tunnel; behind it, at the other end of a socket, a backend; before it, one who uses it. */
struct bed {
    uv_loop_t loop;
    struct scratch scratch;
    struct pair *pair;
    int link;              /* the backend's end */
    bool is_deaf;          /* the backend reads nothing */
    struct tunnel *tunnel; /* NULL: the test has closed it */
    struct addr addr;
    int user;
};

static void nothing_yet(void *ctx, unsigned events)
{
    (void)ctx, (void)events;
    fail_msg("the tunnel has not taken the upstream over");
}

static void connect_user(struct bed *bed)
{
    bed->user = socket_connect(&bed->addr);
    assert_true(bed->user >= 0);
}

/* What the client has heard by now is delivered first. */
static struct buf listen_early(struct bed *bed)
{
    static uint8_t plain[4 * TLS_RECORD_MAX];
    enum tls_status status;
    struct buf early;
    buf_init(&early, SCRATCH_PLAIN_MAX);
    size_t len = pair_read(bed->pair, plain, sizeof(plain), &status);
    assert_int_equal(buf_append(&early, plain, len), 0);
    return early;
}

static void open_tunnel(struct bed *bed)
{
    struct buf early = listen_early(bed);
    struct upstream upstream = {.tls = bed->pair->client};
    int link[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, link), 0);
    bed->link = link[1];
    buf_init(&upstream.unsent, SCRATCH_CIPHER_MAX);
    upstream.watch = watch_open(&bed->loop, link[0], nothing_yet, NULL);
    assert_non_null(upstream.watch);
    bed->pair->client = NULL;
    bed->tunnel = tunnel_open(&bed->loop, &bed->scratch, &upstream, &early, &bed->addr);
    assert_non_null(bed->tunnel);
}

/* `first` is what the backend says in one flight with its side of the handshake. */
static struct bed *make_bed(struct pair_spec spec, const char *first)
{
    struct bed *bed = calloc(1, sizeof(*bed));
    assert_non_null(bed);
    assert_int_equal(uv_loop_init(&bed->loop), 0);
    assert_int_equal(scratch_init(&bed->scratch), 0);
    bed->pair = pair_new(spec);
    assert_int_equal(pair_handshake(bed->pair, NULL), TLS_DONE);
    if (first != NULL) {
        gnutls_record_send(bed->pair->server, first, strlen(first));
    }
    open_tunnel(bed);
    bed->user = -1;
    return bed;
}

static void free_bed(struct bed *bed)
{
    tunnel_close(bed->tunnel);
    uv_run(&bed->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&bed->loop), 0);
    scratch_release(&bed->scratch);
    pair_free(bed->pair);
    if (bed->link >= 0) {
        close(bed->link);
    }
    if (bed->user >= 0) {
        close(bed->user);
    }
    free(bed);
}

static void hang_up(int *fd)
{
    close(*fd);
    *fd = -1;
}

/* Lets all move that can, once. */
static void turn(struct bed *bed)
{
    uint8_t bytes[16384];
    struct buf *out = &bed->pair->to_client;
    uv_run(&bed->loop, UV_RUN_NOWAIT);
    if (bed->link < 0) {
        return;
    }
    ssize_t n = buf_len(out) > 0 ? socket_send(bed->link, buf_bytes(out), buf_len(out)) : 0;
    if (n > 0) {
        buf_consume(out, (size_t)n);
    }
    while (!bed->is_deaf && (n = socket_recv(bed->link, bytes, sizeof(bytes))) > 0) {
        assert_int_equal(buf_append(&bed->pair->to_server, bytes, (size_t)n), 0);
    }
}

static void turns(struct bed *bed, unsigned n)
{
    while (n-- > 0) {
        turn(bed);
    }
}

static void turn_until_told(struct bed *bed)
{
    for (unsigned i = 0; buf_len(&bed->pair->to_client) > 0; i++) {
        assert_true(i < MANY_TURNS);
        turn(bed);
    }
    turns(bed, 10);
}

static uint8_t *make_bytes(size_t len)
{
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    }
    return bytes;
}

static void backend_says(struct bed *bed, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = gnutls_record_send(bed->pair->server, bytes, len);
        assert_true(n > 0);
        bytes += n;
        len -= (size_t)n;
    }
}

/* Reads what the tunnel has to say, to its end of file or `size` bytes. Returns how many came. */
static size_t user_hears(struct bed *bed, uint8_t *bytes, size_t size)
{
    size_t len = 0;
    for (unsigned i = 0; i < MANY_TURNS && len < size; i++) {
        ssize_t n = socket_recv(bed->user, bytes + len, size - len);
        if (n == 0) {
            return len;
        }
        len += n > 0 ? (size_t)n : 0;
        turn(bed);
    }
    assert_int_equal(len, size);
    return len;
}

static void expect_down(struct bed *bed, const uint8_t *bytes, size_t len)
{
    uint8_t *heard = malloc(len);
    assert_non_null(heard);
    assert_int_equal(user_hears(bed, heard, len), len);
    assert_memory_equal(heard, bytes, len);
    free(heard);
}

static void expect_end(struct bed *bed, enum reason reason)
{
    uint8_t byte;
    assert_int_equal(user_hears(bed, &byte, 1), 0);
    assert_int_equal(tunnel_failure(bed->tunnel)->reason, reason);
}

/* Lets the user say it all, and the backend hear it. */
static void expect_up(struct bed *bed, const uint8_t *bytes, size_t len)
{
    uint8_t *heard = malloc(len);
    size_t said = 0, got = 0;
    assert_non_null(heard);
    for (unsigned i = 0; i < MANY_TURNS && got < len; i++) {
        ssize_t n = said < len ? socket_send(bed->user, bytes + said, len - said) : 0;
        said += n > 0 ? (size_t)n : 0;
        turn(bed);
        n = gnutls_record_recv(bed->pair->server, heard + got, len - got);
        assert_true(n > 0 || n == GNUTLS_E_AGAIN);
        got += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(got, len);
    assert_memory_equal(heard, bytes, len);
    free(heard);
}

static void expect_goodbye(struct bed *bed)
{
    uint8_t byte;
    ssize_t n = GNUTLS_E_AGAIN;
    for (unsigned i = 0; i < 100 && n == GNUTLS_E_AGAIN; i++) {
        turn(bed);
        n = gnutls_record_recv(bed->pair->server, &byte, 1);
    }
    assert_int_equal(n, 0);
}

static const char *const versions[] = {
    "NORMAL:-VERS-ALL:+VERS-TLS1.3",
    "NORMAL:-VERS-ALL:+VERS-TLS1.2",
};

static void test_much_goes_both_ways(void **state)
{
    (void)state;
    uint8_t *bytes = make_bytes(MIB);
    for (size_t v = 0; v < 2; v++) {
        struct bed *bed = make_bed((struct pair_spec){.server_priority = versions[v]}, NULL);
        connect_user(bed);
        backend_says(bed, bytes, MIB);
        expect_down(bed, bytes, MIB);
        expect_up(bed, bytes, MIB);
        assert_int_equal(tunnel_failure(bed->tunnel)->reason, REASON_ok);
        assert_non_null(tls_version(tunnel_tls(bed->tunnel)));
        bed->tunnel = tunnel_close(bed->tunnel);
        expect_goodbye(bed);
        free_bed(bed);
    }
    free(bytes);
}

static void test_what_came_with_the_handshake_is_not_lost(void **state)
{
    (void)state;
    struct bed *bed = make_bed((struct pair_spec){0}, "banner");
    connect_user(bed);
    expect_down(bed, (const uint8_t *)"banner", 6);
    assert_true(tls_is_confirmed(tunnel_tls(bed->tunnel)));
    free_bed(bed);
}

static void test_slow_reader_slows_the_backend(void **state)
{
    (void)state;
    uint8_t *bytes = make_bytes(4 * MIB);
    struct bed *bed = make_bed((struct pair_spec){0}, NULL);
    connect_user(bed);
    backend_says(bed, bytes, 4 * MIB);
    turns(bed, 500);
    assert_true(buf_len(&bed->pair->to_client) > 2 * MIB);
    expect_down(bed, bytes, 4 * MIB);
    free_bed(bed);
    free(bytes);
}

static void test_slow_backend_slows_the_writer(void **state)
{
    (void)state;
    uint8_t *bytes = make_bytes(4 * MIB);
    struct bed *bed = make_bed((struct pair_spec){0}, NULL);
    size_t said = 0;
    connect_user(bed);
    bed->is_deaf = true;
    for (unsigned i = 0; i < 500; i++) {
        ssize_t n = socket_send(bed->user, bytes + said, 4 * MIB - said);
        said += n > 0 ? (size_t)n : 0;
        turn(bed);
    }
    assert_true(said < 2 * MIB);
    free_bed(bed);
    free(bytes);
}

static void test_goodbye_ends_one_direction(void **state)
{
    (void)state;
    struct bed *bed = make_bed((struct pair_spec){0}, "all");
    connect_user(bed);
    gnutls_bye(bed->pair->server, GNUTLS_SHUT_WR);
    expect_down(bed, (const uint8_t *)"all", 3);
    expect_end(bed, REASON_ok);
    expect_up(bed, (const uint8_t *)"thanks", 6);
    assert_int_equal(shutdown(bed->user, SHUT_WR), 0);
    expect_goodbye(bed);
    free_bed(bed);
}

static void test_writer_may_finish_first(void **state)
{
    (void)state;
    struct bed *bed = make_bed((struct pair_spec){0}, NULL);
    connect_user(bed);
    assert_int_equal(shutdown(bed->user, SHUT_WR), 0);
    expect_goodbye(bed);
    backend_says(bed, (const uint8_t *)"late", 4);
    expect_down(bed, (const uint8_t *)"late", 4);
    free_bed(bed);
}

static void test_truncation_is_remembered(void **state)
{
    (void)state;
    struct bed *bed = make_bed((struct pair_spec){0}, NULL);
    connect_user(bed);
    backend_says(bed, (const uint8_t *)"half", 4);
    turn_until_told(bed);
    hang_up(&bed->link);
    expect_down(bed, (const uint8_t *)"half", 4);
    expect_end(bed, REASON_upstream_truncated);
    free_bed(bed);
}

/* RFC 8446 section 4.4.2.4: the backend judges after our handshake is done. */
static void test_refusal_after_the_handshake_is_remembered(void **state)
{
    static const struct {
        gnutls_alert_description_t alert;
        enum reason reason;
    } cases[] = {
        {GNUTLS_A_CERTIFICATE_REQUIRED, REASON_client_cert_required},
        {GNUTLS_A_CERTIFICATE_EXPIRED, REASON_client_cert_expired},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bed *bed = make_bed((struct pair_spec){.no_identity = i == 0}, NULL);
        connect_user(bed);
        gnutls_alert_send(bed->pair->server, GNUTLS_AL_FATAL, cases[i].alert);
        expect_end(bed, cases[i].reason);
        assert_true(tunnel_failure(bed->tunnel)->by_peer);
        free_bed(bed);
    }
}

static void test_refusal_is_known_before_anybody_connects(void **state)
{
    (void)state;
    struct bed *bed = make_bed((struct pair_spec){.no_identity = true}, NULL);
    gnutls_alert_send(bed->pair->server, GNUTLS_AL_FATAL, GNUTLS_A_CERTIFICATE_REQUIRED);
    turn_until_told(bed);
    assert_int_equal(tunnel_failure(bed->tunnel)->reason, REASON_client_cert_required);
    connect_user(bed);
    expect_end(bed, REASON_client_cert_required);
    free_bed(bed);
}

/* The send fails first, for the slow reader keeps the alert from being read. */
static void test_alert_wins_over_a_broken_pipe(void **state)
{
    const size_t len = 400 * 1024;
    (void)state;
    uint8_t *bytes = make_bytes(len);
    struct bed *bed = make_bed((struct pair_spec){0}, NULL);
    connect_user(bed);
    backend_says(bed, bytes, len);
    gnutls_alert_send(bed->pair->server, GNUTLS_AL_FATAL, GNUTLS_A_INTERNAL_ERROR);
    turn_until_told(bed);
    hang_up(&bed->link);
    assert_int_equal(tunnel_failure(bed->tunnel)->reason, REASON_ok);
    assert_int_equal(socket_send(bed->user, "x", 1), 1);
    turns(bed, 10);
    assert_int_equal(tunnel_failure(bed->tunnel)->reason, REASON_ok);
    expect_down(bed, bytes, len);
    expect_end(bed, REASON_tls_alert);
    assert_true(tunnel_failure(bed->tunnel)->by_peer);
    free_bed(bed);
    free(bytes);
}

static void test_broken_pipe_without_an_alert(void **state)
{
    (void)state;
    struct bed *bed = make_bed((struct pair_spec){0}, NULL);
    connect_user(bed);
    turns(bed, 10);
    assert_int_equal(socket_send(bed->user, "x", 1), 1);
    bed->is_deaf = true;
    turns(bed, 10);
    hang_up(&bed->link); /* with a byte unread: a reset */
    assert_int_equal(socket_send(bed->user, "x", 1), 1);
    expect_end(bed, REASON_upstream_reset);
    free_bed(bed);
}

static void test_user_that_goes_away(void **state)
{
    (void)state;
    uint8_t *bytes = make_bytes(2 * MIB);
    struct bed *bed = make_bed((struct pair_spec){0}, NULL);
    connect_user(bed);
    backend_says(bed, bytes, 2 * MIB);
    turns(bed, 100);
    hang_up(&bed->user);
    turns(bed, 500);
    assert_true(buf_len(&bed->pair->to_client) > MIB / 2); /* nobody reads it any more */
    assert_int_equal(tunnel_failure(bed->tunnel)->reason, REASON_ok);
    free_bed(bed);

    bed = make_bed((struct pair_spec){0}, NULL);
    connect_user(bed);
    hang_up(&bed->user);
    expect_goodbye(bed);
    free_bed(bed);
    free(bytes);
}

/* Kills itself when the address gives nothing but an end: an exit would have valgrind count what
 * the parent still holds. */
static void try_as_another(const struct addr *addr)
{
    char byte;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, &addr->sa, addr->len) == 0 && recv(fd, &byte, 1, 0) <= 0) {
        raise(SIGKILL);
    }
    _exit(1);
}

static void test_another_process_is_not_let_in(void **state)
{
    int status;
    (void)state;
    struct bed *bed = make_bed((struct pair_spec){0}, "secret");
    pid_t child = fork();
    if (child == 0) {
        try_as_another(&bed->addr);
    }
    while (waitpid(child, &status, WNOHANG) == 0) {
        turn(bed);
    }
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    connect_user(bed);
    expect_down(bed, (const uint8_t *)"secret", 6);

    /* Nor is a second one of ours. */
    int second = socket_connect(&bed->addr);
    assert_int_equal(second, -1);
    free_bed(bed);
    assert_null(tunnel_close(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_much_goes_both_ways),
        cmocka_unit_test(test_what_came_with_the_handshake_is_not_lost),
        cmocka_unit_test(test_slow_reader_slows_the_backend),
        cmocka_unit_test(test_slow_backend_slows_the_writer),
        cmocka_unit_test(test_goodbye_ends_one_direction),
        cmocka_unit_test(test_writer_may_finish_first),
        cmocka_unit_test(test_truncation_is_remembered),
        cmocka_unit_test(test_refusal_after_the_handshake_is_remembered),
        cmocka_unit_test(test_refusal_is_known_before_anybody_connects),
        cmocka_unit_test(test_alert_wins_over_a_broken_pipe),
        cmocka_unit_test(test_broken_pipe_without_an_alert),
        cmocka_unit_test(test_user_that_goes_away),
        cmocka_unit_test(test_another_process_is_not_let_in),
    };
    return cmocka_run_group_tests(tests, fixture_enter, fixture_leave);
}
