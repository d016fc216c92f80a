/* One file's lines to sections and entries of a draft. */
#pragma once

#include "base/problems.h"
#include "config/draft.h"

/* Reads a file's text, noting what is wrong. `file` must outlive the draft. Returns -1 when memory
 * is out. */
int section_read(const char *file, const char *text, size_t len, struct draft *draft,
                 struct problems *problems);
