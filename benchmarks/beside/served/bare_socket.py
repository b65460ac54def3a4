"""What the machine can do: a blocking socket that sends back what comes, one client at a time: ``bare_socket.py PORT``.

It knows of HTTP where a body begins and how long it is, and of the protocol nothing but the head of its own reply.
"""

import re
import socket
import sys

REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n"


def serve(client: socket.socket) -> None:
    while head := head_of(client):
        begun, _, more = head.partition(b"\r\n\r\n")
        fields = dict(re.findall(rb"\r\n([^:]+): *([^\r]*)", begun.lower()))
        size, text = int(fields.get(b"content-length", 0)), int(fields.get(b"inference-header-content-length", 0))
        body = memoryview(bytearray(size))
        body[: len(more)] = more
        have = len(more)
        while have < size:
            have += client.recv_into(body[have:])
        answer = b'{"model_name":"echo","outputs":[{"name":"y","datatype":"FP32","shape":[%d],"parameters":' % (
            (size - text) // 4
        )
        answer += b'{"binary_data_size":%d}}]}' % (size - text)
        told = b"inference-header-content-length: %d\r\ncontent-length: %d\r\n\r\n"
        client.sendall(REPLY + told % (len(answer), len(answer) + size - text) + answer)
        client.sendall(body[text:])


def head_of(client: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        if not (more := client.recv(65536)):
            return b""
        head += more
    return head


with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            serve(connection)
