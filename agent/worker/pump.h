/* The bytes of a relay: from the caller through TLS to the backend, and back. Each step moves as
 * much as one system call gives or takes and never waits; what the kernel does not take is kept,
 * and keeps its source from being read. Failures become verdicts. */
#pragma once

#include "tls/tls.h"
#include "worker/relay.h"

#include <stdbool.h>

/* From the caller to the backend. */
void pump_up(struct relay *relay);

/* From the backend to the caller. */
void pump_down(struct relay *relay);

/* Counts the handshake, if the backend is known to have accepted us. */
void pump_note_acceptance(struct relay *relay);

/* What the backend said before there was a caller. */
void pump_early(struct relay *relay);

/* The same as pump_down() for ciphertext that was read already. */
void pump_decrypt(struct relay *relay, struct tls_input *in);

/* What the backend's, or the caller's kernel did not take before. */
void pump_to_upstream(struct relay *relay);
void pump_to_caller(struct relay *relay);

/* Whether it would read if there were something. */
bool pump_reads_caller(const struct relay *relay);
bool pump_reads_upstream(const struct relay *relay);
