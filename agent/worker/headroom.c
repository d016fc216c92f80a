#include "worker/headroom.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PIECE  ((size_t)4096) /* bytes */
#define PIECES 64
#define AMPLE  ((size_t)8 << 20) /* bytes */

/* After a crowd there may be plenty and no large piece in it. */
static bool is_there_in_pieces(void)
{
    void *volatile pieces[PIECES]; /* or the compiler takes the pairs out */
    size_t n = 0;
    while (n < PIECES && (pieces[n] = malloc(PIECE)) != NULL) {
        n++;
    }
    bool is_enough = n == PIECES;
    while (n > 0) {
        free(pieces[--n]);
    }
    return is_enough;
}

/* One large piece is all but free to try: no page of it is touched. The pieces touch each of
 * theirs, which at the heap's end means to fetch and give back as many from the kernel. */
bool headroom_is_there(void)
{
    void *volatile whole = malloc(PIECES * PIECE);
    bool is_enough = whole != NULL;
    free(whole);
    return is_enough || is_there_in_pieces();
}

/* Asked of the kernel, as malloc() would keep such a piece once it has had it. */
bool headroom_is_ample(void)
{
    void *space = mmap(NULL, AMPLE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (space == MAP_FAILED) {
        return false;
    }
    munmap(space, AMPLE);
    return true;
}
