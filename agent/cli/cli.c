#include "cli/cli.h"

#include "config/suggest.h"
#include "control/control.h"
#include "control/resolver.h"
#include "probe/http.h"
#include "probe/json.h"
#include "status/server.h"
#include "tls/tls.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
    "mtls-agent accepts plaintext on loopback and opens verified mutual TLS to backends.\n"
    "\n"
    "  mtls-agent run    [-c FILE] [--overlap]\n"
    "                                        run in the foreground\n"
    "  mtls-agent check  [-c FILE] [--dump]  read everything, open nothing, judge it\n"
    "  mtls-agent probe  [-c FILE] [SERVICE]...\n"
    "                                        try the services, say whose fault it is\n"
    "  mtls-agent status [-c FILE] [--watch] [SERVICE]...\n"
    "                                        ask the running agent how they are\n"
    "  mtls-agent reload [-c FILE]           have it read its configuration anew\n"
    "  mtls-agent --version | --help\n"
    "\n"
    "FILE is " CLI_DEFAULT_FILE " unless given.\n"
    "Exit status: 0 good, 1 a fault was found, 2 wrong usage or configuration.\n"
    "More in mtls-agent(8) and mtls-agent.conf(5).\n";

static const char usage[] = "usage: mtls-agent run|check|probe|status|reload [-c FILE]\n"
                            "       mtls-agent --version | --help\n";

static int print_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    fputs(help, stdout);
    return CLI_GOOD;
}

static int print_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("mtls-agent " PACKAGE_VERSION "\n");
    printf("GnuTLS %s, libuv %s, c-ares %s, %s, jansson %s, libmicrohttpd %s\n",
           tls_library_version(), control_library_version(), resolver_library_version(),
           http_library_version(), json_library_version(), server_library_version());
    return CLI_GOOD;
}

static const struct subcommand {
    const char *name;
    int (*run)(int argc, char **argv);
} subcommands[] = {
    {"run", cli_run},           {"check", cli_check},
    {"probe", cli_probe},       {"status", cli_status},
    {"reload", cli_reload},     {"help", print_help},
    {"--help", print_help},     {"-h", print_help},
    {"version", print_version}, {"--version", print_version},
    {"-V", print_version},
};

#define N_SUBCOMMANDS (sizeof(subcommands) / sizeof(subcommands[0]))

static int refuse(const char *name)
{
    struct suggest suggest = suggest_begin(name);
    for (size_t i = 0; i < N_SUBCOMMANDS; i++) {
        suggest_offer(&suggest, subcommands[i].name);
    }
    fprintf(stderr, "mtls-agent: there is no subcommand '%s'", name);
    if (suggest.nearest != NULL) {
        fprintf(stderr, "; did you mean '%s'?", suggest.nearest);
    }
    fprintf(stderr, "\n%s", usage);
    return CLI_USAGE;
}

/* Whatever is opened later must not become one of the three by accident. */
static void open_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0) {
            _exit(CLI_FAULT);
        }
    }
}

static void prepare_process(void)
{
    open_standard_streams();
    umask(0077);
    /* GnuTLS would write every session's keys to the file that this names. */
    unsetenv("SSLKEYLOGFILE");
}

int cli_main(int argc, char **argv)
{
    prepare_process();
    if (argc < 2) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    for (size_t i = 0; i < N_SUBCOMMANDS; i++) {
        if (strcmp(argv[1], subcommands[i].name) == 0) {
            return subcommands[i].run(argc - 1, argv + 1);
        }
    }
    return refuse(argv[1]);
}
