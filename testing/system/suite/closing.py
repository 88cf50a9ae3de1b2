# Appended to the copy of mosquitto's mosq_test.py: what counts as a closed connection.
#
# Before a server closes a connection for an error it should say why, in a DISCONNECT of MQTT 5
# (4.13.1). The hub does; mosquitto of this version does not where its tests wait for the end of the
# connection. So here a DISCONNECT that reports a failure, with the end right behind it, is the end.

_DISCONNECT = 0xE0
_FAILURE = 0x80


def _receive(sock, length):
    data = b""
    while len(data) < length:
        part = sock.recv(length - len(data))
        if not part:
            break
        data += part
    return data


def receive_or_end(sock, length):
    """Returns at most `length` bytes, none at the end of the connection."""
    received = sock.recv(length)
    if received[:1] != bytes([_DISCONNECT]):
        return received
    received += _receive(sock, 2 - len(received))
    reason = _receive(sock, received[1])
    says_why = reason and reason[0] >= _FAILURE
    return b"" if says_why and not sock.recv(1) else received + reason


_expect_exactly = expect_packet


def expect_packet(sock, name, expected):
    if len(expected) > 0:
        return _expect_exactly(sock, name, expected)
    if packet_matches(name, receive_or_end(sock, 1), expected):
        return True
    raise TestError
