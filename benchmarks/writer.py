"""Writes messages to any number of channels as fast as a server takes them, and prints what each cost the server.

    python benchmarks/writer.py PORT PID --channels 10000 --messages 50000

`wukong-trio bench` checks more, but writes to few channels.
"""

import argparse
import select
import socket
import time
from pathlib import Path

from wukong_trio.bench.frames import TEXT, Masker

SENDERS = 50
IN_FLIGHT = 32
TIMEOUT_S = 120.0
_TICKS_PER_S = 100
_SENT = b'"reasonCode":1'
_UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Sender:
    """One connection that keeps IN_FLIGHT sends under way."""

    def __init__(self, port: int, number: int, channels: int, senders: int) -> None:
        self.answered = 0
        self._number = number
        self._channels = channels
        self._senders = senders
        self._made = 0
        # A number that was used before would be recognised as a repetition, which costs next to nothing.
        self._run = time.time_ns()
        self._tail = b""
        self._masker = Masker(TEXT)
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(_UPGRADE)
        self._receive_until(b"\r\n\r\n")
        connect = b'{"id":"c","method":"connect","params":{"uid":"sender%d","token":"t"}}' % number
        self.sock.sendall(self._masker.frame(connect))
        self._receive_until(_SENT)

    def _receive_until(self, mark: bytes) -> None:
        received = b""
        while mark not in received:
            received += self._receive()

    def _receive(self) -> bytes:
        data = self.sock.recv(65536)
        if not data:
            raise SystemExit("the server closed a connection")
        return data

    def send(self, count: int) -> None:
        """Sends to the next channels, offline users all of them."""
        frames = []
        for _ in range(count):
            self._made += 1
            peer = (self._number + self._made * self._senders) % self._channels
            frames.append(
                self._masker.frame(
                    b'{"id":"%d","method":"send","params":{"clientMsgNo":"%d-%d","channelId":"p%d","channelType":1,'
                    b'"payload":"eyJ0eXBlIjoxfQ=="}}' % (self._made, self._run, self._made, peer)
                )
            )
        self.sock.sendall(b"".join(frames))

    def receive(self) -> int:
        """Counts the answers that have come."""
        data = self._tail + self._receive()
        if b'"error"' in data:
            raise SystemExit(f"a send was refused: {data[:300].decode(errors='replace')}")
        found = data.count(_SENT)
        self._tail = data[-len(_SENT) + 1 :]
        self.answered += found
        return found


def cpu_s(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def write(port: int, channels: int, messages: int, count: int = SENDERS) -> None:
    """Sends, and returns when all is answered."""
    senders = {sender.sock.fileno(): sender for sender in (Sender(port, n, channels, count) for n in range(count))}
    ready = select.epoll()
    for number, sender in senders.items():
        ready.register(number, select.EPOLLIN)
        sender.send(IN_FLIGHT)
    made, answered = count * IN_FLIGHT, 0
    while answered < made:
        for number, _ in ready.poll(TIMEOUT_S):
            found = senders[number].receive()
            answered += found
            again = min(found, max(messages - made, 0))
            if again:
                senders[number].send(again)
                made += again


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("pid", type=int)
    parser.add_argument("--channels", type=int, default=100)
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--senders", type=int, default=SENDERS)
    options = parser.parse_args()
    before_s = cpu_s(options.pid)
    write(options.port, options.channels, options.messages, options.senders)
    print(f"{(cpu_s(options.pid) - before_s) / options.messages * 1e6:.2f}")


if __name__ == "__main__":
    main()
