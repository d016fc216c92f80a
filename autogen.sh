#!/bin/sh
# Makes ./configure.
set -eu
cd "$(dirname "$0")"

needs() {
    command -v "$1" >/dev/null || {
        echo "autogen.sh: $1 is missing; install $2 (Debian, Ubuntu) or $3 (Fedora)" >&2
        exit 1
    }
}

needs autoreconf autoconf autoconf
needs automake automake automake
needs pkg-config pkg-config pkgconf-pkg-config
exec autoreconf --install --force
