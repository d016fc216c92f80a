#include "config/value_crl.h"

#include "base/cleanup.h"
#include "base/parse.h"
#include "config/path.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Where state is kept when systemd names no directory for it. */
#define STATE "/var/lib/mtls-agent"

#define FILE_NAME_MAX 200

static const char out_of_memory[] = "out of memory; free some";

/* What a URL has besides letters and digits: RFC 3986 section 2. The comma ends the value. */
static const char url_marks[] = "-._~:/?[]@!$&'()*+;=%";

/* The length of "SCHEME://" at the beginning (RFC 3986 section 3.1); 0 when there is none. */
static size_t scheme_len(const char *text)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-.";
    size_t len = strspn(text, alphabet);
    return len > 0 && strncmp(text + len, "://", 3) == 0 ? len + 3 : 0;
}

/* What is wrong with the scheme, or NULL. */
static const char *scheme_fault(const char *url)
{
    if (strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0) {
        return NULL;
    }
    if (strncasecmp(url, "ldap", 4) == 0) {
        return "nothing is downloaded by LDAP; write the CRL's http:// URL, or a file that "
               "something else keeps fresh";
    }
    if (strncasecmp(url, "file:", 5) == 0) {
        return "a file needs no URL; write its path alone";
    }
    return "a CRL is downloaded from http:// or https:// only; write such a URL, or a file";
}

/* What is wrong with HOST or HOST:PORT, of `len` bytes, or NULL. */
static const char *host_fault(const char *host, size_t len)
{
    AUTO_FREE char *whole = NULL, *alone = NULL;
    struct name name;
    uint16_t port;
    const char *why;
    const char *bracket = memrchr(host, ']', len);
    size_t before = bracket != NULL ? (size_t)(bracket - host) : 0;
    bool has_port = memchr(host + before, ':', len - before) != NULL;
    if (len == 0) {
        return "the URL has no host; write one, as in http://crl.example.com/ca.crl";
    }
    if (asprintf(&whole, "%.*s%s", (int)len, host, has_port ? "" : ":80") < 0) {
        whole = NULL;
        return out_of_memory;
    }
    if (parse_host_port(whole, &alone, &port, &why) < 0 || name_from_host(alone, &name, &why) < 0) {
        return why;
    }
    name_release(&name);
    return NULL;
}

/* What is wrong with a character of a URL, or NULL. */
static const char *character_fault(char character)
{
    if (character == '#') {
        return "what follows # is never sent; remove it";
    }
    return isalnum((unsigned char)character) || strchr(url_marks, character) != NULL
               ? NULL
               : "a URL has letters, digits and -._~:/?[]@!$&'()*+;=% only; write another byte as "
                 "%XX, in hexadecimal";
}

/* What is wrong with a URL whose host begins at `host`, or NULL. */
static const char *url_fault(const char *url, const char *host)
{
    const char *why = scheme_fault(url);
    for (const char *at = url; *at != '\0' && why == NULL; at++) {
        why = character_fault(*at);
    }
    return why != NULL ? why : host_fault(host, strcspn(host, "/?"));
}

/* Makes a file's name of a URL: all but letters, digits and -._ becomes %XX, so that no two URLs
 * have one name. Returns its length, `size` and more when it does not fit. */
static size_t name_file(const char *url, char *name, size_t size)
{
    size_t len = 0;
    name[0] = '\0';
    for (; *url != '\0' && len < size; url++) {
        bool is_plain = isalnum((unsigned char)*url) || strchr("-._", *url) != NULL;
        len += (size_t)snprintf(name + len, size - len, is_plain ? "%c" : "%%%02X",
                                (unsigned char)*url);
    }
    return len;
}

/* Makes the path of the file in which the download of a URL is kept. NULL, with a clause, when it
 * can not. */
static char *path_of_download(const char *url, const char **ret_why)
{
    const char *directory = getenv("STATE_DIRECTORY"); /* may list several */
    char name[FILE_NAME_MAX + 1], *path;
    if (directory == NULL || *directory != '/') {
        directory = STATE;
    }
    if (name_file(url, name, sizeof(name)) >= sizeof(name)) {
        *ret_why = "the name of the file in which it is kept would be too long; write a shorter "
                   "URL";
        return NULL;
    }
    if (asprintf(&path, "%.*s/crl/%s", (int)strcspn(directory, ":"), directory, name) < 0) {
        *ret_why = out_of_memory;
        return NULL;
    }
    return path;
}

static int read_url(const struct value *value, const char *host, struct config_crl *crl)
{
    if (memchr(host, '@', strcspn(host, "/?")) != NULL) {
        /* There may be a password in it, so it is not repeated. */
        problems_error(value->problems, value->place,
                       "%s has a URL with a user part, and revocation lists are public; remove "
                       "what ends with @",
                       value->key->name);
        return -1;
    }
    const char *why = url_fault(value->text, host);
    char *path = why == NULL ? path_of_download(value->text, &why) : NULL;
    if (path == NULL) {
        return value_refuse(value, "%s", why);
    }
    crl->url = strdup(value->text);
    if (crl->url == NULL) {
        free(path);
        return value_refuse(value, "%s", out_of_memory);
    }
    crl->path = path;
    return 0;
}

static int read_path(const struct value *value, struct config_crl *crl)
{
    const char *why;
    AUTO_FREE char *path = path_absolute(value->place.file, value->text, &why);
    if (path == NULL) {
        return value_refuse(value, "%s", why);
    }
    if (strchr(path, ',') != NULL) {
        return value_refuse(value, "a comma in the path would end the value; rename its folder");
    }
    crl->path = cleanup_steal(path);
    return 0;
}

static int read_crl(const struct value *value, void *field)
{
    struct config_crl crl = {.place = value->place};
    size_t scheme = scheme_len(value->text);
    int result = scheme > 0 ? read_url(value, value->text + scheme, &crl) : read_path(value, &crl);
    if (result == 0) {
        *(struct config_crl *)field = crl;
    }
    return result;
}

static bool write_crl(const struct schema_key *key, const void *field, char *text, size_t size)
{
    (void)key;
    const struct config_crl *crl = field;
    snprintf(text, size, "%s", crl->url != NULL ? crl->url : crl->path);
    return true;
}

static void release_crl(void *field)
{
    struct config_crl *crl = field;
    free(crl->path);
    free(crl->url);
    *crl = (struct config_crl){0};
}

const struct value_type value_crl = {read_crl, write_crl, release_crl};
