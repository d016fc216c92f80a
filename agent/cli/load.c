#include "cli/load.h"

#include "base/problems.h"
#include "cli/cli.h"

#include <stdio.h>

struct snapshot *load_snapshot(const char *name, const char *file, int *ret_status)
{
    struct config *config = NULL;
    struct problems *problems = problems_new();
    if (problems == NULL) {
        fprintf(stderr, "mtls-agent %s: out of memory\n", name);
        *ret_status = CLI_FAULT;
        return NULL;
    }
    struct snapshot *snapshot = snapshot_load(file, NULL, NULL, problems, &config);
    problems_print(problems, stderr, "", "");
    problems_free(problems);
    if (snapshot == NULL) {
        config_free(config); /* the places of the problems point into it */
        *ret_status = CLI_USAGE;
    }
    return snapshot;
}
