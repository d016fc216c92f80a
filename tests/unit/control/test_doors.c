/* The doors from one configuration to the next, as callers meet them. Nobody can reach a backend
 * here: what counts is whose door it was at which a caller was taken in. */
#include "control/doors.h"
#include "control/publish.h"
#include "net/activation.h"

#include <fcntl.h>

#include "tests/unit/control/site.h"
#include "tests/unit/worker/house.h"

#define WORKERS 2
#define LENT    2 /* sockets that are handed over by the name "web" */

#define PATIENCE_MS 100

/* A process: workers, doors, and the configuration in use. */
struct estate {
    uv_loop_t loop;
    struct publish *publish;
    struct crew *crew;
    struct doors *doors;
    struct snapshot *snapshot;
    uint64_t pings;
};

static char folder[128];
static struct addr lent_addrs[LENT], exposed_addr;

static void on_worker(void *ctx)
{
    (void)ctx;
}

static void open_estate(struct estate *estate)
{
    static const struct server_events events; /* nobody asks */
    *estate = (struct estate){0};
    assert_int_equal(uv_loop_init(&estate->loop), 0);
    estate->publish = publish_start(&estate->loop, false, &events, NULL);
    assert_non_null(estate->publish);
    estate->crew = crew_start(WORKERS, (struct worker_watcher){.changed = on_worker});
    estate->doors = doors_new(WORKERS, false);
    assert_non_null(estate->crew);
    assert_non_null(estate->doors);
}

static void close_estate(struct estate *estate)
{
    crew_stop(estate->crew);
    doors_free(estate->doors);
    publish_stop(estate->publish);
    uv_run(&estate->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&estate->loop), 0);
    snapshot_free(estate->snapshot);
}

static void settle_crew(struct estate *estate)
{
    estate->pings++;
    for (size_t i = 0; i < WORKERS; i++) {
        struct worker *worker = crew_workers(estate->crew)[i];
        worker_ping(worker);
        wait_until(worker_turns(worker) >= estate->pings);
    }
}

static void order_removals(const struct estate *estate, const struct snapshot *next,
                           struct order *order)
{
    size_t n = estate->snapshot != NULL ? estate->snapshot->config->n_services : 0;
    for (size_t was = 0; was < n; was++) {
        bool stays = false;
        for (size_t i = 0; i < next->config->n_services; i++) {
            stays |= next->was[i] == was;
        }
        if (!stays) {
            order_remove(order, estate->snapshot->services[was]->id);
        }
    }
}

/* A caller who leaves a UNIX socket is missed only when the time for dialling is over. */
static void hurry(const struct estate *estate, const struct snapshot *next)
{
    for (size_t i = 0; i < next->config->n_services; i++) {
        size_t was = next->was[i];
        if (was == SNAPSHOT_NEW || next->services[i] != estate->snapshot->services[was]) {
            next->services[i]->connect_timeout_ms = PATIENCE_MS;
        }
    }
}

/* Goes on with a plan that was made for `next`. */
static void carry_on(struct estate *estate, struct doors_plan *plan, struct snapshot *next)
{
    struct order *order = order_new(estate->crew, next->n_ids);
    assert_non_null(order);
    hurry(estate, next);
    for (size_t i = 0; i < next->config->n_services; i++) {
        order_serve(order, next->services[i], false);
    }
    doors_order(plan, order);
    order_removals(estate, next, order);
    assert_true(order_is_whole(order));
    doors_show(plan);
    order_give(order, estate->crew);
    doors_commit(estate->doors, plan);
    snapshot_free(estate->snapshot);
    estate->snapshot = next;
    settle_crew(estate);
}

/* Goes over to what is configured now. */
static void go_on(struct estate *estate)
{
    struct problems *problems = problems_new();
    struct snapshot *next = site_load(estate->snapshot);
    struct doors_plan *plan = doors_plan(estate->doors, estate->publish, next, problems);
    fixture_expect(problems, NULL);
    assert_non_null(plan);
    problems_free(problems);
    carry_on(estate, plan, next);
}

/* Expects that the doors which are configured now cannot be opened, for these reasons; a list that
 * ends with NULL. */
static void expect_refusal(struct estate *estate, const char *const *reasons)
{
    struct problems *problems = problems_new();
    struct snapshot *next = site_load(estate->snapshot);
    assert_null(doors_plan(estate->doors, estate->publish, next, problems));
    size_t n = 0;
    for (; reasons[n] != NULL; n++) {
        fixture_expect(problems, reasons[n]);
    }
    assert_int_equal(problems_errors(problems), n);
    problems_free(problems);
    snapshot_free(next);
}

/* ---- callers ---- */

static uint16_t free_port(void)
{
    struct addr addr;
    close(bind_anywhere(&addr));
    return addr_port(&addr);
}

static struct addr at_port(uint16_t port)
{
    struct addr addr;
    assert_int_equal(addr_parse_ip("127.0.0.1", port, &addr), 0);
    return addr;
}

static struct addr at_path(const char *name)
{
    struct addr addr;
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(addr_from_path(path, &addr), 0);
    return addr;
}

/* Calls, and expects to be taken in by that service, and leaves again. */
static void expect_service(const struct estate *estate, const struct addr *addr, const char *name)
{
    struct account *account = site_service(estate->snapshot, name)->account;
    uint64_t opened = atomic_load(&account->opened), open = atomic_load(&account->open);
    int fd = call(addr);
    wait_until(atomic_load(&account->opened) == opened + 1);
    leave(fd);
    wait_until(atomic_load(&account->open) == open);
}

static void expect_nobody(const struct addr *addr)
{
    int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &addr->sa, addr->len), -1);
    close(fd);
}

static ino_t inode_of(const char *name)
{
    struct stat status;
    return lstat(name, &status) == 0 ? status.st_ino : 0;
}

static mode_t mode_of(const char *name)
{
    struct stat status;
    assert_int_equal(lstat(name, &status), 0);
    return status.st_mode & 07777;
}

/* ---- ports ---- */

static void a_door_opens_and_closes_with_its_service(void **state)
{
    (void)state;
    struct estate estate;
    size_t before = count_fds();
    open_estate(&estate);
    uint16_t p = free_port(), q = free_port();
    struct addr at_p = at_port(p), at_q = at_port(q);
    site_configure("[service a]\nlisten = 127.0.0.1:%u\n[service b]\nlisten = 127.0.0.1:%u\n", p,
                   q);
    go_on(&estate);
    expect_service(&estate, &at_p, "a");
    expect_service(&estate, &at_q, "b");
    site_configure("[service b]\nlisten = 127.0.0.1:%u\n", q);
    go_on(&estate);
    expect_nobody(&at_p);
    expect_service(&estate, &at_q, "b");
    close_estate(&estate);
    assert_int_equal(count_fds(), before);
}

static void what_stays_is_not_opened_again(void **state)
{
    (void)state;
    struct estate estate;
    open_estate(&estate);
    uint16_t p = free_port();
    struct addr at_p = at_port(p), at_s = at_path("s");
    site_configure("[service a]\nlisten = 127.0.0.1:%u, unix:%s/s\n", p, folder);
    go_on(&estate);
    size_t fds = count_fds();
    ino_t inode = inode_of("s");
    site_configure("[service new]\nlisten = 127.0.0.1:%u\n"
                   "[service a]\nlisten = unix:%s/s, 127.0.0.1:%u\nidle_timeout = 1m\n",
                   free_port(), folder, p);
    go_on(&estate);
    assert_int_equal(count_fds(), fds + WORKERS);
    assert_int_equal(inode_of("s"), inode);
    expect_service(&estate, &at_p, "a");
    expect_service(&estate, &at_s, "a");
    close_estate(&estate);
}

static void services_change_their_doors(void **state)
{
    (void)state;
    struct estate estate;
    open_estate(&estate);
    uint16_t p = free_port(), q = free_port();
    struct addr at_p = at_port(p), at_q = at_port(q);
    site_configure("[service a]\nlisten = 127.0.0.1:%u\n[service b]\nlisten = 127.0.0.1:%u\n", p,
                   q);
    go_on(&estate);
    size_t fds = count_fds();
    site_configure("[service a]\nlisten = 127.0.0.1:%u\n[service b]\nlisten = 127.0.0.1:%u\n", q,
                   p);
    go_on(&estate);
    assert_int_equal(count_fds(), fds);
    expect_service(&estate, &at_p, "b");
    expect_service(&estate, &at_q, "a");
    close_estate(&estate);
}

static void a_service_that_is_renamed_takes_its_doors_along(void **state)
{
    (void)state;
    struct estate estate;
    open_estate(&estate);
    uint16_t p = free_port();
    struct addr at_p = at_port(p);
    site_configure("[service a]\nlisten = 127.0.0.1:%u\n", p);
    go_on(&estate);
    size_t fds = count_fds();
    site_configure("[service z]\nlisten = 127.0.0.1:%u\n", p);
    go_on(&estate);
    assert_int_equal(count_fds(), fds);
    expect_service(&estate, &at_p, "z");
    close_estate(&estate);
}

/* Many times, so that numbers of doors and services are used again. */
static void doors_go_round(void **state)
{
    (void)state;
    struct estate estate;
    open_estate(&estate);
    uint16_t p = free_port();
    struct addr at_p = at_port(p), at_s = at_path("s");
    size_t fds = 0;
    for (int i = 0; i < 20; i++) {
        site_configure("[service s%d]\nlisten = 127.0.0.1:%u\n[service t]\nlisten = unix:%s/s\n"
                       "socket_mode = %s\n",
                       i, p, folder, i % 2 == 0 ? "0600" : "0660");
        go_on(&estate);
        char name[16];
        snprintf(name, sizeof(name), "s%d", i);
        expect_service(&estate, &at_p, name);
        expect_service(&estate, &at_s, "t");
        fds = fds == 0 ? count_fds() : fds;
        wait_until(count_fds() <= fds); /* then some callers may have been on their way out */
        assert_true(estate.snapshot->n_ids <= 3);
    }
    close_estate(&estate);
}

/* All addresses of the host take the place of one of them. */
static void a_door_may_grow_wider_and_narrower(void **state)
{
    (void)state;
    struct estate estate;
    open_estate(&estate);
    uint16_t p = free_port();
    struct addr at_p = at_port(p);
    for (int i = 0; i < 4; i++) {
        site_configure("[service a]\nlisten = %s:%u\nexpose = yes\n",
                       i % 2 == 0 ? "127.0.0.1" : "0.0.0.0", p);
        go_on(&estate);
        expect_service(&estate, &at_p, "a");
    }
    close_estate(&estate);
}

/* ---- UNIX sockets ---- */

static void a_socket_is_removed_with_its_service(void **state)
{
    (void)state;
    struct estate estate;
    open_estate(&estate);
    site_configure("[service a]\nlisten = unix:%s/s\n[service b]\nlisten = unix:%s/t\n", folder,
                   folder);
    go_on(&estate);
    site_configure("[service b]\nlisten = unix:%s/t\n", folder);
    go_on(&estate);
    assert_int_equal(inode_of("s"), 0);
    assert_true(inode_of("t") > 0);
    close_estate(&estate);
    assert_int_equal(inode_of("t"), 0);
}

static void a_socket_whose_mode_changes_is_replaced(void **state)
{
    (void)state;
    struct estate estate;
    open_estate(&estate);
    struct addr at_s = at_path("s");
    site_configure("[service a]\nlisten = unix:%s/s\n", folder);
    go_on(&estate);
    ino_t before = inode_of("s");
    size_t fds = count_fds();
    assert_int_equal(mode_of("s"), 0600);
    site_configure("[service a]\nlisten = unix:%s/s\nsocket_mode = 0666\n", folder);
    go_on(&estate);
    assert_int_equal(mode_of("s"), 0666);
    assert_true(inode_of("s") != before);
    assert_int_equal(count_fds(), fds);
    expect_service(&estate, &at_s, "a");
    close_estate(&estate);
    assert_int_equal(inode_of("s"), 0);
}

static void a_socket_whose_file_has_gone_is_opened_anew(void **state)
{
    (void)state;
    struct estate estate;
    open_estate(&estate);
    struct addr at_s = at_path("s");
    site_configure("[service a]\nlisten = unix:%s/s\n", folder);
    go_on(&estate);
    size_t fds = count_fds();
    assert_int_equal(unlink("s"), 0);
    expect_nobody(&at_s);
    go_on(&estate);
    assert_int_equal(count_fds(), fds);
    expect_service(&estate, &at_s, "a");
    close_estate(&estate);
}

static void a_socket_may_go_to_another_service_with_another_mode(void **state)
{
    (void)state;
    struct estate estate;
    open_estate(&estate);
    struct addr at_s = at_path("s");
    site_configure("[service a]\nlisten = unix:%s/s\n", folder);
    go_on(&estate);
    site_configure("[service b]\nlisten = unix:%s/s\nsocket_mode = 0660\n", folder);
    go_on(&estate);
    assert_int_equal(mode_of("s"), 0660);
    expect_service(&estate, &at_s, "b");
    close_estate(&estate);
}

static void a_file_that_another_put_there_is_left_alone(void **state)
{
    (void)state;
    struct estate estate;
    open_estate(&estate);
    site_configure("[service a]\nlisten = unix:%s/s\n", folder);
    go_on(&estate);
    assert_int_equal(unlink("s"), 0);
    fixture_write_text("s", "of another");
    expect_refusal(&estate, (const char *const[]){"what stands there is no socket", NULL});
    close_estate(&estate);
    assert_true(inode_of("s") > 0);
    assert_int_equal(unlink("s"), 0);
}

static void who_knocked_at_the_old_socket_is_let_in(void **state)
{
    (void)state;
    struct estate estate;
    open_estate(&estate);
    struct addr at_s = at_path("s");
    site_configure("[service a]\nlisten = unix:%s/s\n", folder);
    go_on(&estate);
    struct account *account = site_service(estate.snapshot, "a")->account;
    site_configure("[service a]\nlisten = unix:%s/s\nsocket_mode = 0666\n", folder);
    int fds[20];
    for (int i = 0; i < 20; i++) {
        if (i == 10) {
            go_on(&estate);
        }
        fds[i] = call(&at_s);
    }
    wait_until(atomic_load(&account->opened) == 20);
    for (int i = 0; i < 20; i++) {
        close(fds[i]);
    }
    close_estate(&estate);
}

/* ---- what cannot be opened ---- */

static void everything_that_cannot_be_opened_is_noted(void **state)
{
    (void)state;
    struct estate estate;
    struct addr taken;
    int other = open_socket(&taken);
    open_estate(&estate);
    uint16_t p = free_port(), q = free_port();
    struct addr at_p = at_port(p), at_q = at_port(q);
    site_configure("[service a]\nlisten = 127.0.0.1:%u\n", p);
    go_on(&estate);
    fixture_write_text("file", "");
    size_t fds = count_fds();
    site_configure("[service a]\nlisten = 127.0.0.1:%u\n"
                   "[service b]\nlisten = 127.0.0.1:%u\n"
                   "[service c]\nlisten = 127.0.0.1:%u, unix:%s/new\n"
                   "[service d]\nlisten = unix:%s/none/s\n"
                   "[service e]\nlisten = unix:%s/file\n"
                   "[service f]\nlisten = systemd:nothing\n",
                   p, addr_port(&taken), q, folder, folder, folder);
    const char *const reasons[] = {
        "conf:11: the service \"b\" cannot listen at 127.0.0.1:",
        "conf:15: the service \"d\" cannot listen at unix:",
        "conf:17: the service \"e\" cannot listen at unix:",
        "conf:19: the service \"f\" cannot listen at systemd:nothing: systemd has handed over no",
        NULL,
    };
    expect_refusal(&estate, reasons);
    assert_int_equal(count_fds(), fds);
    assert_int_equal(inode_of("new"), 0);
    expect_nobody(&at_q);
    expect_service(&estate, &at_p, "a");
    close_estate(&estate);
    close(other);
    assert_int_equal(unlink("file"), 0);
}

static void a_plan_that_is_dropped_changes_nothing(void **state)
{
    (void)state;
    struct estate estate;
    open_estate(&estate);
    uint16_t p = free_port(), q = free_port();
    struct addr at_p = at_port(p), at_q = at_port(q), at_s = at_path("s");
    struct problems *problems = problems_new();
    site_configure("[service a]\nlisten = 127.0.0.1:%u\n", p);
    go_on(&estate);
    size_t fds = count_fds();
    site_configure("[service b]\nlisten = 127.0.0.1:%u, unix:%s/s\n", q, folder);
    struct snapshot *next = site_load(estate.snapshot);
    for (int i = 0; i < 3; i++) {
        struct doors_plan *plan = doors_plan(estate.doors, estate.publish, next, problems);
        assert_non_null(plan);
        assert_int_equal(count_fds(), fds + 2 * WORKERS);
        expect_nobody(&at_q); /* a caller let in would be lost with the plan */
        expect_nobody(&at_s);
        assert_null(doors_plan_free(plan));
        assert_int_equal(count_fds(), fds);
        expect_nobody(&at_q);
        expect_nobody(&at_s);
        expect_service(&estate, &at_p, "a");
    }
    assert_null(doors_plan_free(NULL));
    problems_free(problems);
    snapshot_free(next);
    close_estate(&estate);
}

/* Memory runs out, say, when all is ready but for the order. */
static void an_order_that_is_not_given_changes_nothing(void **state)
{
    (void)state;
    struct estate estate;
    open_estate(&estate);
    struct addr at_s = at_path("s"), at_t = at_path("t");
    struct problems *problems = problems_new();
    site_configure("[service a]\nlisten = unix:%s/s\n", folder);
    go_on(&estate);
    ino_t inode = inode_of("s");
    size_t fds = count_fds();
    site_configure("[service a]\nlisten = unix:%s/s, unix:%s/t, 127.0.0.1:%u\n"
                   "socket_mode = 0660\n",
                   folder, folder, free_port());
    struct snapshot *next = site_load(estate.snapshot);
    struct doors_plan *plan = doors_plan(estate.doors, estate.publish, next, problems);
    struct order *order = order_new(estate.crew, next->n_ids);
    assert_non_null(plan);
    assert_non_null(order);
    doors_order(plan, order);
    assert_null(doors_plan_free(plan));
    assert_null(order_free(order));
    assert_int_equal(count_fds(), fds);
    assert_int_equal(inode_of("s"), inode);
    expect_service(&estate, &at_s, "a");
    expect_nobody(&at_t);
    go_on(&estate);
    expect_service(&estate, &at_t, "a");
    problems_free(problems);
    snapshot_free(next);
    close_estate(&estate);
    fixture_run("test -z \"$(find . -type s)\"");
}

static void a_refusal_leaves_a_socket_whose_mode_was_to_change(void **state)
{
    (void)state;
    struct estate estate;
    struct addr taken, at_s = at_path("s");
    int other = open_socket(&taken);
    open_estate(&estate);
    site_configure("[service a]\nlisten = unix:%s/s\n", folder);
    go_on(&estate);
    ino_t inode = inode_of("s");
    site_configure("[service a]\nlisten = unix:%s/s\nsocket_mode = 0660\n"
                   "[service b]\nlisten = 127.0.0.1:%u\n",
                   folder, addr_port(&taken));
    expect_refusal(&estate, (const char *const[]){"the service \"b\" cannot listen", NULL});
    assert_int_equal(inode_of("s"), inode);
    expect_service(&estate, &at_s, "a");
    close_estate(&estate);
    close(other);
}

/* ---- sockets that are handed over ---- */

static void what_was_handed_over_is_found_by_name(void **state)
{
    (void)state;
    struct estate estate;
    size_t before = count_fds();
    open_estate(&estate);
    site_configure("[service a]\nlisten = systemd:web\n");
    go_on(&estate);
    for (int i = 0; i < LENT; i++) {
        expect_service(&estate, &lent_addrs[i], "a");
    }
    close_estate(&estate);
    assert_int_equal(count_fds(), before);
}

static void a_lent_door_moves_closes_and_opens_again(void **state)
{
    (void)state;
    struct estate estate;
    uint16_t p = free_port();
    open_estate(&estate);
    site_configure("[service a]\nlisten = systemd:web\n");
    go_on(&estate);
    size_t fds = count_fds();
    site_configure("[service b]\nlisten = systemd:web\n");
    go_on(&estate);
    assert_int_equal(count_fds(), fds);
    expect_service(&estate, &lent_addrs[0], "b");
    site_configure("[service b]\nlisten = 127.0.0.1:%u\n", p);
    go_on(&estate);
    int early = call(&lent_addrs[0]); /* the socket listens on, and nobody is lost */
    site_configure("[service c]\nlisten = systemd:web\n");
    go_on(&estate);
    struct account *account = site_service(estate.snapshot, "c")->account;
    wait_until(atomic_load(&account->opened) == 1);
    close(early);
    close_estate(&estate);
}

static void what_other_hosts_can_reach_has_to_be_allowed(void **state)
{
    (void)state;
    struct estate estate;
    struct addr local = at_port(addr_port(&exposed_addr));
    open_estate(&estate);
    site_configure("[service a]\nlisten = systemd:open\n");
    expect_refusal(&estate, (const char *const[]){"other hosts can reach it, in plaintext", NULL});
    site_configure("[service a]\nlisten = systemd:open\nexpose = yes\n");
    go_on(&estate);
    expect_service(&estate, &local, "a");
    close_estate(&estate);
}

/* ---- two agents ---- */

static void an_older_agent_may_share_its_doors(void **state)
{
    (void)state;
    struct estate older, newer;
    uint16_t p = free_port();
    struct addr at_p = at_port(p), at_s = at_path("s");
    open_estate(&older);
    site_configure("[service a]\nlisten = 127.0.0.1:%u, unix:%s/s\n", p, folder);
    go_on(&older);
    open_estate(&newer);
    expect_refusal(&newer, (const char *const[]){"another program listens there", "unix:", NULL});
    doors_free(newer.doors);
    newer.doors = doors_new(WORKERS, true);
    go_on(&newer);
    expect_service(&newer, &at_s, "a");
    close_estate(&older);
    assert_true(inode_of("s") > 0); /* it is the newer one's by now */
    expect_service(&newer, &at_s, "a");
    expect_service(&newer, &at_p, "a");
    close_estate(&newer);
    assert_int_equal(inode_of("s"), 0);
}

static void doors_need_a_descriptor_for_each_worker(void **state)
{
    (void)state;
    site_configure("[service a]\nlisten = 127.0.0.1:1, 127.0.0.1:2\n"
                   "[service b]\nlisten = unix:%s/s\n",
                   folder);
    struct snapshot *snapshot = site_load(NULL);
    assert_int_equal(doors_needed(snapshot->config, 4), 12);
    snapshot_free(snapshot);
}

/* ---- the whole ---- */

/* Makes these the descriptors from 3 on, as systemd does. */
static void hand_over(void)
{
    int fds[LENT + 1];
    char pid[16];
    for (int i = 0; i < LENT; i++) {
        fds[i] = open_socket(&lent_addrs[i]);
    }
    fds[LENT] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    addr_parse_ip("0.0.0.0", 0, &exposed_addr);
    if (bind(fds[LENT], &exposed_addr.sa, exposed_addr.len) < 0 || listen(fds[LENT], 16) < 0) {
        abort();
    }
    getsockname(fds[LENT], &exposed_addr.sa, &exposed_addr.len);
    for (int i = 0; i <= LENT; i++) {
        fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 100);
    }
    for (int i = 0; i <= LENT; i++) {
        dup2(fds[i], 3 + i);
        close(fds[i]);
    }
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "3", 1);
    setenv("LISTEN_FDNAMES", "web:web:open", 1);
}

/* What the libraries open once stays open. */
static void warm_up(void)
{
    struct estate estate;
    open_estate(&estate);
    close_estate(&estate);
}

static int enter(void **state)
{
    const char *why;
    hand_over();
    log_configure(LEVEL_ERROR, LOG_TEXT);
    if (activation_take(&why) < 0 || site_enter(state) < 0) {
        return -1;
    }
    warm_up();
    return getcwd(folder, sizeof(folder)) != NULL ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_door_opens_and_closes_with_its_service),
        cmocka_unit_test(what_stays_is_not_opened_again),
        cmocka_unit_test(services_change_their_doors),
        cmocka_unit_test(a_service_that_is_renamed_takes_its_doors_along),
        cmocka_unit_test(doors_go_round),
        cmocka_unit_test(a_door_may_grow_wider_and_narrower),
        cmocka_unit_test(a_socket_is_removed_with_its_service),
        cmocka_unit_test(a_socket_whose_mode_changes_is_replaced),
        cmocka_unit_test(a_socket_whose_file_has_gone_is_opened_anew),
        cmocka_unit_test(a_socket_may_go_to_another_service_with_another_mode),
        cmocka_unit_test(a_file_that_another_put_there_is_left_alone),
        cmocka_unit_test(who_knocked_at_the_old_socket_is_let_in),
        cmocka_unit_test(everything_that_cannot_be_opened_is_noted),
        cmocka_unit_test(a_plan_that_is_dropped_changes_nothing),
        cmocka_unit_test(an_order_that_is_not_given_changes_nothing),
        cmocka_unit_test(a_refusal_leaves_a_socket_whose_mode_was_to_change),
        cmocka_unit_test(what_was_handed_over_is_found_by_name),
        cmocka_unit_test(a_lent_door_moves_closes_and_opens_again),
        cmocka_unit_test(what_other_hosts_can_reach_has_to_be_allowed),
        cmocka_unit_test(an_older_agent_may_share_its_doors),
        cmocka_unit_test(doors_need_a_descriptor_for_each_worker),
    };
    return cmocka_run_group_tests(tests, enter, site_leave);
}
