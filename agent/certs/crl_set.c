#include "certs/crl_set.h"

#include "base/cleanup.h"
#include "base/span.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct crl_set_member {
    char *source; /* its URL, else its path */
    char *fault;  /* why a file that was downloaded cannot be used */
    struct crl_file file;
};

/* What one call of crl_set_load() is about. */
struct loading {
    gnutls_x509_crt_t *cas;
    size_t n_cas;
    struct problems *problems;
    bool has_ours;  /* some CRL is of one of the CAs */
    bool has_holes; /* some file has no CRLs */
};

static void tell_out_of_memory(const struct loading *loading, const struct trust_crl *crl)
{
    problems_error(loading->problems, crl->place, "%s: out of memory", crl->path);
}

/* True when the CRL is of none of the CAs, or is signed by one that it names: there may be two of a
 * name while a CA changes its key. */
static bool fits_cas(struct crl *crl, gnutls_x509_crt_t *cas, size_t n_cas)
{
    bool is_named = false;
    for (size_t i = 0; i < n_cas; i++) {
        if (handles_crl_names(crl, cas[i])) {
            is_named = true;
            if (handles_crl_verify(crl, cas[i])) {
                return true;
            }
        }
    }
    return !is_named;
}

int crl_set_check(const struct crl_file *file, gnutls_x509_crt_t *cas, size_t n_cas,
                  char why[static CRL_WHY_MAX])
{
    for (size_t i = 0; i < file->n; i++) {
        if (!fits_cas(file->crls[i], cas, n_cas)) {
            snprintf(why, CRL_WHY_MAX,
                     "its CRL of %.160s is not signed by our CA of that name; get it from the CA",
                     crl_issuer(file->crls[i]));
            return -1;
        }
    }
    return 0;
}

/* True when a CRL of the file is one of our CAs'. */
static bool is_ours(const struct loading *loading, const struct crl_file *file)
{
    for (size_t i = 0; i < file->n; i++) {
        for (size_t k = 0; k < loading->n_cas; k++) {
            if (handles_crl_names(file->crls[i], loading->cas[k])) {
                return true;
            }
        }
    }
    return false;
}

static void warn_of_dates(const struct trust_crl *from, const struct crl *crl,
                          struct problems *problems)
{
    char span[SPAN_TEXT_MAX];
    time_t now = time(NULL), ahead = crl_this_update(crl) - now;
    if (crl_is_stale(crl, now)) {
        problems_warning(problems, from->place,
                         "%s: the CRL of %s is stale, the next one was due %s ago; until it is "
                         "renewed, backends of that CA are refused",
                         from->path, crl_issuer(crl),
                         span_format(now - crl_next_update(crl), span));
    } else if (crl_is_early(crl, now)) {
        problems_warning(problems, from->place, "%s: the CRL of %s is dated %s ahead; check %s",
                         from->path, crl_issuer(crl), span_format(ahead, span),
                         span_suggests_clock(ahead) ? "this host's clock, which seems wrong"
                                                    : "this host's clock and the CA's");
    }
}

/* Says that a file is of no use: what was downloaded will be again. */
static int refuse(const struct loading *loading, const struct trust_crl *from,
                  struct crl_set_member *member, const char *why)
{
    if (from->url == NULL) {
        problems_error(loading->problems, from->place, "%s: %s", from->path, why);
        return -1;
    }
    problems_warning(loading->problems, from->place,
                     "%s: %s; it is downloaded anew from %s, and until then backends are refused",
                     from->path, why, from->url);
    member->fault = strdup(why);
    if (member->fault == NULL) {
        tell_out_of_memory(loading, from);
        return -1;
    }
    return 0;
}

static bool is_awaited(const struct trust_crl *from)
{
    return from->url != NULL && access(from->path, F_OK) < 0 && errno == ENOENT;
}

static int load_member(struct loading *loading, const struct trust_crl *from,
                       struct crl_set_member *member)
{
    char why[CRL_WHY_MAX];
    member->source = strdup(from->url != NULL ? from->url : from->path);
    if (member->source == NULL) {
        tell_out_of_memory(loading, from);
        return -1;
    }
    if (is_awaited(from)) {
        loading->has_holes = true;
        return 0;
    }
    AUTO(crl_file_release) struct crl_file file = {0};
    if (crl_file_read(from->path, &file, why) < 0 ||
        crl_set_check(&file, loading->cas, loading->n_cas, why) < 0) {
        loading->has_holes = true;
        return refuse(loading, from, member, why);
    }
    for (size_t i = 0; i < file.n; i++) {
        warn_of_dates(from, file.crls[i], loading->problems);
    }
    loading->has_ours |= is_ours(loading, &file);
    member->file = file;
    file = (struct crl_file){0};
    return 0;
}

static void describe(struct crl_set *set, size_t i)
{
    const struct crl_set_member *member = &set->members[i];
    const struct crl_file *file = &member->file;
    set->handles[i] = (struct handles_crls){member->source, file->crls, file->n, member->fault};
    set->facts[i] = (struct trust_crl_facts){
        .source = member->source,
        .issuer = file->n > 0 ? crl_issuer(file->crls[0]) : "",
        .next_update = crl_file_next_update(file),
    };
}

static int make_room(struct crl_set *set, size_t n)
{
    set->members = calloc(n, sizeof(set->members[0]));
    set->handles = calloc(n, sizeof(set->handles[0]));
    set->facts = calloc(n, sizeof(set->facts[0]));
    if (set->members == NULL || set->handles == NULL || set->facts == NULL) {
        crl_set_release(set);
        return -1;
    }
    set->n = n;
    return 0;
}

int crl_set_load(const struct trust_source *source, gnutls_x509_crt_t *cas, size_t n_cas,
                 struct problems *problems, struct crl_set *ret_set)
{
    struct crl_set set = {0};
    struct loading loading = {.cas = cas, .n_cas = n_cas, .problems = problems};
    size_t errors = problems_errors(problems);
    if (source->n_crls == 0) {
        return 0;
    }
    if (make_room(&set, source->n_crls) < 0) {
        tell_out_of_memory(&loading, &source->crls[0]);
        return -1;
    }
    for (size_t i = 0; i < set.n; i++) {
        if (load_member(&loading, &source->crls[i], &set.members[i]) == 0) {
            describe(&set, i);
        }
    }
    if (problems_errors(problems) > errors) {
        crl_set_release(&set);
        return -1;
    }
    if (!loading.has_ours && !loading.has_holes) {
        problems_warning(
            problems, source->crls[0].place,
            "%s: no CRL of `crl` is of a CA in %s, so that what those issued is refused; "
            "give the CRL of each CA on the way to the backend",
            source->crls[0].path, source->ca);
    }
    *ret_set = set;
    return 0;
}

void crl_set_warn_of_dates(const struct crl_set *set, const struct trust_source *source,
                           struct problems *problems)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct crl_file *file = &set->members[i].file;
        for (size_t k = 0; k < file->n; k++) {
            warn_of_dates(&source->crls[i], file->crls[k], problems);
        }
    }
}

void crl_set_release(struct crl_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        free(set->members[i].source);
        free(set->members[i].fault);
        crl_file_release(&set->members[i].file);
    }
    free(set->members);
    free(set->handles);
    free(set->facts);
    *set = (struct crl_set){0};
}

static bool is_same_file(const struct crl_file *a, const struct crl_file *b)
{
    for (size_t i = 0; i < a->n && a->n == b->n; i++) {
        if (!crl_equal(a->crls[i], b->crls[i])) {
            return false;
        }
    }
    return a->n == b->n;
}

bool crl_set_equal(const struct crl_set *a, const struct crl_set *b)
{
    for (size_t i = 0; i < a->n && a->n == b->n; i++) {
        if (strcmp(a->members[i].source, b->members[i].source) != 0 ||
            !is_same_file(&a->members[i].file, &b->members[i].file)) {
            return false;
        }
    }
    return a->n == b->n;
}
