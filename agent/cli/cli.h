/* What a person types. Each subcommand gets its own arguments, argv[0] being its name, and returns
 * the exit status. */
#pragma once

enum { CLI_GOOD = 0, CLI_FAULT = 1, CLI_USAGE = 2 };

#define CLI_DEFAULT_FILE SYSCONFDIR "/mtls-agent/mtls-agent.conf"

/* Finds the subcommand in `argv` and runs it. */
int cli_main(int argc, char **argv);

int cli_run(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_probe(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_reload(int argc, char **argv);
