/* For how long what a service relies on is valid still, and whether that is little. */
#pragma once

#include "cli/document.h"
#include "cli/sheet.h"

struct validity {
    int64_t days;
    const char *whose; /* "own", "ca", "backend"; NULL: nothing is known */
    enum sheet_colour colour;
};

/* The least of our certificate's, the CAs' and the backend's. */
struct validity validity_least(const struct document *document,
                               const struct document_service *service);

/* The colour of one of our certificates, or a CA's: yellow in its last month and red in its last
 * week; when it lives for less than three months, in the last third and the last tenth of that. */
enum sheet_colour validity_judge(const struct document_certificate *certificate);

/* The colour of a backend's, which others renew, and which may live for hours. */
enum sheet_colour validity_judge_backend(int64_t days);
