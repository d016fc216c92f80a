/* libuv's pool would do, were it not that before 1.45 a thread of it which tells the loop of its
 * end may be preempted in the middle of that by the very loop, which then spins until the thread
 * gets on: the nicer the thread, the longer. */
#include "worker/hand.h"

#include "worker/watch.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* By how much the thread is nicer than the loop's, which has work for many connections in every
 * turn. Where the two share a processor, with 8 established connections still wait for 1.5 ms at
 * the 99th percentile of a storm of signatures, with 10 for 1.0. Beside a loop that is never idle
 * 65 RSA-2048 signatures a second remain with 10, 23 with 15, which gains little. */
#define NICER 10

struct hand {
    pthread_t thread;
    sem_t go;
    _Atomic(bool) is_over;
    void (*work)(void *ctx);
    void *work_ctx;
    int bell_fd;        /* an eventfd, rung by the thread */
    struct watch *bell; /* owns it */
    void (*done)(void *ctx);
    void *ctx;
};

static void *run(void *ctx)
{
    struct hand *hand = ctx;
    pthread_setname_np(pthread_self(), "worker-hand");
    (void)!nice(NICER); /* on Linux, of this thread alone */
    for (;;) {
        while (sem_wait(&hand->go) < 0) {
        }
        if (atomic_load(&hand->is_over)) {
            return NULL;
        }
        hand->work(hand->work_ctx);
        /* The loop may run at once, in place of this thread: nothing must be held by now. */
        (void)eventfd_write(hand->bell_fd, 1);
    }
}

static void on_bell(void *ctx, unsigned events)
{
    struct hand *hand = ctx;
    eventfd_t n;
    (void)events;
    if (eventfd_read(hand->bell_fd, &n) == 0) {
        watch_want(hand->bell, 0);
        hand->done(hand->ctx);
    } else {
        watch_want(hand->bell, WATCH_READ); /* we were told for want of a watch */
    }
}

static int open_bell(struct hand *hand, uv_loop_t *loop)
{
    hand->bell_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (hand->bell_fd < 0) {
        return -1;
    }
    hand->bell = watch_open(loop, hand->bell_fd, on_bell, hand);
    return hand->bell != NULL ? 0 : -1;
}

struct hand *hand_new(uv_loop_t *loop, void (*done)(void *ctx), void *ctx)
{
    struct hand *hand = calloc(1, sizeof(*hand));
    if (hand == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    hand->done = done;
    hand->ctx = ctx;
    sem_init(&hand->go, 0, 0);
    int error = open_bell(hand, loop) < 0 ? errno : pthread_create(&hand->thread, NULL, run, hand);
    if (error != 0) {
        watch_close(hand->bell);
        sem_destroy(&hand->go);
        free(hand);
        errno = error == EAGAIN ? ENOMEM : error;
        return NULL;
    }
    return hand;
}

void hand_do(struct hand *hand, void (*work)(void *ctx), void *work_ctx)
{
    hand->work = work;
    hand->work_ctx = work_ctx;
    watch_want(hand->bell, WATCH_READ);
    sem_post(&hand->go);
}

struct hand *hand_free(struct hand *hand)
{
    if (hand != NULL) {
        atomic_store(&hand->is_over, true);
        sem_post(&hand->go);
        pthread_join(hand->thread, NULL);
        watch_close(hand->bell);
        sem_destroy(&hand->go);
        free(hand);
    }
    return NULL;
}
