#!/bin/sh
# Makes the certificates of the document's appendix in the current directory, by its own commands.
#
# What comes of them: the root is of version 3 and a CA. Server and client get no extensions and are
# of version 1 (with OpenSSL 3.5, of version 3 with key identifiers). Either way the server's name is
# in its CN alone, which modern clients refuse.
set -eu

openssl genrsa -out ca.key 2048
openssl req -new -x509 -key ca.key -out ca.crt -days 3650 \
    -subj "/C=CN/O=Test/CN=RootCA"

openssl genrsa -out server.key 2048
openssl req -new -key server.key -out server.csr \
    -subj "/C=CN/O=Test/CN=api.example.com"
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key \
    -CAcreateserial -out server.crt -days 3650

openssl genrsa -out client.key 2048
openssl req -new -key client.key -out client.csr \
    -subj "/C=CN/O=Test/CN=Gateway"
openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key \
    -CAcreateserial -out client.crt -days 3650
