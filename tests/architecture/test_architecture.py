"""The arrows of docs/architecture.md hold (check.py), and each kind of fault is found where one is made:
in copies of the sources, and in objects compiled for it.

    test_architecture.py BUILD"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import check

SOURCE = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = ""


class Tree(unittest.TestCase):
    def test_sources_and_calls(self):
        self.assertEqual(check.check(SOURCE, BUILD), [])


class Faults(unittest.TestCase):
    """What is wrong is named."""

    def setUp(self):
        self.source = tempfile.mkdtemp(prefix="ringtmp-architecture-")
        self.addCleanup(shutil.rmtree, self.source)
        for folder in check.FOLDERS + ("analysis", "docs"):
            shutil.copytree(os.path.join(SOURCE, folder), os.path.join(self.source, folder))

    def add(self, path, text):
        with open(os.path.join(self.source, path), "a", encoding="utf-8") as stream:
            stream.write(text)

    def found(self, text, build=None):
        self.assertIn(text, "\n".join(check.check(self.source, build)))

    def test_an_arrow_against_the_others(self):
        self.add("runtime/base/clock.c", '#include "world/trace.h"\n')
        self.found("runtime/base/clock.c includes runtime/world/trace.h: runtime/base may not use "
                   "runtime/world")

    def test_headers_in_a_loop(self):
        self.add("runtime/base/clock.h", '#include "base/cores.h"\n')
        self.add("runtime/base/cores.h", '#include "base/clock.h"\n')
        self.found("include one another: runtime/base/clock.h runtime/base/cores.h")

    def test_two_files_of_one_name(self):
        self.add("sim/clock.c", "\n")
        self.found("have one name: runtime/base/clock.c sim/clock.c")

    def test_objects_whose_source_is_gone(self):
        build = self.compile("runtime/base/two.c", "extern int one; int two(void) { return one; }\n")
        self.compile("runtime/world/one.c", "int one = 1;\n")
        os.unlink(os.path.join(self.source, "runtime/base/two.c"))
        self.assertEqual(check.check(self.source, build), [])

    def test_modules_in_a_loop(self):
        self.add("analysis/ringresult.py", "import ringplot\n")
        self.add("analysis/ringplot.py", "import ringresult\n")
        self.found("import one another: analysis/ringplot.py analysis/ringresult.py")

    def test_a_folder_that_is_no_room(self):
        os.mkdir(os.path.join(self.source, "runtime/attic"))
        self.add("runtime/attic/old.c", "\n")
        self.found("runtime/attic/old.c: in no room")

    def test_rooms_in_a_loop(self):
        path = os.path.join(self.source, "docs/architecture.md")
        text = check.read(path).replace("| `runtime/base` |", "| `runtime/base`, `runtime/first` |", 1)
        lines = [line if not line.startswith("| `runtime/base`") else
                 line.rsplit("|", 2)[0] + "| `runtime/world` |" for line in text.splitlines()]
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("\n".join(lines))
        self.found("rooms that use one another: ")

    def compile(self, path, text):
        self.add(path, text)
        room, name = os.path.split(path)
        folder = os.path.join(self.source, "build", room, "CMakeFiles", "rg_x.dir")
        os.makedirs(folder, exist_ok=True)
        subprocess.run([os.environ.get("CC", "cc"), "-c", os.path.join(self.source, path), "-o",
                        os.path.join(folder, name + ".o")], check=True)
        return os.path.join(self.source, "build")

    def test_calls_in_a_loop(self):
        self.compile("runtime/posix/one.c", "void two(void); void one(void) { two(); }\n")
        build = self.compile("runtime/posix/two.c", "void one(void); void two(void) { one(); }\n")
        self.found("call one another: runtime/posix/one.c runtime/posix/two.c", build)

    def test_a_call_against_the_arrows(self):
        self.compile("runtime/world/one.c", "int one = 1;\n")
        build = self.compile("runtime/base/two.c", "extern int one; int two(void) { return one; }\n")
        self.found("runtime/base/two.c uses runtime/world/one.c: runtime/base may not use", build)

    def test_a_module_of_several_files_is_none(self):
        self.compile("runtime/connect/join_one.c", "void two(void); void one(void) { two(); }\n")
        build = self.compile("runtime/connect/join_two.c", "void one(void); void two(void) { one(); }\n")
        self.assertEqual(check.check(self.source, build), [])


if __name__ == "__main__":
    BUILD = sys.argv.pop(1)
    unittest.main()
