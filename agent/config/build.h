/* A draft to a configuration: texts become values, services inherit. */
#pragma once

#include "base/problems.h"
#include "config/config.h"
#include "config/draft.h"

/* Fills `config` from the draft, noting what is wrong. `ret_drafts` gets the section of each
 * service, in their order; the caller frees it. Returns -1 when memory is out. */
int build_config(const struct draft *draft, struct config *config,
                 const struct draft_section ***ret_drafts, struct problems *problems);

/* Frees what the struct of a kind owns: a config_agent, config_certificate or config_service. */
void build_release(enum schema_kind kind, void *target);
