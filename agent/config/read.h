/* Files to a draft: the main file and all that it includes. */
#pragma once

#include "base/problems.h"
#include "config/config.h"
#include "config/draft.h"

/* Reads the file and its includes into `draft`, noting what is wrong, and their names into
 * `config->files`, which the draft's places point to. Returns -1 when memory is out. */
int read_files(const char *path, struct config *config, struct draft *draft,
               struct problems *problems);
