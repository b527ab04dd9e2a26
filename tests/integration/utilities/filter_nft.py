"""Puts rules into nf_tables, as another program would: a table, a chain, empty rules in it.

Run as a program inside of a network: family (2 is IPv4, 10 is IPv6), table, chain, number of rules.
The messages are those of linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import socket
import struct
import sys

NETLINK_NETFILTER = 12
NFTABLES = 10
BATCH_BEGIN, BATCH_END = 0x10, 0x11
NEW_TABLE, NEW_CHAIN, NEW_RULE = (NFTABLES << 8 | number for number in (0, 3, 6))
REQUEST, ACK, CREATE_APPEND = 0x1, 0x4, 0xC00


def attribute(kind: int, text: str) -> bytes:
    data = text.encode() + b"\0"
    return struct.pack("=HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def message(kind: int, flags: int, family: int, resource: int, *attributes: bytes) -> bytes:
    body = struct.pack(">BBH", family, 0, resource) + b"".join(attributes)
    return struct.pack("=IHHII", len(body) + 16, kind, REQUEST | flags, 1, 0) + body


def batch(family: int, table: str, chain: str, rules: int) -> bytes:
    flags = ACK | CREATE_APPEND
    parts = [
        message(BATCH_BEGIN, 0, 0, NFTABLES),
        message(NEW_TABLE, flags, family, 0, attribute(1, table)),
        message(NEW_CHAIN, flags, family, 0, attribute(1, table), attribute(3, chain)),
    ]
    rule = message(NEW_RULE, flags, family, 0, attribute(1, table), attribute(2, chain))
    return b"".join([*parts, *[rule] * rules, message(BATCH_END, 0, 0, NFTABLES)])


def put(family: int, table: str, chain: str, rules: int) -> None:
    """Raises OSError with the kernel's reason where it refuses one."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as kernel:
        kernel.bind((0, 0))
        kernel.send(batch(family, table, chain, rules))
        answered = 0
        while answered < 2 + rules:
            data = kernel.recv(65536)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                (error,) = struct.unpack_from("=i", data, 16)
                if kind != 2 or error:
                    raise OSError(-error, f"the kernel refuses message {answered}")
                answered += 1
                data = data[length + 3 & ~3 :]


if __name__ == "__main__":
    put(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
