/* What the status endpoint answers, taken apart. A key that is missing or of another type than it
 * should be is absent: NULL, DOCUMENT_UNKNOWN, false, an empty list. Texts are as they came: not
 * fit for a terminal. jansson stays behind this door. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define DOCUMENT_UNKNOWN INT64_MIN

struct json_t;

struct document_texts {
    const char **list;
    size_t n;
};

/* How often something occurred, by its word. */
struct document_count {
    const char *word;
    int64_t n;
};

struct document_counts {
    struct document_count *list;
    size_t n;
};

struct document_failure {
    const char *time, *reason, *side, *detail, *advice;
    double age_seconds; /* negative: unknown */
};

struct document_service {
    const char *name, *state;
    struct document_texts listens, addresses, endpoints;
    const char *certificate, *ca;
    double dns_age_seconds; /* negative: unknown */
    const char *dns_failure;
    int64_t active, opened, limit;
    struct document_counts ended, handshakes_failed, attempts_failed;
    struct document_counts warm; /* sessions made ahead of the callers */
    int64_t sent, received;      /* bytes */
    int64_t full, resumed;       /* handshakes */
    const char *last_success;
    bool has_failed;
    struct document_failure failure; /* the last one */
    int64_t days_own, days_ca, days_backend;
    const char *backend_not_after;
    const char *held;
};

struct document_certificate {
    const char *name; /* NULL: one of a CA */
    const char *file, *subject, *issuer, *not_before, *not_after;
    int64_t days_left;
    const char *problem;
};

struct document_crl {
    const char *source, *issuer, *next_update;
};

/* A file of CAs. */
struct document_ca {
    const char *file, *problem;
    struct document_certificate *certificates;
    size_t n_certificates;
    struct document_crl *crls;
    size_t n_crls;
};

struct document {
    struct json_t *root;
    const char *version, *state, *file, *changed;
    bool is_ready;
    int64_t pid, workers, generation, dropped;
    double uptime_seconds, cpu_seconds; /* negative: unknown */
    int64_t resident_bytes, descriptors, max_descriptors;
    const char *reload_time, *reload_result;
    struct document_texts reload_faults;
    struct document_certificate *certificates;
    size_t n_certificates;
    struct document_ca *cas;
    size_t n_cas;
    struct document_service *services;
    size_t n_services;
};

/* Takes the answer to GET /status apart. NULL with a clause in `*ret_why` when it is no such
 * document, or memory is out. */
struct document *document_parse(const char *text, size_t len, const char **ret_why);
struct document *document_free(struct document *document); /* accepts NULL; returns NULL */

/* Prints it as JSON in ASCII: what came, with those services only for which `chosen`, one for each
 * service, is true. Returns -1 when it cannot be written. */
int document_print(const struct document *document, const bool *chosen, FILE *out);

/* What the answer to POST /reload says. */
struct document_reload {
    struct json_t *root;
    const char *result;
    int64_t generation, added, changed, removed, unchanged;
    struct document_texts faults, warnings;
};

/* As document_parse(). */
struct document_reload *document_parse_reload(const char *text, size_t len, const char **ret_why);
struct document_reload *document_free_reload(struct document_reload *reload);
