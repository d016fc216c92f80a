/* The options of the subcommands. */
#pragma once

#include <stdbool.h>

struct options {
    const char *file;
    bool dump;
};

/* Parses the arguments of a subcommand, argv[0] being its name. `help` is what --help prints.
 * Returns -1 to go on, else the exit status to end with; what is wrong has been told. */
int options_parse(int argc, char **argv, const char *help, bool takes_dump,
                  struct options *ret_options);
