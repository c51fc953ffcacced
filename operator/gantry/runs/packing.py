"""Packs the JSON of a receipt into fewer letters, for a pod of so many containers that its plain words do not fit.

What cannot be shortened by zlib, because it is as good as random (UIDs by UUID, Orthanc's ids, checksums), is first written in base 85 instead of
digits: 105 letters a result instead of 315. Pure; what is packed once must be readable for ever, so another form needs another mark.
"""

import base64
import re
import zlib

MARK = "z1:"
"""Before what is packed."""
WORDS = (
    b'{"failure":{"reason":"","message":"","step":"","exitCode":},"alternatives":[],"results":[{"kind":"SEG","sopClassUID":"1.2.840.10008.5.1.4.1.1.66.4",'
    b'{"kind":"SR","sopClassUID":"1.2.840.10008.5.1.4.1.1.88.34","sopInstanceUID":"\x01","seriesInstanceUID":"\x01","orthancID":"\x02","md5":"\x03","bytes":},'
    b'"steps":[{"name":"detect","startTime":"2026-","seconds":,"code":0,"maxRSSBytes":}],"findings":{"present":,"absent":0},"warnings":[],"seconds":0.'
)
"""What is in most receipts (zlib's dictionary)."""
MOST = 1 << 20
"""Bytes of JSON; a full receipt has 10,000."""
LONG = re.compile(
    r'"(?:2\.25\.(?P<uid>[1-9][0-9]{19,38})|(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{8}){4})|(?P<md5>[0-9a-f]{32}))"'
)
"""Strings that are shortened. In JSON a control character is always escaped, so the three marks below mean nothing else."""
SHORT = re.compile(r'"(?P<mark>[\x01\x02\x03])(?P<text>[^"]+)"')


class Unreadable(ValueError):
    """It was cut, or is not what this version packs."""


def pack(text: str) -> str:
    """In ASCII."""
    packer = zlib.compressobj(level=9, zdict=WORDS)
    return MARK + base64.b85encode(packer.compress(LONG.sub(_shortened, text).encode()) + packer.flush()).decode()


def unpack(text: str) -> str:
    """What is not packed comes back as it is. Raises Unreadable."""
    if not text.startswith(MARK):
        return text
    unpacker = zlib.decompressobj(zdict=WORDS)
    try:
        found = unpacker.decompress(base64.b85decode(text.removeprefix(MARK)), MOST).decode()
        if not unpacker.eof:
            raise Unreadable("it is cut")
        return SHORT.sub(_lengthened, found)
    except (ValueError, zlib.error) as error:
        raise Unreadable(str(error)) from error


def _shortened(found: re.Match[str]) -> str:
    if found["uid"]:
        number = int(found["uid"])
        return f'"\x01{_letters(number.to_bytes(16))}"' if number < 1 << 128 else found[0]
    if found["id"]:
        return f'"\x02{_letters(bytes.fromhex(found["id"].replace("-", "")))}"'
    return f'"\x03{_letters(bytes.fromhex(found["md5"]))}"'


def _lengthened(found: re.Match[str]) -> str:
    value = base64.b85decode(found["text"])
    if found["mark"] == "\x01":
        return f'"2.25.{int.from_bytes(value)}"'
    text = value.hex()
    return f'"{text}"' if found["mark"] == "\x03" else '"' + "-".join(text[start : start + 8] for start in range(0, 40, 8)) + '"'


def _letters(value: bytes) -> str:
    return base64.b85encode(value).decode()
