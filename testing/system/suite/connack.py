# Appended to the copy of mosquitto's mosq_test.py: how a CONNACK of version 5 is compared.
#
# Every other packet is compared byte for byte, as mosquitto's tests do. In a CONNACK a server says what
# it can do, and two servers that keep the standard differ there: mosquitto has no largest packet and no
# longest session when nothing was configured, the hub always has and says so (3.2.2.3.2, 3.2.2.3.6);
# and the properties of a packet have no order (2.2.2.2). So here the values that both send must be
# equal, none may be missing, and only the properties below may be more.

_CONNACK = 0x20
_SESSION_EXPIRY_INTERVAL = 0x11
_MAXIMUM_QOS = 0x24
_MAXIMUM_PACKET_SIZE = 0x27
_SHARED_SUBSCRIPTION_AVAILABLE = 0x2A
_MAY_BE_MORE = {
    _SESSION_EXPIRY_INTERVAL,
    _MAXIMUM_QOS,
    _MAXIMUM_PACKET_SIZE,
    _SHARED_SUBSCRIPTION_AVAILABLE,
}
# The widths of the values that are numbers; all others of a CONNACK are strings.
_WIDTHS = {
    0x11: 4, 0x13: 2, 0x21: 2, 0x22: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1,
}


def _connack_properties(packet):
    """Returns the properties of a CONNACK of version 5 shorter than 128 bytes, as {id: value}."""
    found, rest = {}, packet[5:]
    while rest:
        width = _WIDTHS.get(rest[0]) or 2 + int.from_bytes(rest[1:3], "big")
        found[rest[0]] = rest[1:1 + width]
        rest = rest[1 + width:]
    return found


def _connack_matches(received, expected):
    ours, theirs = _connack_properties(received), _connack_properties(expected)
    more = set(ours) - set(theirs)
    same = all(ours.get(name) == value for name, value in theirs.items())
    return received[2:4] == expected[2:4] and same and more <= _MAY_BE_MORE


def _receive(sock, length):
    data = b""
    while len(data) < length:
        part = sock.recv(length - len(data))
        if not part:
            break
        data += part
    return data


_expect_exactly = expect_packet


def expect_packet(sock, name, expected):
    if expected[:1] != bytes([_CONNACK]) or len(expected) < 5:
        return _expect_exactly(sock, name, expected)
    head = _receive(sock, 2)
    received = head + (_receive(sock, head[1]) if len(head) == 2 else b"")
    if head[:1] == bytes([_CONNACK]) and _connack_matches(received, expected):
        return True
    packet_matches(name, received, expected)
    raise TestError
