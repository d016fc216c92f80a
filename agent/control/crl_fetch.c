#include "control/crl_fetch.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/span.h"
#include "certs/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <curl/curl.h>

#define CONNECT_MS   10000L
#define TOTAL_MS     30000L
#define REDIRECTIONS 3L

#define SAY(fetch, ...) snprintf((fetch)->why, sizeof((fetch)->why), __VA_ARGS__)

/* ---- the request ---- */

static CURLcode global_result;

static void init_globally(void)
{
    global_result = curl_global_init(CURL_GLOBAL_ALL);
}

int crl_fetch_prepare(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    return pthread_once(&once, init_globally) == 0 && global_result == CURLE_OK ? 0 : -1;
}

struct request {
    struct crl_fetch *fetch;
    CURL *easy;
    struct buf body;
    bool is_too_large;
    char error[CURL_ERROR_SIZE];
};

static void release_request(struct request *request)
{
    curl_easy_cleanup(request->easy);
    buf_release(&request->body);
}

static size_t keep_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct request *request = ctx;
    size_t len = size * n;
    if (buf_len(&request->body) + len > CRL_FILE_MAX) {
        request->is_too_large = true;
        return 0;
    }
    return buf_append(&request->body, bytes, len) == 0 ? len : 0;
}

/* libcurl asks about once a second, also while it waits for a name. */
static int is_cancelled(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    const struct request *request = ctx;
    return atomic_load(&request->fetch->cancelled);
}

#define SET(option, value) (curl_easy_setopt(request->easy, (option), (value)) == CURLE_OK)

/* Neither the environment nor the user's home changes what is asked, or whom; and what begins with
 * TLS does not go on without it. */
static bool set_limits(struct request *request)
{
    bool is_tls = strncasecmp(request->fetch->url, "https:", 6) == 0;
    return SET(CURLOPT_PROXY, "") && SET(CURLOPT_NOPROXY, "*") &&
           SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) && SET(CURLOPT_NOSIGNAL, 1L) &&
           SET(CURLOPT_PROTOCOLS_STR, "http,https") &&
           SET(CURLOPT_REDIR_PROTOCOLS_STR, is_tls ? "https" : "http,https") &&
           SET(CURLOPT_FOLLOWLOCATION, 1L) && SET(CURLOPT_MAXREDIRS, REDIRECTIONS) &&
           SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) && SET(CURLOPT_TIMEOUT_MS, TOTAL_MS) &&
           SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)CRL_FILE_MAX) &&
           SET(CURLOPT_HTTP09_ALLOWED, 0L);
}

static bool set_up(struct request *request)
{
    return set_limits(request) && SET(CURLOPT_URL, request->fetch->url) &&
           SET(CURLOPT_USERAGENT, "mtls-agent/" PACKAGE_VERSION) &&
           SET(CURLOPT_ERRORBUFFER, request->error) && SET(CURLOPT_WRITEFUNCTION, keep_body) &&
           SET(CURLOPT_WRITEDATA, request) && SET(CURLOPT_XFERINFOFUNCTION, is_cancelled) &&
           SET(CURLOPT_XFERINFODATA, request) && SET(CURLOPT_NOPROGRESS, 0L);
}

static int explain(const struct request *request, CURLcode code)
{
    if (request->is_too_large || code == CURLE_FILESIZE_EXCEEDED) {
        SAY(request->fetch, "more than %u MB came; is that the address of a CRL?",
            CRL_FILE_MAX >> 20);
    } else if (code == CURLE_OPERATION_TIMEDOUT) {
        SAY(request->fetch,
            "it was not there within %ld seconds; check the server and the way "
            "there",
            TOTAL_MS / 1000);
    } else {
        SAY(request->fetch, "%.300s; check the address and the server",
            request->error[0] != '\0' ? request->error : curl_easy_strerror(code));
    }
    return -1;
}

/* Gets what the URL has to give. */
static int download(struct request *request)
{
    long status = 0;
    request->easy = curl_easy_init();
    if (request->easy == NULL || !set_up(request)) {
        SAY(request->fetch, "the request could not be made: out of memory");
        return -1;
    }
    CURLcode code = curl_easy_perform(request->easy);
    if (code != CURLE_OK) {
        return explain(request, code);
    }
    curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        SAY(request->fetch, "the answer was status %ld; check the address", status);
        return -1;
    }
    return 0;
}

/* ---- the file ---- */

static void make_folders(const char *path)
{
    char *copy = strdup(path);
    char *slash = copy != NULL ? strchr(copy + 1, '/') : NULL;
    while (slash != NULL) {
        *slash = '\0';
        if (mkdir(copy, 0755) == 0) { /* what is missing in the end shows when the file is made */
            (void)chmod(copy, 0755);  /* whatever our umask is: CRLs are public */
        }
        *slash = '/';
        slash = strchr(slash + 1, '/');
    }
    free(copy);
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* Nobody sees half of a file: it is written beside the old one, and takes its place when the disk
 * has it. */
static int replace(const char *path, const char *bytes, size_t len)
{
    AUTO_FREE char *beside = NULL;
    if (asprintf(&beside, "%s.XXXXXX", path) < 0) {
        beside = NULL;
        return -1;
    }
    make_folders(path);
    AUTO_CLOSE int fd = mkostemp(beside, O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    if (write_all(fd, bytes, len) < 0 || fchmod(fd, 0644) < 0 || fsync(fd) < 0 ||
        rename(beside, path) < 0) {
        int error = errno;
        (void)unlink(beside);
        errno = error;
        return -1;
    }
    return 0;
}

/* ---- the judgement ---- */

static bool is_current(const struct crl_file *file, time_t now)
{
    for (size_t i = 0; i < file->n; i++) {
        if (crl_is_stale(file->crls[i], now) || crl_is_early(file->crls[i], now)) {
            return false;
        }
    }
    return file->n > 0;
}

/* Says what is wrong with CRLs that are as they should be otherwise. */
static int check_dates(struct crl_fetch *fetch, const struct crl_file *file, time_t now)
{
    char span[SPAN_TEXT_MAX];
    for (size_t i = 0; i < file->n; i++) {
        const struct crl *crl = file->crls[i];
        time_t ahead = crl_this_update(crl) - now;
        if (crl_is_stale(crl, now)) {
            SAY(fetch, "the CRL of %.160s is stale, the next one was due %s ago; ask its CA",
                crl_issuer(crl), span_format(now - crl_next_update(crl), span));
            return -1;
        }
        if (crl_is_early(crl, now)) {
            SAY(fetch, "the CRL of %.160s is dated %s ahead; check this host's clock%s",
                crl_issuer(crl), span_format(ahead, span),
                span_suggests_clock(ahead) ? ", which seems wrong" : " and the CA's");
            return -1;
        }
    }
    return 0;
}

static int check_signatures(struct crl_fetch *fetch, const struct crl_file *file)
{
    char why[CRL_WHY_MAX];
    if (fetch->ca != NULL && trust_check_crls(fetch->ca, file, why) < 0) {
        SAY(fetch, "what came: %s", why);
        return -1;
    }
    return 0;
}

/* True when a CRL of `now` is older than that of the same issuer before: somebody gives out what
 * has been replaced. */
static bool is_older(const struct crl_file *now, const struct crl_file *before)
{
    for (size_t i = 0; i < now->n; i++) {
        for (size_t k = 0; k < before->n; k++) {
            if (strcmp(crl_issuer(now->crls[i]), crl_issuer(before->crls[k])) == 0 &&
                crl_this_update(now->crls[i]) < crl_this_update(before->crls[k])) {
                return true;
            }
        }
    }
    return false;
}

static bool is_same(const struct crl_file *a, const struct crl_file *b)
{
    for (size_t i = 0; i < a->n && a->n == b->n; i++) {
        if (!crl_equal(a->crls[i], b->crls[i])) {
            return false;
        }
    }
    return a->n == b->n;
}

/* Puts what came in the place of what is there, if it is better. */
static int take(struct crl_fetch *fetch, const struct buf *body, const struct crl_file *before)
{
    AUTO(crl_file_release) struct crl_file file = {0};
    char why[CRL_WHY_MAX];
    time_t now = time(NULL);
    if (crl_file_parse((const char *)buf_bytes(body), buf_len(body), &file, why) < 0) {
        SAY(fetch, "what came: %s", why);
        return -1;
    }
    if (check_dates(fetch, &file, now) < 0 || check_signatures(fetch, &file) < 0) {
        return -1;
    }
    if (is_current(before, now) && (is_same(&file, before) || is_older(&file, before))) {
        return 0;
    }
    if (replace(fetch->path, (const char *)buf_bytes(body), buf_len(body)) < 0) {
        SAY(fetch, "%.200s cannot be written: %s; check its folder", fetch->path, strerror(errno));
        return -1;
    }
    fetch->is_new = true;
    fetch->next_update = crl_file_next_update(&file);
    return 0;
}

/* Reads what is there, as far as it is good for anything. */
static void read_before(const struct crl_fetch *fetch, struct crl_file *before)
{
    char why[CRL_WHY_MAX];
    if (crl_file_read(fetch->path, before, why) == 0 && fetch->ca != NULL &&
        trust_check_crls(fetch->ca, before, why) < 0) {
        crl_file_release(before);
    }
}

void crl_fetch_run(struct crl_fetch *fetch)
{
    AUTO(crl_file_release) struct crl_file before = {0};
    read_before(fetch, &before);
    fetch->why[0] = '\0';
    fetch->is_new = false;
    fetch->next_update = crl_file_next_update(&before);
    fetch->is_good = true;
    if (fetch->is_enough && is_current(&before, time(NULL))) {
        return;
    }
    AUTO(release_request) struct request request = {.fetch = fetch};
    buf_init(&request.body, CRL_FILE_MAX);
    fetch->is_good = download(&request) == 0 && take(fetch, &request.body, &before) == 0;
}
