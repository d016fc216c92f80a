/* Why a session has failed, with all that it knows at that moment. For tls.c only. */
#pragma once

#include "tls/tls_fields.h"

/* Names the alert that the peer has just sent. */
void diagnosis_of_alert(struct tls *tls);

/* Names an error of GnuTLS that is not an alert and not our refusal. */
void diagnosis_of_error(struct tls *tls, int error);

/* Names the end of the transport, see tls_end(). */
void diagnosis_of_end(struct tls *tls, int error);
