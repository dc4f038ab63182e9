#!/usr/bin/python3 -B
"""Links within the pages in Markdown lead to files, and to headings of theirs.

    test_links.py [FOLDER]      of the source tree by default

Happy path: every *.md but those under build/; links to the web are not followed. Failure modes handled: a file that
is not there, a heading that is not in it, a tree without pages (status 1, a line for each)."""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def pages(root):
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name != "build" and not name.startswith(".")]
        yield from (os.path.join(folder, name) for name in files if name.endswith(".md"))


def prose(path):
    """The text without its fenced blocks."""
    with open(path, encoding="utf-8") as stream:
        return re.sub(r"^```[\s\S]*?^```$", "", stream.read(), flags=re.M)


def anchors(path):
    """As GitHub makes them of headings: small letters, blanks to hyphens, other signs gone."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
        if not os.path.exists(target):
            yield f"{link}: there is no such file"
        elif anchor and anchor not in anchors(target):
            yield f"{link}: there is no such heading"


def main():
    root = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    found = sorted(pages(root))
    wrong = [f"{os.path.relpath(path, root)}: {what}" for path in found for what in broken(path)]
    print("\n".join(wrong) if wrong else f"{len(found)} pages")
    return 1 if wrong or not found else 0


if __name__ == "__main__":
    sys.exit(main())
