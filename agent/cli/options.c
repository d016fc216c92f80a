#include "cli/options.h"

#include "cli/cli.h"

#include <getopt.h>
#include <stdio.h>

#define COMMON                                                                                     \
    {"config", required_argument, NULL, 'c'},                                                      \
    {                                                                                              \
        "help", no_argument, NULL, 'h'                                                             \
    }

static const struct option of_run[] = {COMMON, {"overlap", no_argument, NULL, 'l'}, {0}};
static const struct option of_check[] = {COMMON, {"dump", no_argument, NULL, 'd'}, {0}};
static const struct option of_probe[] = {
    COMMON,
    {"json", no_argument, NULL, 'j'},
    {"no-http", no_argument, NULL, 'n'},
    {"via-agent", no_argument, NULL, 'v'},
    {"path", required_argument, NULL, 'p'},
    {"host", required_argument, NULL, 'o'},
    {"method", required_argument, NULL, 'm'},
    {0},
};
static const struct option of_status[] = {
    COMMON,
    {"socket", required_argument, NULL, 's'},
    {"json", no_argument, NULL, 'j'},
    {"watch", no_argument, NULL, 'w'},
    {0},
};
static const struct option of_reload[] = {COMMON, {"socket", required_argument, NULL, 's'}, {0}};

static const struct {
    const struct option *known;
    const char *letters;
    bool takes_names;
} sets[] = {
    [OPTIONS_RUN] = {of_run, "c:h", false},         [OPTIONS_CHECK] = {of_check, "c:h", false},
    [OPTIONS_PROBE] = {of_probe, "c:h", true},      [OPTIONS_STATUS] = {of_status, "c:hs:", true},
    [OPTIONS_RELOAD] = {of_reload, "c:hs:", false},
};

/* Takes one option. False for one that is not known. */
static bool take(int option, struct options *options)
{
    switch (option) {
    case 'c':
        options->file = optarg;
        options->is_file_given = true;
        return true;
    case 'd':
        options->dump = true;
        return true;
    case 'l':
        options->overlap = true;
        return true;
    case 'j':
        options->json = true;
        return true;
    case 'n':
        options->no_http = true;
        return true;
    case 'v':
        options->via_agent = true;
        return true;
    case 'p':
        options->path = optarg;
        return true;
    case 'o':
        options->host = optarg;
        return true;
    case 'm':
        options->method = optarg;
        return true;
    case 's':
        options->socket = optarg;
        return true;
    case 'w':
        options->watch = true;
        return true;
    default:
        return false;
    }
}

int options_parse(int argc, char **argv, enum options_set set, const char *help,
                  struct options *ret_options)
{
    struct options options = {.file = CLI_DEFAULT_FILE};
    int option;
    while ((option = getopt_long(argc, argv, sets[set].letters, sets[set].known, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return CLI_GOOD;
        }
        if (!take(option, &options)) {
            fputs(help, stderr);
            return CLI_USAGE;
        }
    }
    options.names = argv + optind;
    options.n_names = argc - optind;
    if (options.n_names > 0 && !sets[set].takes_names) {
        fprintf(stderr, "mtls-agent %s: unexpected argument '%s'\n%s", argv[0], argv[optind], help);
        return CLI_USAGE;
    }
    *ret_options = options;
    return -1;
}
