/* The load of the benchmark that wrk has no way to make: requests at a steady pace with the
 * latency of each counted from when it was due, new connections at a steady rate, idle connections,
 * large bodies both ways. Prints one line of JSON.
 *
 *     load paced PORT PATH CONNECTIONS REQUESTS_PER_SECOND SECONDS
 *     load connect PORT PATH CONNECTIONS_PER_SECOND SECONDS
 *     load idle PORT PATH     reads how many are wanted, line by line, and says when they are open
 *     load bulk PORT DOWNLOADS UPLOADS BYTES SECONDS
 */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "exchange.h"
#include "histogram.h"

#define SECOND      UINT64_C(1000000000)
#define CONNECTIONS 20000 /* at most */
#define AT_ONCE     50    /* connections being opened */
#define EVENTS      256
#define GRACE       (5 * SECOND)  /* for what is still under way at the end */
#define PATIENCE    (60 * SECOND) /* for what takes as long as it takes */

struct load {
    int epoll;
    uint16_t port;
    struct request request;
    struct exchange *connections;
    struct exchange **unused; /* a ring of those that may be begun: open, or `is_anew` closed */
    size_t n_unused, first_unused;
    bool is_anew; /* each exchange has a connection of its own */
    size_t opened, in_flight, errors;
    uint64_t due_ns, period_ns, end_ns;
    struct histogram times;
    void (*done)(struct load *, struct exchange *);
};

static void put_unused(struct load *load, struct exchange *x)
{
    load->unused[(load->first_unused + load->n_unused++) % CONNECTIONS] = x;
}

static struct exchange *take_unused(struct load *load)
{
    struct exchange *x = load->unused[load->first_unused];
    load->first_unused = (load->first_unused + 1) % CONNECTIONS;
    load->n_unused--;
    return x;
}

static void drop_unused(struct load *load, const struct exchange *x)
{
    for (size_t n = load->n_unused; n > 0; n--) {
        struct exchange *each = take_unused(load);
        if (each != x) {
            put_unused(load, each);
        }
    }
}

/* The connection is gone: an error, whether it was in an exchange or between two. */
static void lose(struct load *load, struct exchange *x)
{
    load->errors++;
    exchange_close(x);
    if (load->is_anew) {
        put_unused(load, x);
    }
}

static void fail(struct load *load, struct exchange *x)
{
    if (x->request != NULL) {
        x->request = NULL;
        load->in_flight--;
    } else {
        drop_unused(load, x);
    }
    lose(load, x);
}

static void go(struct load *load, struct exchange *x)
{
    switch (exchange_go(x)) {
    case EXCHANGE_WAITS:
        break;
    case EXCHANGE_FAILED:
        fail(load, x);
        break;
    case EXCHANGE_DONE:
        load->in_flight--;
        load->done(load, x);
        break;
    }
}

static void begin(struct load *load, struct exchange *x, const struct request *request,
                  uint64_t due_ns)
{
    load->in_flight++;
    exchange_begin(x, request, due_ns);
    go(load, x);
}

/* A new connection with its first exchange. */
static void open_as(struct load *load, struct exchange *x, uint64_t due_ns)
{
    if (exchange_open(x, load->epoll, load->port) < 0) {
        lose(load, x);
        return;
    }
    begin(load, x, &load->request, due_ns);
}

/* Serves the sockets, and returns at `until_ns` at the latest. */
static void serve(struct load *load, uint64_t until_ns)
{
    struct epoll_event events[EVENTS];
    uint64_t now = exchange_now();
    uint64_t left = until_ns > now ? until_ns - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left / SECOND), .tv_nsec = (long)(left % SECOND)};

    /* epoll_wait() alone knows no less than a millisecond. */
    ppoll(&(struct pollfd){.fd = load->epoll, .events = POLLIN}, 1, &timeout, NULL);
    int n = epoll_wait(load->epoll, events, EVENTS, 0);
    for (int i = 0; i < n; i++) {
        struct exchange *x = events[i].data.ptr;
        if (x->fd >= 0) {
            go(load, x);
        }
    }
}

/* Waits for what is under way, but not longer than that. */
static void finish(struct load *load, uint64_t until_ns)
{
    while (load->in_flight > 0 && exchange_now() < until_ns) {
        serve(load, until_ns);
    }
    load->errors += load->in_flight;
}

static void keep(struct load *load, struct exchange *x)
{
    put_unused(load, x);
}

/* Opens connections, each with one exchange, until there are so many. */
static void open_all(struct load *load, size_t wanted)
{
    uint64_t end = exchange_now() + PATIENCE;

    load->done = keep;
    while (load->opened < wanted && exchange_now() < end) {
        while (load->opened < wanted && load->in_flight < AT_ONCE) {
            open_as(load, &load->connections[load->opened++], exchange_now());
        }
        serve(load, end);
    }
    finish(load, end);
}

static void count_time(struct load *load, const struct exchange *x, uint64_t until_ns)
{
    histogram_add(&load->times, (until_ns - x->due_ns) / 1000);
}

static void start_clock(struct load *load, double per_second, double seconds)
{
    load->due_ns = exchange_now();
    load->period_ns = (uint64_t)((double)SECOND / per_second);
    load->end_ns = load->due_ns + (uint64_t)(seconds * (double)SECOND);
}

/* Whether something is due now; takes it as begun. */
static bool take_due(struct load *load, uint64_t *ret_due_ns)
{
    if (load->due_ns > exchange_now() || load->due_ns >= load->end_ns) {
        return false;
    }
    *ret_due_ns = load->due_ns;
    load->due_ns += load->period_ns;
    return true;
}

/* What came due and found no connection is an error. */
static void count_never_begun(struct load *load)
{
    while (load->due_ns < load->end_ns) {
        load->errors++;
        load->due_ns += load->period_ns;
    }
}

static void print_times(const struct load *load, double seconds)
{
    printf("{\"errors\": %zu, \"seconds\": %.3f, ", load->errors, seconds);
    histogram_print(&load->times, stdout);
    printf("}\n");
}

static void paced_done(struct load *load, struct exchange *x)
{
    count_time(load, x, exchange_now());
    put_unused(load, x);
}

static int paced(struct load *load, char *argv[])
{
    size_t wanted = strtoul(argv[1], NULL, 10);
    double seconds = strtod(argv[3], NULL);
    uint64_t due;

    exchange_request(&load->request, argv[0], 0, true);
    open_all(load, wanted);
    load->done = paced_done;
    start_clock(load, strtod(argv[2], NULL), seconds);
    while (load->due_ns < load->end_ns && exchange_now() < load->end_ns + GRACE) {
        while (load->n_unused > 0 && take_due(load, &due)) {
            begin(load, take_unused(load), &load->request, due);
        }
        serve(load, load->n_unused > 0 ? load->due_ns : load->end_ns + GRACE);
    }
    finish(load, load->end_ns + GRACE);
    count_never_begun(load);
    print_times(load, seconds);
    return 0;
}

static void connect_done(struct load *load, struct exchange *x)
{
    count_time(load, x, x->first_byte_ns);
    exchange_close(x);
    put_unused(load, x);
}

static bool has_closed(const struct load *load)
{
    return load->n_unused > 0 || load->opened < CONNECTIONS;
}

static struct exchange *take_closed(struct load *load)
{
    return load->n_unused > 0 ? take_unused(load) : &load->connections[load->opened++];
}

static int connect_each(struct load *load, char *argv[])
{
    double seconds = strtod(argv[2], NULL);
    uint64_t due;

    exchange_request(&load->request, argv[0], 0, false);
    load->is_anew = true;
    load->done = connect_done;
    start_clock(load, strtod(argv[1], NULL), seconds);
    while (load->due_ns < load->end_ns && exchange_now() < load->end_ns + GRACE) {
        while (has_closed(load) && take_due(load, &due)) {
            open_as(load, take_closed(load), due);
        }
        serve(load, has_closed(load) ? load->due_ns : load->end_ns + GRACE);
    }
    finish(load, load->end_ns + GRACE);
    count_never_begun(load);
    print_times(load, seconds);
    return 0;
}

static int idle(struct load *load, char *argv[])
{
    char line[32];

    exchange_request(&load->request, argv[0], 0, true);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        size_t wanted = strtoul(line, NULL, 10);
        open_all(load, wanted < CONNECTIONS ? wanted : CONNECTIONS);
        serve(load, 0);
        printf("{\"open\": %zu, \"errors\": %zu}\n", load->opened, load->errors);
        fflush(stdout);
    }
    return 0;
}

enum { DOWNLOADS, UPLOADS, CONFIRMS };

static struct request roles[3];
static uint64_t carried[3];

/* After the time is up, an upload is followed by the least of requests: its answer tells that the
 * backend has read the body, which it may have answered early. */
static void bulk_done(struct load *load, struct exchange *x)
{
    carried[x->role] += x->role == UPLOADS ? roles[UPLOADS].body_length : x->body_have;
    if (exchange_now() >= load->end_ns) {
        if (x->role != UPLOADS) {
            return;
        }
        x->role = CONFIRMS;
    }
    begin(load, x, &roles[x->role], x->due_ns);
}

static int bulk(struct load *load, char *argv[])
{
    size_t downloads = strtoul(argv[0], NULL, 10);
    size_t uploads = strtoul(argv[1], NULL, 10);

    exchange_request(&roles[DOWNLOADS], "/large", 0, true);
    exchange_request(&roles[UPLOADS], "/upload", strtoull(argv[2], NULL, 10), true);
    exchange_request(&roles[CONFIRMS], "/100", 0, true);
    load->request = roles[CONFIRMS];
    open_all(load, downloads + uploads);
    load->done = bulk_done;
    start_clock(load, 1, strtod(argv[3], NULL));
    uint64_t start = load->due_ns;
    while (load->n_unused > 0) {
        struct exchange *x = take_unused(load);
        /* The last ones upload. Whatever could not be opened is missing from the downloads. */
        x->role = load->n_unused < uploads ? UPLOADS : DOWNLOADS;
        begin(load, x, &roles[x->role], start);
    }
    finish(load, load->end_ns + PATIENCE);
    printf("{\"errors\": %zu, \"seconds\": %.3f, \"downloaded\": %ju, \"uploaded\": %ju}\n",
           load->errors, (double)(exchange_now() - start) / (double)SECOND,
           (uintmax_t)carried[DOWNLOADS], (uintmax_t)carried[UPLOADS]);
    return 0;
}

static const struct {
    const char *name;
    int n_arguments;
    int (*run)(struct load *, char *[]);
} modes[] = {{"paced", 4, paced},
             {"connect", 3, connect_each},
             {"idle", 1, idle},
             {"bulk", 4, bulk}};

static int start(struct load *load)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->connections = calloc(CONNECTIONS, sizeof(*load->connections));
    load->unused = calloc(CONNECTIONS, sizeof(struct exchange *));
    return load->epoll < 0 || load->connections == NULL || load->unused == NULL ? -1 : 0;
}

int main(int argc, char *argv[])
{
    static struct load load;

    for (size_t i = 0; argc >= 3 && i < sizeof(modes) / sizeof(*modes); i++) {
        if (strcmp(argv[1], modes[i].name) == 0 && argc - 3 == modes[i].n_arguments) {
            load.port = (uint16_t)strtoul(argv[2], NULL, 10);
            return start(&load) < 0 ? 1 : modes[i].run(&load, argv + 3);
        }
    }
    fprintf(stderr, "usage: load paced|connect|idle|bulk PORT ...\n");
    return 2;
}
