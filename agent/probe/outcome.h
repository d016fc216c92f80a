/* What libcurl's end of a request means, in words of our own: its own differ from release to
 * release. */
#pragma once

#include "probe/http.h"

#include <curl/curl.h>

#define OUTCOME_FIRST_MAX 9 /* bytes of an answer that tell its protocol */

/* What was seen besides libcurl's code. */
struct outcome_signs {
    bool is_http2;      /* was asked for */
    bool had_socket;    /* libcurl came as far as that */
    bool wants_another; /* and wanted one more: a peer told it to try again, which it may not */
    uint8_t first[OUTCOME_FIRST_MAX]; /* of the answer */
    size_t n_first;
    long error; /* errno of the connection; 0: not known */
    uint64_t timeout_ms;
};

/* Names the outcome of a request that brought no status. */
enum http_outcome outcome_judge(const struct outcome_signs *signs, CURLcode code);

/* Says why there was no answer, as a clause, perhaps in `text`; NULL when there was one. */
const char *outcome_explain(const struct outcome_signs *signs, enum http_outcome outcome,
                            CURLcode code, char *text, size_t size);
