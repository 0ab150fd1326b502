"""The least that a server with TLS can do, to compare with: accepts, shakes hands, closes.

python benchmarks/peers/tls_accept.py PORT PEM
"""

import socket
import ssl
import sys

TIMEOUT_S = 5.0

context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[2])
with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024) as listener:
    while True:
        connection, _ = listener.accept()
        connection.settimeout(TIMEOUT_S)
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()
