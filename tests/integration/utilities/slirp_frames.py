"""Ethernet frames by hand: a guest of slirp4netns that need not be an honest TCP."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

FIN, SYN, PSH, ACK, URG = 0x01, 0x02, 0x08, 0x10, 0x20

GATEWAY_MAC = b"\x52\x55\x0a\x00\x02\x02"
"""libslirp's own address: 52:55 and the gateway's IPv4 address."""

GUEST_MAC = b"\x52\x54\x00\x12\x34\x56"
GUEST, GATEWAY = socket.inet_aton("10.0.2.100"), socket.inet_aton("10.0.2.2")


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def arp_answer() -> bytes:
    """The frame that tells libslirp where the guest is (RFC 826)."""
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2)
    return GATEWAY_MAC + GUEST_MAC + b"\x08\x06" + body + GUEST_MAC + GUEST + GATEWAY_MAC + GATEWAY


@dataclass
class Connection:
    """One TCP connection from the guest to `port` of the gateway, that is of the host's loopback.

    `tap` carries one Ethernet frame in each message.
    """

    tap: socket.socket
    port: int
    sequence: int = 1000
    acknowledged: int = 0

    def send(self, flags: int, data: bytes = b"", urgent: int = 0) -> None:
        """Send one segment; `urgent` is its urgent pointer (RFC 9293)."""
        numbers = (40000, self.port, self.sequence, self.acknowledged)
        head = struct.pack("!HHLLBBH", *numbers, 5 << 4, flags, 65535)
        pseudo = GUEST + GATEWAY + struct.pack("!BBH", 0, 6, len(head) + 4 + len(data))
        pointer = struct.pack("!H", urgent)
        total = checksum(pseudo + head + b"\0\0" + pointer + data)
        segment = head + struct.pack("!H", total) + pointer + data
        self.tap.send(GATEWAY_MAC + GUEST_MAC + b"\x08\x00" + _ip(len(segment)) + segment)
        self.sequence += len(data) + bool(flags & (SYN | FIN))

    def connect(self) -> None:
        """Shake hands."""
        self.tap.send(arp_answer())
        self.send(SYN)
        frame = self._segment()
        sequence, flags = struct.unpack("!L", frame[38:42])[0], frame[47]
        assert flags & (SYN | ACK) == SYN | ACK, f"flags {flags:#x} instead of SYN and ACK"
        self.acknowledged = sequence + 1
        self.send(ACK)

    def _segment(self) -> bytes:
        """The next frame that is TCP to the guest; ARP is answered on the way."""
        while True:
            frame = self.tap.recv(65536)
            if frame[12:14] == b"\x08\x06":
                self.tap.send(arp_answer())
            elif frame[12:14] == b"\x08\x00" and frame[23] == 6:
                return frame


def _ip(size: int) -> bytes:
    """An IPv4 header for a TCP segment of `size` bytes (RFC 791)."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, 1, 0, 64, 6, 0) + GUEST + GATEWAY
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:]
