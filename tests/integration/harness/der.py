"""Just enough DER (X.690) to write certificates that no library agrees to make."""

from datetime import timezone


def tlv(tag, *parts):
    """One value: its tag, its length, and `parts` joined."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + body


def boolean(value):
    return tlv(0x01, b"\xff" if value else b"\x00")


def integer(value):
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def bit_string(body):
    return tlv(0x03, b"\x00", body)


def octets(body):
    return tlv(0x04, body)


def null():
    return tlv(0x05)


def oid(dotted):
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return tlv(0x06, *(_base128(arc) for arc in [40 * first + second, *rest]))


def _base128(number):
    septets = [number & 0x7F]
    while number := number >> 7:
        septets.append(0x80 | number & 0x7F)
    return bytes(reversed(septets))


def sequence(*parts):
    return tlv(0x30, *parts)


def context(number, *parts, constructed=True):
    """[number], constructed for EXPLICIT and for IMPLICIT sequences, else IMPLICIT primitive."""
    return tlv((0xA0 if constructed else 0x80) | number, *parts)


def time(moment):
    """UTCTime up to 2049, GeneralizedTime from 2050 on (RFC 5280 section 4.1.2.5)."""
    moment = moment.astimezone(timezone.utc)
    if moment.year < 2050:
        return tlv(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())
    return tlv(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode())
