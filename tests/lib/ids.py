"""Ids as submitters make them."""
import time
import uuid


def uuid7(at_ms=None):
    """A fresh UUIDv7, of now or of a given millisecond."""
    ms = int(time.time() * 1000) if at_ms is None else int(at_ms)
    b = bytearray(ms.to_bytes(6, "big") + uuid.uuid4().bytes[6:])
    b[6] = 0x70 | (b[6] & 15)
    b[8] = 0x80 | (b[8] & 0x3F)
    return str(uuid.UUID(bytes=bytes(b)))
