#include "status/exposition.h"

#include <inttypes.h>
#include <stdio.h>

void exposition_family(struct exposition *exposition, const char *name, const char *type,
                       const char *help)
{
    struct writer *out = exposition->out;
    exposition->family = name;
    writer_add(out, "# HELP ");
    writer_add(out, name);
    writer_add(out, " ");
    writer_add(out, help);
    writer_add(out, "\n# TYPE ");
    writer_add(out, name);
    writer_add(out, " ");
    writer_add(out, type);
    writer_add(out, "\n");
}

void exposition_begin(struct exposition *exposition, const char *suffix)
{
    writer_add(exposition->out, exposition->family);
    writer_add(exposition->out, suffix);
    exposition->has_label = false;
}

static const char *escape_label(unsigned char c)
{
    return c == '\\' ? "\\\\" : c == '"' ? "\\\"" : c == '\n' ? "\\n" : NULL;
}

void exposition_label(struct exposition *exposition, const char *key, const char *value)
{
    struct writer *out = exposition->out;
    writer_add(out, exposition->has_label ? "," : "{");
    writer_add(out, key);
    writer_add(out, "=\"");
    writer_untrusted(out, value, escape_label);
    writer_add(out, "\"");
    exposition->has_label = true;
}

static void end_labels(struct exposition *exposition)
{
    writer_add(exposition->out, exposition->has_label ? "} " : " ");
}

void exposition_value(struct exposition *exposition, uint64_t value)
{
    end_labels(exposition);
    writer_number(exposition->out, value);
    writer_add(exposition->out, "\n");
}

void exposition_time(struct exposition *exposition, int64_t seconds)
{
    end_labels(exposition);
    writer_format(exposition->out, "%" PRId64 "\n", seconds);
}

/* Writes microseconds as seconds, without zeros at the end. */
static const char *format_us(uint64_t us, char text[static 32])
{
    int len = snprintf(text, 32, "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
    while (text[len - 1] == '0') {
        len--;
    }
    text[text[len - 1] == '.' ? len - 1 : len] = '\0';
    return text;
}

void exposition_seconds(struct exposition *exposition, uint64_t us)
{
    char text[32];
    end_labels(exposition);
    writer_add(exposition->out, format_us(us, text));
    writer_add(exposition->out, "\n");
}

static void add_bucket(struct exposition *exposition, const char *key, const char *value,
                       const char *bound, uint64_t count)
{
    exposition_begin(exposition, "_bucket");
    exposition_label(exposition, key, value);
    exposition_label(exposition, "le", bound);
    exposition_value(exposition, count);
}

void exposition_histogram(struct exposition *exposition, const char *key, const char *value,
                          const struct histogram *histogram)
{
    uint64_t count = 0;
    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        char bound[32];
        bool is_last = i == HISTOGRAM_BOUNDS;
        count += atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
        add_bucket(exposition, key, value,
                   is_last ? "+Inf" : format_us(histogram_bound_us(i), bound), count);
    }
    exposition_begin(exposition, "_sum");
    exposition_label(exposition, key, value);
    exposition_seconds(exposition, atomic_load_explicit(&histogram->sum_us, memory_order_relaxed));
    exposition_begin(exposition, "_count");
    exposition_label(exposition, key, value);
    exposition_value(exposition, count);
}
