#!/usr/bin/python3
"""A parameter server with two workers over loopback, beside a bare exchange of the same bytes by as many processes:
bytes of pushes that the server takes a second.

  tests/bench/bench_server.py [--build build/release] [--megabytes 4] [--repeat 5] [--iterations 60]

Both take turns. ringnode runs with numerics="skip", so that only messages are left of an iteration; the bare server sends
its parameters to both workers and reads their gradients, with select and non-blocking sockets, as fast as they come, and
begins anew when it has both. Printed are the medians, and the median of the ratios of the same turn. Two free cores are
wanted.
"""
import argparse
import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORKERS = 2
NETWORK = """<network name="square" input="{width}">
  <dense outputs="{width}" bias="no"/>
</network>
"""
SCENARIO = """<scenario name="server" seed="1">
  <platform file="{root}/platforms/pi4-gigabit-64.xml"/>
  <network file="network.xml"/>
  <data kind="random" train="{train}" test="0" inputs="{width}" classes="{width}"/>
  <training batch="2" iterations="{iterations}" learning-rate="0.1" numerics="skip"/>
  <strategy label="server" kind="parameter_server" nodes="{nodes}"/>
</scenario>
"""


def receive_some(link, view):
    """What of it is still to come."""
    count = link.recv_into(view)
    if count == 0:
        raise ConnectionError("the other side has ended")
    return view[count:]


def receive(link, view):
    while view:
        view = receive_some(link, view)


def work(port, size, iterations):
    """Parameters in, a gradient out."""
    room = bytearray(size)
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(iterations):
            receive(link, memoryview(room))
            link.sendall(room)


def serve(links, size, iterations):
    """Seconds of an iteration."""
    out, room = memoryview(bytearray(size)), {link: bytearray(size) for link in links}
    begin = time.monotonic()
    for _ in range(iterations):
        with selectors.DefaultSelector() as waiting:
            left = {link: [out, memoryview(room[link])] for link in links}
            for link in links:
                waiting.register(link, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while waiting.get_map():
                for key, events in waiting.select():
                    link, (to_send, to_come) = key.fileobj, left[key.fileobj]
                    if events & selectors.EVENT_WRITE and to_send:
                        to_send = to_send[link.send(to_send):]
                        if not to_send:
                            waiting.modify(link, selectors.EVENT_READ)
                    if events & selectors.EVENT_READ and to_come:
                        to_come = receive_some(link, to_come)
                    left[link] = [to_send, to_come]
                    if not to_send and not to_come:
                        waiting.unregister(link)
    return (time.monotonic() - begin) / iterations


def bare(size, iterations):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        children = []
        for _ in range(WORKERS):
            child = os.fork()
            if child == 0:
                try:
                    work(listener.getsockname()[1], size, iterations)
                finally:
                    os._exit(0)
            children.append(child)
        links = [listener.accept()[0] for _ in range(WORKERS)]
    for link in links:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.setblocking(False)
    seconds = serve(links, size, iterations)
    for link in links:
        link.close()
    for child in children:
        os.waitpid(child, 0)
    return seconds


def server(build, folder):
    result = os.path.join(folder, "result.json")
    subprocess.run([os.path.join(build, "ringnode"), os.path.join(folder, "scenario.xml"), "--local", "--quiet",
                    "--json", result], check=True)
    with open(result, encoding="utf-8") as stream:
        return json.load(stream)["runs"][0]["iteration_s"]["mean"]


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    p.add_argument("--megabytes", type=float, default=4)
    p.add_argument("--repeat", type=int, default=5)
    p.add_argument("--iterations", type=int, default=60)
    a = p.parse_args()
    width = round((1e6 * a.megabytes / 4) ** 0.5)
    size = 4 * width * width
    rates, ratios = {"bare": [], "server": []}, []
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("network.xml", NETWORK), ("scenario.xml", SCENARIO)):
            with open(os.path.join(folder, name), "w", encoding="ascii") as stream:
                stream.write(text.format(root=ROOT, width=width, train=2 * a.iterations, iterations=a.iterations,
                                         nodes=1 + WORKERS))
        for _ in range(a.repeat):
            for name, seconds in (("bare", bare(size, a.iterations)), ("server", server(a.build, folder))):
                rates[name].append(WORKERS * size / seconds)
            ratios.append(rates["server"][-1] / rates["bare"][-1])
    for name, values in rates.items():
        print(f"{name:8}{statistics.median(values) / 1e6:8.0f} MB/s of pushes")
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f} in {a.repeat} turns), "
          f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    sys.exit(main())
