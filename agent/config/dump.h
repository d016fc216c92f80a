/* The effective configuration as INI that reads back to the same. */
#pragma once

#include "config/config.h"

#include <stdio.h>

/* Prints every key that has a value, defaults included, from the schema's table, in its order. */
void dump_config(const struct config *config, FILE *out);
