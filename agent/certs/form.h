/* What people give by mistake where a PKCS#12 file and its password are wanted. For the room certs/
 * only. */
#pragma once

#include "base/secret.h"

/* A clause that says what the file is instead, or that it is cut short, and what to do (a
 * constant); NULL for what may be PKCS#12, as far as its outside tells. */
const char *form_fault(const struct secret *bytes);

/* What to do about a password that does not open the file (a constant). */
const char *form_password_advice(const struct secret *password);
