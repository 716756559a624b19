"""PNG files written with nothing but zlib, for pictures that need no library to be drawn."""

from __future__ import annotations

import struct
import zlib

from dlcli.core.arena import Array

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = {1: 0, 3: 2}
"""PNG's number for grey and for red, green and blue, by the channels."""


def encode(pixels: Array) -> bytes:
    """The file of an image (height, width, channels) of uint8, with 1 channel or 3.

    Source: Portable Network Graphics Specification, second edition, https://www.w3.org/TR/2003/REC-PNG-20031110/
    """
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, COLOURS[channels], 0, 0, 0)
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)  # a zero before each line: its bytes are not filtered
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines, 9)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    """Length, kind, content, and the checksum of the last two."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
