"""Makes a zip that a hub must refuse: make_archive.py KIND FILE."""

import stat
import struct
import sys
import zipfile
import zlib

HANDLER = "def handler(event, context):\n    return event\n"


def traversal(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("app.py", HANDLER)
        archive.writestr("../../outside.py", HANDLER)


def link(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("app.py", HANDLER)
        entry = zipfile.ZipInfo("passwords")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")


def zeros(path):
    """Ten gigabytes of zeros in ten megabytes, with a header that promises a thousand bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(64 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    data = block * 160 + zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    name = b"app.py"
    common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(data), 1000, len(name), 0)
    local = b"PK\x03\x04" + common + name
    central = b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    at = len(local) + len(data)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), at, 0)
    with open(path, "wb") as file:
        file.write(local + data + central + end)


globals()[sys.argv[1]](sys.argv[2])
