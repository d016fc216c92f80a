/* One TLS session as a client, without any I/O: ciphertext goes in, ciphertext comes out.
 *
 * Input is borrowed for the duration of a call and consumed from its front; a record that is not
 * whole yet is kept inside. Output is appended to the caller's buffer and never waits, so no record
 * is ever half sent: GnuTLS resends wrong bytes when a KeyUpdate arrives in that state.
 *
 * A session may move between threads, but is used by one at a time. */
#pragma once

#include "base/buf.h"
#include "base/failure.h"
#include "base/name.h"
#include "tls/profile.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Plaintext of one record at most (RFC 8446 section 5.1). */
#define TLS_RECORD_MAX 16384

enum tls_status {
    TLS_DONE,        /* the operation is complete */
    TLS_WANT_INPUT,  /* all input is used up; call again with more */
    TLS_WANT_THREAD, /* what comes next takes long: call again, with the input that is left, from a
                      * thread where that keeps nobody waiting; see tls_defer() */
    TLS_CLOSED,      /* the peer said close_notify; its stream is complete */
    TLS_FAILED,      /* over: see tls_failure(); output may hold an alert worth sending */
};

/* Ciphertext as it came from the peer. */
struct tls_input {
    const uint8_t *bytes;
    size_t len;
};

struct tls;

/* Begins a session with the endpoint that the configuration calls `host`. References the profile.
 * Returns NULL when memory is out. */
struct tls *tls_new(struct profile *profile, const struct name *host);

/* Wipes and frees the session. Accepts NULL; returns NULL. */
struct tls *tls_free(struct tls *tls);

/* Runs the handshake (RFC 8446 section 2, RFC 5246 section 7.3). TLS_DONE only after the peer has
 * passed the whole trust decision; input that is left over then belongs to tls_read(). Never gives
 * TLS_CLOSED. */
enum tls_status tls_handshake(struct tls *tls, struct tls_input *in, struct buf *out);

/* To be called before the handshake: it stops once, with TLS_WANT_THREAD, before it signs with a
 * key that takes long (RSA: 1.4 ms with 2048 bits, 8 ms with 4096). A handshake that needs no such
 * signature, for example one that resumes a session, does not stop. */
void tls_defer(struct tls *tls);

/* Decrypts into `plain`. TLS_DONE when fewer than TLS_RECORD_MAX bytes of room are left. With
 * `size` >= in->len + 2 * TLS_RECORD_MAX all input is consumed. What was decrypted is in
 * `*ret_len`, whatever the status. Tickets, KeyUpdate and post-handshake authentication are dealt
 * with on the way; a TLS 1.2 renegotiation is declined. */
enum tls_status tls_read(struct tls *tls, struct tls_input *in, struct buf *out, uint8_t *plain,
                         size_t size, size_t *ret_len);

/* Encrypts all of `plain`. TLS_DONE or TLS_FAILED. */
enum tls_status tls_write(struct tls *tls, const uint8_t *plain, size_t len, struct buf *out);

/* Says close_notify: our stream is complete; the peer's may go on (RFC 8446 section 6.1). */
void tls_close(struct tls *tls, struct buf *out);

/* Turns the end of the transport, without close_notify, into the failure it means at this point.
 * `error` is the errno of the socket, 0 for an end of file. */
void tls_end(struct tls *tls, int error);

/* Why it failed. Valid after TLS_FAILED or tls_end(). */
const struct failure *tls_failure(const struct tls *tls);

/* The endpoint's host, as it was given. */
const struct name *tls_host(const struct tls *tls);

/* "1.3" and "AES-128-GCM"; NULL before the handshake is complete. */
const char *tls_version(const struct tls *tls);
const char *tls_cipher(const struct tls *tls);

/* The key exchange group, for example "X25519", and the application protocol that the backend chose
 * (RFC 7301); new strings, NULL where there is none. */
char *tls_group(const struct tls *tls);
char *tls_alpn(const struct tls *tls);

/* To be called before the handshake: the session notes for evidence_take() and ticket_take() what
 * it would not remember otherwise. */
void tls_observe(struct tls *tls);

/* True when the handshake offers, or offered, to resume an earlier session; and when it resumed it.
 */
bool tls_has_offered(const struct tls *tls);
bool tls_is_resumed(const struct tls *tls);

/* True when the backend is known to have accepted us: where it asked for a certificate, TLS 1.3
 * tells only by its first ticket or byte. */
bool tls_is_confirmed(const struct tls *tls);

/* True when the peer asked for a renegotiation (TLS 1.2): it may wait for it in vain. */
bool tls_has_declined(const struct tls *tls);

/* The version of the GnuTLS library in use. */
const char *tls_library_version(void);
