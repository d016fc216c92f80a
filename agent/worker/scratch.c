#include "worker/scratch.h"

#include <stdlib.h>

int scratch_init(struct scratch *scratch)
{
    buf_init(&scratch->flight, SCRATCH_CIPHER_MAX);
    scratch->plain = malloc(SCRATCH_PLAIN_MAX);
    scratch->cipher = malloc(SCRATCH_CIPHER_READ);
    return scratch->plain != NULL && scratch->cipher != NULL ? 0 : -1;
}

void scratch_release(struct scratch *scratch)
{
    buf_release(&scratch->flight);
    free(scratch->plain);
    free(scratch->cipher);
    *scratch = (struct scratch){0};
}
