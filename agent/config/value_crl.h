/* Where revocation lists come from: a file, or a URL with a file in which its download is kept. */
#pragma once

#include "config/value.h"

extern const struct value_type value_crl; /* struct config_crl */
