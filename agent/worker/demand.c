#include "worker/demand.h"

/* The arrival rate is that of a window of this length, which slides. */
#define WINDOW_MS 10000

#define TARGET_MAX 64

/* Until one was made: the guess is better too high. */
#define MAKING_GUESS_MS 100

/* A new figure's weight in the average, as 1/n. */
#define MAKING_WEIGHT 8

static void slide(struct demand *demand, uint64_t now_ms)
{
    uint64_t passed = now_ms - demand->window_began_ms;
    if (passed < WINDOW_MS) {
        return;
    }
    demand->callers_before = passed < 2 * WINDOW_MS ? demand->callers : 0;
    demand->callers = 0;
    demand->window_began_ms = now_ms - passed % WINDOW_MS;
}

void demand_note_caller(struct demand *demand, uint64_t now_ms)
{
    slide(demand, now_ms);
    demand->callers++;
}

void demand_note_made(struct demand *demand, uint64_t took_ms)
{
    uint64_t average = demand->making_ms > 0 ? demand->making_ms : took_ms;
    demand->making_ms = (average * (MAKING_WEIGHT - 1) + took_ms) / MAKING_WEIGHT + 1;
}

/* In the last WINDOW_MS: those of the window before count for the part of it that is left. */
static uint64_t arrivals(const struct demand *demand, uint64_t now_ms)
{
    uint64_t left = WINDOW_MS - (now_ms - demand->window_began_ms);
    return demand->callers + demand->callers_before * left / WINDOW_MS;
}

/* The least n with n >= L + 2 sqrt(L), where L is given in thousandths: the sessions that are being
 * made at one time are spread around L with that deviation. */
static size_t with_reserve(uint64_t milli_load)
{
    size_t n = 1;
    while (n < TARGET_MAX) {
        uint64_t milli = n * 1000;
        if (milli >= milli_load &&
            (milli - milli_load) * (milli - milli_load) >= 4 * 1000 * milli_load) {
            break;
        }
        n++;
    }
    return n;
}

size_t demand_target(struct demand *demand, uint64_t now_ms, uint64_t max_age_ms)
{
    slide(demand, now_ms);
    uint64_t callers = arrivals(demand, now_ms);
    uint64_t making = demand->making_ms > 0 ? demand->making_ms : MAKING_GUESS_MS;
    if (callers * max_age_ms < WINDOW_MS) {
        return 0;
    }
    return with_reserve(callers * making * 1000 / WINDOW_MS);
}
