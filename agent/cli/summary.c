#include "cli/summary.h"

#include "base/cleanup.h"
#include "base/escape.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/* A certificate may be anyone's, and its names go to a terminal. */
static void print_clean(const char *text, FILE *out)
{
    AUTO_FREE char *clean = strdup(text);
    if (clean != NULL) {
        escape_blank(clean);
        fputs(clean, out);
    }
}

static void print_name(const char *label, const char *name, FILE *out)
{
    fprintf(out, "    %-11s ", label);
    print_clean(*name != '\0' ? name : "(empty)", out);
    fputc('\n', out);
}

/* "364 days left, until 2027-03-01" */
static void print_dates(const struct inspect_facts *facts, FILE *out)
{
    char date[32] = "?";
    struct tm tm;
    time_t now = time(NULL);
    long days = inspect_days_left(facts, now);
    bool is_early = now < facts->not_before;
    time_t when = is_early ? facts->not_before : facts->not_after;
    if (gmtime_r(&when, &tm) != NULL) {
        strftime(date, sizeof(date), "%Y-%m-%d", &tm);
    }
    if (is_early) {
        fprintf(out, "not valid before %s", date);
    } else if (days < 0) {
        fprintf(out, "expired on %s", date);
    } else {
        fprintf(out, "%ld day%s left, until %s", days, days == 1 ? "" : "s", date);
    }
}

static void print_certificate(const struct config_certificate *certificate,
                              const struct identity *identity, FILE *out)
{
    size_t n;
    const struct inspect_facts *facts = identity_facts(identity, &n);
    fprintf(out, "\ncertificate %s\n", certificate->name);
    print_name("file",
               certificate->pkcs12.path != NULL ? certificate->pkcs12.path : certificate->cert.path,
               out);
    if (n > 0) {
        print_name("subject", facts[0].subject, out);
        print_name("issuer", facts[0].issuer, out);
        fprintf(out, "    %-11s ", "valid");
        print_dates(&facts[0], out);
        fputc('\n', out);
    }
    for (size_t i = 1; i < n; i++) {
        fprintf(out, "    %-11s ", "chain");
        print_clean(facts[i].subject, out);
        fputs(", ", out);
        print_dates(&facts[i], out);
        fputc('\n', out);
    }
}

/* Prints the CAs of service `i`, or where they were printed before. */
static void print_trust(const struct snapshot *snapshot, size_t i, FILE *out)
{
    const struct config_service *service = &snapshot->config->services[i];
    size_t n, first = 0;
    const struct inspect_facts *facts = trust_facts(snapshot->trust_of[i]->trust, &n);
    print_name("ca", service->ca.path, out);
    while (snapshot->trust_of[first] != snapshot->trust_of[i]) {
        first++;
    }
    if (first < i) {
        fprintf(out, "    %-11s as for %s\n", "", snapshot->config->services[first].name);
        return;
    }
    for (size_t c = 0; c < n; c++) {
        fprintf(out, "    %-11s ", "");
        print_clean(facts[c].subject, out);
        fputs(", ", out);
        print_dates(&facts[c], out);
        fputc('\n', out);
    }
}

static void print_listens(const struct config_service *service, FILE *out)
{
    char text[CONFIG_LISTEN_TEXT_MAX];
    for (size_t i = 0; i < service->n_listens; i++) {
        print_name(i == 0 ? "listen" : "", config_listen_format(&service->listens[i], text), out);
    }
}

static void print_addresses(const struct config_service *service, FILE *out)
{
    for (size_t i = 0; i < service->n_addresses; i++) {
        const struct config_address *address = &service->addresses[i];
        bool is_v6 = address->name.kind == NAME_IP && address->name.ip_len == 16;
        fprintf(out, "    %-11s %s%s%s:%u\n", i == 0 ? "address" : "", is_v6 ? "[" : "",
                address->host, is_v6 ? "]" : "", address->port);
    }
}

/* The names of which the backend's certificate must have one. */
static void print_names(const struct config_service *service, FILE *out)
{
    char text[512];
    for (size_t i = 0; i < service->n_verify_names; i++) {
        print_name(i == 0 ? "verify" : "",
                   name_format(&service->verify_names[i], text, sizeof(text)), out);
    }
    if (service->n_verify_names == 0) {
        snprintf(text, sizeof(text), "dns:%s",
                 service->sni == CONFIG_SNI_NAME ? service->sni_name : "");
        print_name("verify", service->sni == CONFIG_SNI_NAME ? text : "the host in address", out);
    }
}

static void print_crls(const struct config_service *service, FILE *out)
{
    for (size_t i = 0; i < service->n_crls; i++) {
        const struct config_crl *crl = &service->crls[i];
        print_name(i == 0 ? "crl" : "", crl->url != NULL ? crl->url : crl->path, out);
    }
}

static void print_service(const struct snapshot *snapshot, size_t i, FILE *out)
{
    static const char *const sni[] = {
        [CONFIG_SNI_HOST] = "the host in address", [CONFIG_SNI_OFF] = "off"};
    const struct config_service *service = &snapshot->config->services[i];
    fprintf(out, "\nservice %s\n", service->name);
    print_listens(service, out);
    print_addresses(service, out);
    print_name("sni", service->sni == CONFIG_SNI_NAME ? service->sni_name : sni[service->sni], out);
    print_names(service, out);
    if (service->certificate != NULL) {
        fprintf(out, "    %-11s mtls, with the certificate %s\n", "mode",
                service->certificate->name);
    } else {
        fprintf(out, "    %-11s tls, without a certificate\n", "mode");
    }
    print_trust(snapshot, i, out);
    print_crls(service, out);
}

void summary_print(const struct snapshot *snapshot, FILE *out)
{
    const struct config *config = snapshot->config;
    fprintf(out, "%s is good: %zu service%s, %zu certificate%s, %zu file%s\n", config->files[0],
            config->n_services, config->n_services == 1 ? "" : "s", config->n_certificates,
            config->n_certificates == 1 ? "" : "s", config->n_files,
            config->n_files == 1 ? "" : "s");
    for (size_t i = 0; i < config->n_certificates; i++) {
        print_certificate(&config->certificates[i], snapshot->identities[i].identity, out);
    }
    for (size_t i = 0; i < config->n_services; i++) {
        print_service(snapshot, i, out);
    }
}
