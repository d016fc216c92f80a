#include "probe/progress.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_UNKNOWN 80
#define LINE_MAX      512 /* bytes, and columns: names of services are ASCII */

#define MARK       " …" /* there is more */
#define MARK_WIDTH 2

#define ERASE "\r\033[K"

static bool can_erase(FILE *out)
{
    const char *term = getenv("TERM");
    return isatty(fileno(out)) && term != NULL && strcmp(term, "dumb") != 0;
}

/* Columns that can be used. The last one is left free: to write there wraps on some terminals. */
static size_t usable_width(FILE *out)
{
    struct winsize size;
    size_t width = WIDTH_UNKNOWN;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        width = size.ws_col;
    }
    return width < LINE_MAX ? width - 1 : LINE_MAX - 1;
}

/* Appends who is waited for, as far as that fits. Returns false when something does not. */
static bool append_waiting(char line[static LINE_MAX], size_t width, const struct report *report,
                           const bool *is_done)
{
    const char *separator = "; waiting for ";
    size_t len = strlen(line);
    for (size_t i = 0; i < report->n_services; i++) {
        const char *name = report->services[i].service->name;
        size_t more = strlen(separator) + strlen(name);
        if (is_done[i]) {
            continue;
        }
        if (len + more + MARK_WIDTH > width) {
            return false;
        }
        snprintf(line + len, LINE_MAX - len, "%s%s", separator, name);
        len += more;
        separator = ", ";
    }
    return len <= width;
}

static void draw(const struct progress *progress, const bool *is_done)
{
    const struct report *report = progress->report;
    char line[LINE_MAX];
    size_t n_done = 0, width = usable_width(progress->out);
    for (size_t i = 0; i < report->n_services; i++) {
        n_done += is_done[i];
    }
    snprintf(line, sizeof(line), "probing: %zu of %zu service%s done", n_done, report->n_services,
             report->n_services == 1 ? "" : "s");
    if (append_waiting(line, width, report, is_done)) {
        fprintf(progress->out, ERASE "%s", line);
    } else if (width > MARK_WIDTH) {
        fprintf(progress->out, ERASE "%.*s" MARK, (int)(width - MARK_WIDTH), line);
    }
    fflush(progress->out);
}

void progress_begin(struct progress *progress, const struct report *report, FILE *out)
{
    *progress = (struct progress){
        .report = report,
        .out = can_erase(out) ? out : NULL,
        .due_ms = clock_ms() + PROGRESS_INTERVAL_MS,
    };
}

void progress_step(struct progress *progress, const bool *is_done)
{
    uint64_t now = clock_ms();
    if (progress->out == NULL || now < progress->due_ms) {
        return;
    }
    draw(progress, is_done);
    progress->is_drawn = true;
    progress->due_ms = now + PROGRESS_INTERVAL_MS;
}

void progress_end(struct progress *progress)
{
    if (progress->is_drawn) {
        fputs(ERASE, progress->out);
        fflush(progress->out);
        progress->is_drawn = false;
    }
}
