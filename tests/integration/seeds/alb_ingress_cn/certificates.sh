#!/bin/sh
# Makes the CA of the listener and the client's certificate in the current directory, by the document's
# own commands, with its answers to openssl's questions.
set -eu

openssl genrsa -out ca.key 4096
openssl req -new -out ca.csr -key ca.key \
    -subj "/C=cn/ST=bj/L=bj/O=alibaba/OU=test/CN=root/emailAddress=a.alibaba.com"
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
    -subj "/C=cn/ST=bj/L=bj/O=alibaba/OU=test/CN=client/emailAddress=a.alibaba.com"
openssl x509 -req -in client.csr -out client.crt -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650

# The document has the server's certificate bought and uploaded. Here the same CA issues it.
openssl genrsa -out server.key 2048
openssl req -new -out server.csr -key server.key -subj "/C=cn/ST=bj/O=alibaba/CN=alb.ingress.alibaba.com"
echo "subjectAltName = DNS:alb.ingress.alibaba.com" > server.ext
openssl x509 -req -in server.csr -out server.crt -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 \
    -extfile server.ext
