/* Rules that no single key can check. */
#pragma once

#include "base/problems.h"
#include "config/config.h"
#include "config/draft.h"

/* Notes what is wrong between the keys of a service, between services, and between sections.
 * `drafts` has the section of each service. Returns -1 when memory is out. */
int rules_check(const struct config *config, const struct draft *draft,
                const struct draft_section *const *drafts, struct problems *problems);
