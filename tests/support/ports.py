"""Ports that nobody listens on, for tests that start servers on loopback."""
import socket


def free_ports(count):
    """So many of them, all different; free when asked for, which is all that can be said."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
