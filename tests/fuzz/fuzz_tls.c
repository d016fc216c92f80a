/* Whatever a stranger sends into the TLS session, in pieces whose sizes the input chooses. It can
 * never be more than a handshake: that one succeeds is a finding. */
#include "base/cleanup.h"
#include "tls/tls.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gnutls/gnutls.h>

/* A CA that no input can have a certificate of: its key was never kept. */
static const char ca[] = "-----BEGIN CERTIFICATE-----\n"
                         "MIIBejCCASGgAwIBAgIUb9cC8wbnJvLKjd9kJLx2fpxBRzEwCgYIKoZIzj0EAwIw\n"
                         "EjEQMA4GA1UEAwwHRnV6eiBDQTAgFw0yNjExMjEwNjM0NDBaGA8yMTI2MTAyODA2\n"
                         "MzQ0MFowEjEQMA4GA1UEAwwHRnV6eiBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEH\n"
                         "A0IABCX2c/0NWhHrxu6Kp9uwkycRoSM4VrYdWSucMYKFQ9IiVBY1QTiREKXtIPPi\n"
                         "DTmrhx9wMQs+NTrJHEBN7g5sZrejUzBRMB0GA1UdDgQWBBTrncpxeL8U60yL+jem\n"
                         "xkhhYXJhdzAfBgNVHSMEGDAWgBTrncpxeL8U60yL+jemxkhhYXJhdzAPBgNVHRMB\n"
                         "Af8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIGYCpLPM5hwKkv3WYDpCpcHQd5Ir\n"
                         "GONPXz4rH+v1n2gRAiBq9k8iFUKy0+UwT8KLEC0gUyM5xghBO0piBhS1xbh4WQ==\n"
                         "-----END CERTIFICATE-----\n";

static struct profile *profile;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    char path[64];
    const char *why;
    AUTO_CLOSE int fd = memfd_create("ca", MFD_CLOEXEC);
    if (fd < 0 || write(fd, ca, sizeof(ca) - 1) != (ssize_t)sizeof(ca) - 1) {
        abort();
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct problems *problems = problems_new();
    struct trust *trust = trust_load(&(struct trust_source){.ca = path}, problems);
    const struct profile_options options = {.trust = trust, .tls_min = 12, .tls_max = 13};
    profile = trust != NULL ? profile_new(&options, &why) : NULL;
    if (profile == NULL) {
        abort();
    }
    trust_unref(trust);
    problems_free(problems);
    return 0;
}

/* The first byte of what is left says how long the next piece is. */
static struct tls_input next_piece(const uint8_t **bytes, size_t *len)
{
    size_t size = (*bytes)[0];
    (*bytes)++;
    (*len)--;
    if (size > *len) {
        size = *len;
    }
    struct tls_input piece = {*bytes, size};
    *bytes += size;
    *len -= size;
    return piece;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static uint8_t plain[256 + 2 * TLS_RECORD_MAX];
    char text[] = "backend.test";
    const struct name host = {.kind = NAME_DNS, .text = text};
    struct tls *tls = tls_new(profile, &host);
    struct buf out;
    struct tls_input nothing = {0};
    buf_init(&out, 1 << 20);
    enum tls_status status = tls_handshake(tls, &nothing, &out);
    bool established = false;
    while (len > 0 && (status == TLS_WANT_INPUT || status == TLS_DONE)) {
        struct tls_input in = next_piece(&bytes, &len);
        size_t n;
        status = established ? tls_read(tls, &in, &out, plain, sizeof(plain), &n)
                             : tls_handshake(tls, &in, &out);
        established |= status == TLS_DONE;
    }
    if (established) {
        abort(); /* nobody holds the CA's key */
    }
    tls_end(tls, 0);
    buf_release(&out);
    tls_free(tls);
    return 0;
}
