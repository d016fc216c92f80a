/* A configuration in words for a person. */
#pragma once

#include "control/snapshot.h"

#include <stdio.h>

/* Prints services, certificates and CAs: who, by whom, and for how many days still. */
void summary_print(const struct snapshot *snapshot, FILE *out);
