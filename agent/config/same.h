/* What a new configuration leaves as it was. Values are compared as `check --dump` writes them:
 * where they stand, and how they were spelled there, does not count. */
#pragma once

#include "config/config.h"

#include <stdbool.h>

/* True when all keys of both services have the same values. Their names do not count, and of the
 * certificate only its name does: see same_certificate(). */
bool same_service(const struct config_service *a, const struct config_service *b);

/* True when both have the same `address`, in the same order. */
bool same_addresses(const struct config_service *a, const struct config_service *b);

/* True when both name the same files; their names do not count. */
bool same_certificate(const struct config_certificate *a, const struct config_certificate *b);
