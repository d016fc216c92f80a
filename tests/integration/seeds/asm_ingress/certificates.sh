#!/bin/sh
# Makes the CA, and the gateway's and the client's certificates below it, in the current directory,
# by the document's own commands and configuration files. Added are -batch, which takes every
# default as the document says to, and thereby the "y" that `openssl ca` asks for.
#
# The CA gets no -days and is valid for 30 days, the certificates below it for 1000; the seed has it
# so.
set -eu
seed=$(dirname "$0")
export HOME="$PWD" # of RANDFILE
cp "$seed/ca.cnf" "$seed/server.cnf" "$seed/client.cnf" .

openssl req -batch -x509 -config ca.cnf -newkey rsa:4096 -sha256 -nodes -out cacert.pem -outform PEM

openssl req -batch -config server.cnf -newkey rsa:2048 -sha256 -nodes -out server.csr -outform PEM
touch index.txt
echo '01' > serial.txt
openssl ca -batch -config ca.cnf -policy signing_policy -extensions signing_req -out servercert.pem -infiles server.csr

openssl req -batch -config client.cnf -newkey rsa:2048 -sha256 -nodes -out clientcert.csr -outform PEM
openssl ca -batch -config ca.cnf -policy signing_policy -extensions signing_req -out clientcert.pem -infiles clientcert.csr

# Not of the document: a gateway with an identity in the mesh, by the means of client.cnf.
sed '$ a URI.1 = spiffe://test.gateway' server.cnf |
    sed 's/^default_keyfile = .*/default_keyfile = meshkey.pem/' > mesh.cnf
openssl req -batch -config mesh.cnf -newkey rsa:2048 -sha256 -nodes -out mesh.csr -outform PEM
openssl ca -batch -config ca.cnf -policy signing_policy -extensions signing_req -out meshcert.pem -infiles mesh.csr
