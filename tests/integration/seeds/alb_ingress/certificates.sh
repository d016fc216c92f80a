#!/bin/sh
# Makes the CA of caEnabled and the client's certificate in the current directory, by the document's
# own commands, with its answers to openssl's questions.
set -eu

openssl genrsa -out ca.key 4096
openssl req -new -out ca.csr -key ca.key \
    -subj "/C=cn/ST=bj/L=bj/O=alibaba/OU=test/CN=root/emailAddress=example@ali"
openssl x509 -req -in ca.csr -out ca.crt -signkey ca.key -CAcreateserial -days 3650

# That CA is of version 1, which knows no CA flag, and is one for being self-signed and trusted. A
# newer OpenSSL (3.5) makes version 3 without the flag, which OpenSSL then refuses as an issuer; there
# another command makes what the document's readers have got.
if ! openssl x509 -in ca.crt -noout -text | grep -q 'Version: 1 '; then
    openssl req -x509v1 -config /dev/null -in ca.csr -key ca.key -out ca.crt -days 3650
fi

# The document signs with "-signkey client.key" besides "-CA ca.crt", which OpenSSL 3 refuses:
# "Cannot use both -key/-signkey and -CA option". OpenSSL 1.1 let -CA win; so without -signkey.
openssl genrsa -out client.key 4096
openssl req -new -out client.csr -key client.key \
    -subj "/C=cn/ST=bj/L=bj/O=alibaba/OU=test/CN=client/emailAddress=example@ali"
openssl x509 -req -in client.csr -out client.crt -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650
