#include "base/reason.h"

static const struct {
    const char *word;
    enum side side;
    const char *advice;
} table[REASON_COUNT] = {
#define REASON_ROW(word, side, advice) [REASON_##word] = {#word, side, advice},
    REASON_TABLE(REASON_ROW)
#undef REASON_ROW
};

const char *reason_word(enum reason reason)
{
    return table[reason].word;
}

enum side reason_side(enum reason reason, bool by_peer)
{
    enum side side = table[reason].side;
    if (side == SIDE_BY_ALERT) {
        return by_peer ? SIDE_THEY_REFUSED : SIDE_WE_REFUSED;
    }
    return side;
}

const char *reason_advice(enum reason reason)
{
    return table[reason].advice;
}

const char *reason_side_word(enum side side)
{
    static const char *const words[] = {
        [SIDE_LOCAL] = "local",           [SIDE_NETWORK] = "network",
        [SIDE_WE_REFUSED] = "we_refused", [SIDE_THEY_REFUSED] = "they_refused",
        [SIDE_CONFIG] = "config",         [SIDE_BY_ALERT] = "by_alert",
    };
    return words[side];
}
