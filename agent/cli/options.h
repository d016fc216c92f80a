/* The options of the subcommands. */
#pragma once

#include <stdbool.h>

struct options {
    const char *file;
    bool is_file_given;
    bool overlap;                     /* run */
    bool dump;                        /* check */
    bool json;                        /* probe, status */
    bool no_http, via_agent;          /* probe */
    const char *path, *host, *method; /* probe; NULL: not given */
    bool watch;                       /* status */
    const char *socket;               /* status, reload; NULL: not given */
    char **names;                     /* what follows the options; borrowed from argv */
    int n_names;
};

enum options_set { OPTIONS_RUN, OPTIONS_CHECK, OPTIONS_PROBE, OPTIONS_STATUS, OPTIONS_RELOAD };

/* Parses the arguments of a subcommand, argv[0] being its name, that takes the options of `set`.
 * `help` is what --help prints. Returns -1 to go on, else the exit status to end with; what is
 * wrong has been told. */
int options_parse(int argc, char **argv, enum options_set set, const char *help,
                  struct options *ret_options);
