/* Preloaded into the agent: writes a line for each signature that GnuTLS is about to make to the
 * file $SIGNATURES: "rsa2048" or "ecdsa", and the name of the thread. While $GATE is a FIFO, an RSA
 * signature takes a byte of it first, and waits for one. All that but in the main thread. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Of libhogweed's functions: the keys, the source of randomness and numbers are pointers. */
typedef int rsa_pss_sign(const void *public, const void *private, void *random_ctx, void *random,
                         size_t salt_len, const void *salt, const void *digest, void *signature);
typedef int rsa_pkcs1_sign(const void *public, const void *private, void *random_ctx, void *random,
                           size_t len, const void *info, void *signature);
typedef void ecdsa_sign(const void *private, void *random_ctx, void *random, size_t len,
                        const void *digest, void *signature);

rsa_pss_sign nettle_rsa_pss_sha256_sign_digest_tr, nettle_rsa_pss_sha384_sign_digest_tr,
    nettle_rsa_pss_sha512_sign_digest_tr;
rsa_pkcs1_sign nettle_rsa_pkcs1_sign_tr;
ecdsa_sign nettle_ecdsa_sign;

/* The main thread signs to see whether a key is any good. */
static bool is_of_interest(void)
{
    return gettid() != getpid();
}

/* What the test has set. */
static const char *path_of(const char *variable)
{
    const char *path = getenv(variable);
    return path != NULL ? path : "/dev/null";
}

static void note(const char *kind, size_t bits)
{
    char thread[16] = "", size[24] = "", line[64];
    pthread_getname_np(pthread_self(), thread, sizeof(thread));
    if (bits > 0) {
        snprintf(size, sizeof(size), "%zu", bits);
    }
    int len = snprintf(line, sizeof(line), "%s%s %s\n", kind, size, thread);
    int fd = open(path_of("SIGNATURES"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, line, (size_t)len) != len) {
        abort();
    }
    close(fd);
}

static void pass_gate(void)
{
    int fd = open(path_of("GATE"), O_RDONLY | O_CLOEXEC);
    char token;
    while (fd >= 0 && read(fd, &token, 1) < 0 && errno == EINTR) {
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* libhogweed's struct rsa_public_key begins with the size in bytes. */
static void before_rsa(const void *public)
{
    const size_t *size = public;
    if (is_of_interest()) {
        note("rsa", *size * 8);
        pass_gate();
    }
}

static void *real(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (function == NULL) {
        abort();
    }
    return function;
}

static int sign_pss(const char *name, const void *public, const void *private, void *random_ctx,
                    void *random, size_t salt_len, const void *salt, const void *digest,
                    void *signature)
{
    rsa_pss_sign *sign = (rsa_pss_sign *)real(name);
    before_rsa(public);
    return sign(public, private, random_ctx, random, salt_len, salt, digest, signature);
}

int nettle_rsa_pss_sha256_sign_digest_tr(const void *public, const void *private, void *random_ctx,
                                         void *random, size_t salt_len, const void *salt,
                                         const void *digest, void *signature)
{
    return sign_pss(__func__, public, private, random_ctx, random, salt_len, salt, digest,
                    signature);
}

int nettle_rsa_pss_sha384_sign_digest_tr(const void *public, const void *private, void *random_ctx,
                                         void *random, size_t salt_len, const void *salt,
                                         const void *digest, void *signature)
{
    return sign_pss(__func__, public, private, random_ctx, random, salt_len, salt, digest,
                    signature);
}

int nettle_rsa_pss_sha512_sign_digest_tr(const void *public, const void *private, void *random_ctx,
                                         void *random, size_t salt_len, const void *salt,
                                         const void *digest, void *signature)
{
    return sign_pss(__func__, public, private, random_ctx, random, salt_len, salt, digest,
                    signature);
}

int nettle_rsa_pkcs1_sign_tr(const void *public, const void *private, void *random_ctx,
                             void *random, size_t len, const void *info, void *signature)
{
    rsa_pkcs1_sign *sign = (rsa_pkcs1_sign *)real(__func__);
    before_rsa(public);
    return sign(public, private, random_ctx, random, len, info, signature);
}

void nettle_ecdsa_sign(const void *private, void *random_ctx, void *random, size_t len,
                       const void *digest, void *signature)
{
    ecdsa_sign *sign = (ecdsa_sign *)real(__func__);
    if (is_of_interest()) {
        note("ecdsa", 0);
    }
    sign(private, random_ctx, random, len, digest, signature);
}
