#include "cli/watch.h"

#include "base/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define INTERVAL_S 2

/* The second screen of the terminal, without a cursor; and back. */
#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"

#define HOME       "\033[H"
#define ERASE_LINE "\033[K"
#define ERASE_REST "\033[J"

/* How the terminal was, for the handlers of signals. */
static struct {
    bool has_input; /* stdin is a terminal */
    struct termios saved;
} terminal;

bool watch_is_possible(void)
{
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && (term == NULL || strcmp(term, "dumb") != 0);
}

/* ---- the terminal; what follows is called by handlers of signals too ---- */

static int write_all(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, text, len);
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        text += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* Keys come at once, and are not shown. */
static void enter(void)
{
    if (terminal.has_input) {
        struct termios quiet = terminal.saved;
        quiet.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
    }
    write_all(ENTER, sizeof(ENTER) - 1);
}

static void leave(void)
{
    if (terminal.has_input) {
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal.saved);
    }
    write_all(LEAVE, sizeof(LEAVE) - 1);
}

static void on_end(int sig)
{
    leave();
    signal(sig, SIG_DFL);
    raise(sig);
}

static void on_stop(int sig)
{
    int error = errno;
    (void)sig;
    leave();
    raise(SIGSTOP);
    enter();
    errno = error;
}

static void on_resize(int sig)
{
    (void)sig; /* it has ended the waiting */
}

/* Nothing interrupts drawing but the end: the others are let in while waiting. */
static void set_signals(sigset_t *ret_while_waiting)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    sigset_t held;
    struct sigaction action = {.sa_handler = on_end};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        sigaction(ends[i], &action, NULL);
    }
    action.sa_handler = on_stop;
    sigaction(SIGTSTP, &action, NULL);
    action.sa_handler = on_resize;
    sigaction(SIGWINCH, &action, NULL);
    sigemptyset(&held);
    sigaddset(&held, SIGTSTP);
    sigaddset(&held, SIGWINCH);
    sigprocmask(SIG_BLOCK, &held, ret_while_waiting);
}

/* ---- the page ---- */

/* Puts the lines of a text over those on the screen: as many as it has, and no more. */
static int put(const char *text, size_t height)
{
    AUTO_FREE char *page = NULL;
    size_t len;
    FILE *out = open_memstream(&page, &len);
    if (out == NULL) {
        return -1;
    }
    fputs(HOME, out);
    size_t line = 0;
    for (; *text != '\0' && line < height; line++) {
        size_t n = strcspn(text, "\n");
        /* Erased first: behind a full line there is no place for the cursor. */
        fprintf(out, "%s" ERASE_LINE "%.*s", line > 0 ? "\n" : "", (int)n, text);
        text += n + (text[n] == '\n' ? 1 : 0);
    }
    fputs(line < height ? "\n" ERASE_REST : "", out);
    return fclose(out) == 0 ? write_all(page, len) : -1;
}

static int draw_once(watch_draw *draw, void *ctx)
{
    AUTO_FREE char *text = NULL;
    size_t len;
    struct sheet sheet = sheet_of_stdout();
    sheet.out = open_memstream(&text, &len);
    if (sheet.out == NULL) {
        return -1;
    }
    draw(ctx, &sheet);
    return fclose(sheet.out) == 0 ? put(text, sheet.height) : -1;
}

/* Waits for a key, a signal, or the next turn. Returns true when the key is the one that ends. */
static bool wait_for_end(const sigset_t *while_waiting)
{
    static const struct timespec interval = {.tv_sec = INTERVAL_S};
    struct pollfd input = {.fd = terminal.has_input ? STDIN_FILENO : -1, .events = POLLIN};
    char key = '\0';
    if (ppoll(&input, 1, &interval, while_waiting) <= 0) {
        return false;
    }
    return read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 'Q';
}

int watch_run(watch_draw *draw, void *ctx)
{
    sigset_t while_waiting;
    int rc;
    terminal.has_input = tcgetattr(STDIN_FILENO, &terminal.saved) == 0;
    set_signals(&while_waiting);
    enter();
    do {
        rc = draw_once(draw, ctx);
    } while (rc == 0 && !wait_for_end(&while_waiting));
    leave();
    return rc;
}
