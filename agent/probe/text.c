#include "probe/text.h"

#include "probe/chains.h"
#include "probe/page.h"

#include <netdb.h>
#include <string.h>

/* What DNS may take before it is worth a word. */
#define SLOW_US 1000000

/* What is told besides verdict, addresses, HTTP and warnings. */
enum topic {
    TOPIC_DNS = 1 << 0,
    TOPIC_RESUMPTION = 1 << 1,
    TOPIC_BACKEND = 1 << 2, /* its chain */
    TOPIC_PIN = 1 << 3,
    TOPIC_TRUST = 1 << 4, /* the CAs that we hold */
    TOPIC_OURS = 1 << 5,  /* our chain */
    TOPIC_ACCEPTS = 1 << 6,
};

/* Only lines that help with this verdict: whose chain it is about, and where the name led. */
static unsigned topics_of(const struct failure *verdict)
{
    switch (verdict->reason) {
    case REASON_ok:
        return TOPIC_DNS | TOPIC_RESUMPTION | TOPIC_BACKEND | TOPIC_OURS;
    case REASON_cert_untrusted:
        return TOPIC_BACKEND | TOPIC_TRUST;
    case REASON_cert_name_mismatch:
    case REASON_cert_no_san:
        return TOPIC_DNS | TOPIC_BACKEND;
    case REASON_pin_mismatch:
        return TOPIC_DNS | TOPIC_BACKEND | TOPIC_PIN;
    case REASON_sni_unrecognized:
        return TOPIC_DNS;
    case REASON_tls_version:
    case REASON_tls_no_common_cipher:
    case REASON_tls_protocol:
        return 0;
    case REASON_client_cert_expired:
    case REASON_client_cert_revoked:
    case REASON_own_cert_expired:
    case REASON_own_cert_not_yet_valid:
    case REASON_own_key_unusable:
        return TOPIC_OURS;
    default:
        break;
    }
    static const unsigned topics[] = {
        [SIDE_NETWORK] = TOPIC_DNS,
        [SIDE_WE_REFUSED] = TOPIC_BACKEND,
        [SIDE_THEY_REFUSED] = TOPIC_OURS | TOPIC_ACCEPTS,
        [SIDE_BY_ALERT] = 0,
    };
    return topics[reason_side(verdict->reason, verdict->by_peer)];
}

static const char *decider(const struct failure *failure)
{
    static const char *const words[] = {
        [SIDE_LOCAL] = "local",
        [SIDE_NETWORK] = "network",
        [SIDE_WE_REFUSED] = "we refused the backend",
        [SIDE_THEY_REFUSED] = "the backend refused us",
        [SIDE_CONFIG] = "our configuration",
        [SIDE_BY_ALERT] = "an alert",
    };
    return words[reason_side(failure->reason, failure->by_peer)];
}

static void print_verdict(const struct page *page, const struct report_service *service)
{
    const struct failure *verdict = &service->verdict;
    bool is_good = verdict->reason == REASON_ok;
    page_say(page, "%s: ", service->service->name);
    page_colour(page, is_good ? PAGE_GREEN : PAGE_RED);
    page_say(page, "%s", reason_word(verdict->reason));
    page_colour(page, PAGE_PLAIN);
    if (is_good) {
        page_end(page);
        return;
    }
    page_say(page, " (%s)", decider(verdict));
    page_end(page);
    if (verdict->detail[0] != '\0') {
        page_line(page, "why", "%s", verdict->detail);
    }
    page_line(page, "to do", "%s",
              service->advice != NULL ? service->advice : reason_advice(verdict->reason));
}

static void print_ttl(const struct page *page, const struct report_host *host)
{
    uint32_t least = UINT32_MAX, most = 0;
    for (size_t i = 0; i < host->n && host->has_ttl; i++) {
        least = host->ttls_s[i] < least ? host->ttls_s[i] : least;
        most = host->ttls_s[i] > most ? host->ttls_s[i] : most;
    }
    if (!host->has_ttl) {
        page_say(page, "; from /etc/hosts");
    } else if (least < most) {
        page_say(page, "; TTL %u to %u s", least, most);
    } else {
        page_say(page, "; TTL %u s", most);
    }
    if (host->has_ttl && host->ttl_s < least) {
        page_say(page, " (%u s by way of the CNAME)", host->ttl_s);
    }
}

static void print_aliases(const struct page *page, const char *aliases)
{
    const char *separator = "; CNAME ";
    while (*aliases != '\0') {
        int len = (int)strcspn(aliases, " ");
        page_say(page, "%s%.*s", separator, len, aliases);
        aliases += len;
        aliases += strspn(aliases, " ");
        separator = ", ";
    }
}

static void print_host(const struct page *page, const char *label, const struct report_host *host)
{
    page_begin(page, label);
    page_say(page, "%s: ", host->address->host);
    for (size_t i = 0; i < host->n; i++) {
        char ip[ADDR_TEXT_MAX] = "?";
        getnameinfo(&host->addrs[i].sa, host->addrs[i].len, ip, sizeof(ip), NULL, 0,
                    NI_NUMERICHOST);
        page_say(page, "%s%s", i > 0 ? ", " : "", ip);
    }
    if (host->failure != NULL) {
        page_say(page, "%s%s, after %.1f ms", host->n > 0 ? "; " : "", host->failure,
                 (double)host->duration_us / 1000);
    } else {
        print_ttl(page, host);
    }
    if (host->aliases != NULL) {
        print_aliases(page, host->aliases);
    }
    if (host->failure == NULL && host->duration_us > SLOW_US) {
        page_say(page, "; found after %.1f s", (double)host->duration_us / 1e6);
    }
    page_end(page);
}

/* A failure always matters; a literal takes no DNS. */
static void print_hosts(const struct page *page, const struct report_service *service, bool all)
{
    const char *label = "dns";
    for (size_t i = 0; i < service->n_hosts; i++) {
        const struct report_host *host = &service->hosts[i];
        if ((all || host->failure != NULL) && !host->address->is_literal) {
            print_host(page, label, host);
            label = "";
        }
    }
}

/* What came of an address where TLS found no fault. */
static const char *outcome(const struct report_service *service,
                           const struct report_endpoint *endpoint)
{
    if (service->verdict.reason != REASON_ok) {
        return "the handshake was good";
    }
    if (!endpoint->evidence.asked) {
        return "asked for no certificate";
    }
    if (!endpoint->evidence.sent) {
        return "asked for a certificate, and none was sent";
    }
    return endpoint->is_confirmed ? "accepted our certificate"
                                  : "said nothing against our certificate";
}

/* The verdict is known to the reader: what is the same is not said again. */
static void print_failure(const struct page *page, const struct report_endpoint *endpoint,
                          const struct failure *verdict)
{
    const struct failure *failure = &endpoint->failure;
    page_say(page, "%s", reason_word(failure->reason));
    if (failure->reason != verdict->reason || failure->by_peer != verdict->by_peer) {
        page_say(page, " (%s)", decider(failure));
    }
    page_say(page, "%s", endpoint->is_established ? " after the handshake" : "");
    if (strstr(verdict->detail, failure->detail) == NULL) {
        page_say(page, ": %s", failure->detail);
    }
}

/* Says what there is. */
static void say_part(const struct page *page, const char *prefix, const char *part)
{
    if (part != NULL) {
        page_say(page, "%s%s", prefix, part);
    }
}

static void print_session(const struct page *page, const struct report_endpoint *endpoint)
{
    say_part(page, "; TLS ", endpoint->version);
    if (endpoint->failure.reason == REASON_ok) {
        say_part(page, ", ", endpoint->cipher);
        say_part(page, ", ", endpoint->group);
        say_part(page, ", ALPN ", endpoint->alpn);
    }
}

static void print_endpoint(const struct page *page, const struct report_service *service,
                           const char *label, const struct report_endpoint *endpoint)
{
    char text[ADDR_TEXT_MAX];
    page_begin(page, label);
    page_say(page, "%s", addr_format(&endpoint->addr, text));
    if (service->n_hosts > 1 && !endpoint->address->is_literal) {
        page_say(page, " (%s)", endpoint->address->host);
    }
    page_say(page, ": ");
    if (endpoint->failure.reason != REASON_ok) {
        print_failure(page, endpoint, &service->verdict);
    } else {
        page_say(page, "%s", outcome(service, endpoint));
    }
    print_session(page, endpoint);
    if (endpoint->connect_us != 0) {
        page_say(page, "; TCP %.1f ms", (double)endpoint->connect_us / 1000);
    }
    if (endpoint->handshake_us != 0) {
        page_say(page, ", handshake %.1f ms", (double)endpoint->handshake_us / 1000);
    }
    say_part(page, "; ", endpoint->speaks_first ? "it speaks first" : NULL);
    page_end(page);
}

static void print_resumption(const struct page *page, const struct report_service *service)
{
    static const char *const words[] = {
        [RESUMPTION_UNTRIED] = NULL,
        [RESUMPTION_WORKS] = "works",
        [RESUMPTION_NO_TICKET] = "no: no ticket came",
        [RESUMPTION_DECLINED] = "no: the backend does not take its own ticket back",
    };
    for (size_t i = 0; i < service->n_endpoints; i++) {
        const char *word = words[service->endpoints[i].resumption];
        if (word != NULL) {
            page_line(page, "resumption", "%s", word);
            return;
        }
    }
}

static void print_http(const struct page *page, const struct report_http *http)
{
    char text[ADDR_TEXT_MAX];
    page_begin(page, "http");
    page_say(page, "%s %s", http->method, http->url);
    if (http->via_agent) {
        page_say(page, " through the agent at %s", addr_format(&http->addr, text));
    }
    if (http->status != 0) {
        page_say(page, ": %u", http->status);
        say_part(page, ", but ", http->failure);
    } else {
        page_say(page, ": no answer");
        say_part(page, ": ", http->failure);
    }
    say_part(page, ", HTTP/", http->version);
    say_part(page, ", server ", http->server);
    page_say(page, "; %.1f ms", (double)http->duration_us / 1000);
    page_end(page);
}

static void print_warnings(const struct page *page, const struct report_service *service)
{
    for (size_t i = 0; i < service->n_warnings; i++) {
        page_colour(page, PAGE_YELLOW);
        page_begin(page, "warning");
        page_say(page, "%s", service->warnings[i]);
        page_colour(page, PAGE_PLAIN);
        page_end(page);
    }
}

static void print_chains(const struct page *page, const struct report_service *service,
                         unsigned topics)
{
    const struct report_endpoint *spokesman = report_spokesman(service);
    if (spokesman != NULL && (topics & TOPIC_BACKEND) != 0) {
        const struct evidence *evidence = &spokesman->evidence;
        chains_print_backend(page, evidence);
        if ((topics & TOPIC_PIN) != 0 && evidence->pin[0] != '\0') {
            page_line(page, "its pin", "pin = %s", evidence->pin);
        }
    }
    if ((topics & TOPIC_TRUST) != 0) {
        chains_print_trust(page, service);
    }
    if ((topics & TOPIC_OURS) != 0) {
        chains_print_ours(page, service);
    }
    if (spokesman != NULL && (topics & TOPIC_ACCEPTS) != 0) {
        chains_print_accepted(page, service, &spokesman->evidence);
    }
}

void text_print(const struct report_service *service, time_t now, bool in_colour, FILE *out)
{
    const struct page page = {.out = out, .in_colour = in_colour, .now = now};
    unsigned topics = topics_of(&service->verdict);
    print_verdict(&page, service);
    print_hosts(&page, service, (topics & TOPIC_DNS) != 0);
    for (size_t i = 0; i < service->n_endpoints; i++) {
        print_endpoint(&page, service, i == 0 ? "address" : "", &service->endpoints[i]);
    }
    if ((topics & TOPIC_RESUMPTION) != 0) {
        print_resumption(&page, service);
    }
    print_chains(&page, service, topics);
    if (service->http.was_tried) {
        print_http(&page, &service->http);
    }
    print_warnings(&page, service);
}

void text_print_total(const struct report *report, FILE *out)
{
    size_t n_bad = 0;
    for (size_t i = 0; i < report->n_services; i++) {
        n_bad += report->services[i].verdict.reason != REASON_ok;
    }
    if (report->n_services < 2) {
        return;
    }
    if (n_bad == 0) {
        fprintf(out, "all %zu services are good\n", report->n_services);
        return;
    }
    fprintf(out, "%zu of %zu services %s not good", n_bad, report->n_services,
            n_bad == 1 ? "is" : "are");
    const char *separator = ": ";
    for (size_t i = 0; i < report->n_services; i++) {
        if (report->services[i].verdict.reason != REASON_ok) {
            fprintf(out, "%s%s", separator, report->services[i].service->name);
            separator = ", ";
        }
    }
    fputc('\n', out);
}
