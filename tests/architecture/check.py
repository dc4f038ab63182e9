#!/usr/bin/env python3
"""Holds the sources against the table of rooms in docs/architecture.md.

    check.py [--source FOLDER] [--build FOLDER]

- A file includes headers of its own room and of the rooms that its row names, and no others.
- No two files have one name.
- No header includes itself by way of others; no module of analysis/ imports itself so.
- With --build: an object file uses symbols of those rooms only, and files that call one another in a
  loop are one module (MODULES), in one room. Objects whose source is gone are passed over.

Prints what is wrong, a line each; exit status 1 if anything is. CTest also runs it on a copy of the
sources into which one of each kind of fault has been put (test_architecture.py)."""

import argparse
import os
import re
import subprocess
import sys

FOLDERS = ("runtime", "models", "sim")

# Files that call one another in a loop and are meant to: a module of several files behind one header.
MODULES = [re.compile(r"runtime/connect/join(_\w+)?\.c")]


def read(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def rooms_of(source):
    """{room: set of rooms it may use} from the table with the heading "| room | ... | may use |"."""
    rooms = {}
    within = False
    for line in read(os.path.join(source, "docs", "architecture.md")).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and cells[0] == "room" and cells[-1] == "may use":
            within = True
        elif within and line.startswith("|"):
            if not set(cells[0]) <= set("-: "):
                names = re.findall(r"`([^`]+)`", cells[0])
                rooms.update({name: set(re.findall(r"`([^`]+)`", cells[-1])) for name in names})
        elif within:
            break
    return rooms


def room_of(path, rooms):
    """The deepest room whose folder holds the file (a path relative to the source), or None."""
    held = [room for room in rooms if path.startswith(room + "/")]
    return max(held, key=len, default=None)


def sources(source):
    for folder in FOLDERS:
        for where, folders, names in os.walk(os.path.join(source, folder)):
            folders.sort()
            for name in sorted(names):
                if name.endswith((".c", ".h", ".def")):
                    yield os.path.relpath(os.path.join(where, name), source)


def included(path, source):
    """Files of the tree that a file includes, as the compiler finds them."""
    for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', read(os.path.join(source, path)), re.M):
        for folder in (os.path.dirname(path), "", "runtime"):
            found = os.path.normpath(os.path.join(folder, name))
            if os.path.exists(os.path.join(source, found)):
                yield found
                break
        else:
            raise SystemExit(f"{path}: {name} is nowhere")


def loops(graph):
    """The strongly connected components of more than one node (Tarjan 1972), or of one with an arrow
    to itself. graph: {node: nodes it points to}."""
    order, low, stack, found = {}, {}, [], []

    def visit(node):
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in order:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == order[node]:
            component = stack[stack.index(node):]
            del stack[stack.index(node):]
            if len(component) > 1 or node in graph.get(node, ()):
                found.append(sorted(component))

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return found


def check_includes(source, rooms):
    graph = {path: set(included(path, source)) for path in sources(source)}
    for path, headers in graph.items():
        room = room_of(path, rooms)
        if room is None:
            yield f"{path}: in no room of docs/architecture.md"
            continue
        for header in sorted(headers):
            other = room_of(header, rooms)
            if other != room and other not in rooms[room]:
                yield f"{path} includes {header}: {room} may not use {other}"
    for loop in loops(graph):
        yield "include one another: " + " ".join(loop)


def check_names(source):
    places = {}
    for path in sources(source):
        places.setdefault(os.path.basename(path), []).append(path)
    for paths in places.values():
        if len(paths) > 1:
            yield "have one name: " + " ".join(paths)


def check_imports(source):
    folder = os.path.join(source, "analysis")
    names = {name[:-3] for name in os.listdir(folder) if name.endswith(".py")}
    graph = {}
    for name in names:
        text = read(os.path.join(folder, name + ".py"))
        graph[name] = names & set(re.findall(r"^\s*(?:import|from)\s+(\w+)", text, re.M))
    for loop in loops(graph):
        yield "import one another: " + " ".join(f"analysis/{name}.py" for name in loop)


def symbols(source, build):
    """(defined, functions, used): {file: global symbols} of the objects of a build, by nm."""
    defined, functions, used = {}, {}, {}
    for folder in FOLDERS:
        for where, _, names in os.walk(os.path.join(build, folder)):
            for name in names:
                if not name.endswith(".c.o"):
                    continue
                path = os.path.relpath(os.path.join(where, name), build)
                path = re.sub(r"CMakeFiles/[^/]+\.dir/", "", path)[:-2]
                if not os.path.exists(os.path.join(source, path)):
                    continue
                listing = subprocess.run(["nm", "-g", os.path.join(where, name)], check=True,
                                         capture_output=True, text=True).stdout
                defined[path], functions[path], used[path] = set(), set(), set()
                for line in listing.splitlines():
                    kind, symbol = line.split()[-2:]
                    (used if kind in "Uw" else defined)[path].add(symbol)
                    if kind in "TW":
                        functions[path].add(symbol)
    return defined, functions, used


def users(used, offered):
    """{file: files that offer what it uses}"""
    owners = {}
    for path, names in offered.items():
        for name in names - {"main"}:
            owners.setdefault(name, set()).add(path)
    return {path: set().union(*(owners.get(name, set()) for name in names)) - {path}
            for path, names in used.items()}


def check_calls(source, build, rooms):
    defined, functions, used = symbols(source, build)
    if not used:
        yield f"{build}: no objects of {', '.join(FOLDERS)}"
    for path, others in sorted(users(used, defined).items()):
        room = room_of(path, rooms)
        for other in sorted(others):
            if room_of(other, rooms) != room and room_of(other, rooms) not in rooms.get(room, ()):
                yield f"{path} uses {other}: {room} may not use {room_of(other, rooms)}"
    # A table of what there is (strategies, layers) names its rows, which call the table's room: only
    # functions make a loop.
    for loop in loops(users(used, functions)):
        if not any(all(module.fullmatch(path) for path in loop) for module in MODULES):
            yield "call one another: " + " ".join(loop)


def check(source, build=None):
    rooms = rooms_of(source)
    if not rooms:
        return ["docs/architecture.md: no table with the heading | room | ... | may use |"]
    wrong = [f"docs/architecture.md: {room} may use {other}, which is no room"
             for room, may in rooms.items() for other in sorted(may - set(rooms))]
    wrong += ["docs/architecture.md: rooms that use one another: " + " ".join(loop)
              for loop in loops(rooms)]
    wrong += check_includes(source, rooms)
    wrong += check_names(source)
    wrong += check_imports(source)
    return wrong + (list(check_calls(source, build, rooms)) if build else [])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--source", default=os.path.join(os.path.dirname(__file__), "..", ".."))
    parser.add_argument("--build", help="a build folder, for the calls")
    options = parser.parse_args()
    wrong = check(os.path.abspath(options.source), options.build)
    for line in wrong:
        print(line)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
