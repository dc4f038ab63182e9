"""Logistic regression on 2,000 rows of 9,947 words (CoCoA's small_train): with l1 on a parameter server whose
workers push through `kkt`, with l2 by L-BFGS on one node and on servers. What comes out is held against this
program's own double precision and against optima that others found. Cross-entropy of two outputs whose
weights are w/2 and -w/2 is the logistic loss of w: |w|_1 is the sum of their magnitudes, and twice the l2
is the same penalty.

    test_sparse.py BUILD
"""
import gzip
import json
import os
import struct
import subprocess
import sys
import tempfile

import numpy

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DATA = os.path.join(ROOT, "../shared/data/linear/cocoa-small_train.dat.gz")
ROWS, COLUMNS = 2000, 9947
L1 = 0.002
RATE = 50  # 1 / L of the two outputs together, L = 0.00998
STEPS = 300
NETWORK = f"""<?xml version="1.0"?>
<network name="logistic" input="{COLUMNS}">
  <dense outputs="2" bias="no" init="zero"/>
</network>
"""
SCENARIO = """<?xml version="1.0"?>
<scenario name="sparse" seed="1">
  <platform file="{root}/platforms/pi4-gigabit-64.xml"/>
  <network file="logistic.xml"/>
  <data kind="npy" x="x.npy" y="y.npy" test-x="some-x.npy" test-y="some-y.npy" scale="no"/>
  <training batch="{rows}" iterations="{steps}" {training}/>
{strategies}
</scenario>
"""
faults = 0


def check(good, text):
    global faults
    print(("" if good else "WRONG: ") + text)
    faults += not good


def read():
    x, y = numpy.zeros((ROWS, COLUMNS), numpy.float32), numpy.zeros(ROWS, numpy.int64)
    with gzip.open(DATA, "rt") as lines:
        for row, line in enumerate(lines):
            label, *pairs = line.split()
            y[row] = float(label) > 0
            for index, value in (pair.split(":") for pair in pairs):
                x[row, int(index) - 1] = float(value)
    return x, y


def parameters(path):
    """Of the one layer: 2 x columns."""
    with open(path, "rb") as file:
        head = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        begin, end = head["0.weight"]["data_offsets"]
        body = file.read()
    return numpy.frombuffer(body[begin:end], "<f4").astype(float).reshape(2, COLUMNS)


def losses(margins):
    return numpy.logaddexp(0, -margins).mean()


class Problem:
    def __init__(self, x, y):
        self.rows = [(columns, x[row, columns].astype(float))
                     for row, columns in enumerate(numpy.flatnonzero(row) for row in x)]
        self.signs = numpy.where(y > 0, 1.0, -1.0)

    def margins(self, w):
        return self.signs * numpy.array([values @ w[columns] for columns, values in self.rows])

    def gradient(self, w):
        g = numpy.zeros(COLUMNS)
        for (columns, values), sign, margin in zip(self.rows, self.signs, self.margins(w)):
            g[columns] -= sign / (1 + numpy.exp(margin)) * values
        return g / ROWS

    def loss(self, outputs):
        return losses(self.margins(outputs[1] - outputs[0]))

    def proximal(self):
        """The same steps in double precision: twice the rate for one output's two."""
        w, rate = numpy.zeros(COLUMNS), 2 * RATE
        for _ in range(STEPS):
            w -= rate * self.gradient(w)
            w = numpy.sign(w) * numpy.maximum(numpy.abs(w) - rate * L1, 0)
        return w


def run(build, folder, nodes, steps, training, strategies):
    with open(os.path.join(folder, "sparse.xml"), "w") as file:
        lines = "\n".join(f"  <strategy label=\"{label}\" {text}/>" for label, text in strategies.items())
        file.write(SCENARIO.format(root=ROOT, rows=ROWS, steps=steps, training=training,
                                   strategies=lines))
    results = {}
    for label in strategies:
        weights, result = (os.path.join(folder, name) for name in ("w.safetensors", "result.json"))
        subprocess.run([os.path.join(build, "ringsim"), os.path.join(folder, "sparse.xml"), "--quiet",
                        "--set", f"nodes={nodes}", "--strategy", label, "--json", result, "--save", weights], check=True)
        with open(result) as file:
            results[label] = json.load(file)["runs"][0], parameters(weights)
    return results


def sparse(build, folder, problem):
    server = "kind=\"parameter_server\""
    runs = run(build, folder, 9, STEPS, f"learning-rate=\"{RATE}\" l1=\"{L1}\"", {
        "plain": server, "off": f"{server} filters=\"kkt\" delta=\"{L1}\"",
        "half": f"{server} filters=\"kkt\"", "none": f"{server} filters=\"kkt\" delta=\"0\""})
    objectives = {label: problem.loss(w) + L1 * numpy.abs(w).sum() for label, (_, w) in runs.items()}
    shares = {label: result["filtered"]["pushed"] / result["filtered"]["numbers"]
              for label, (result, _) in runs.items() if result.get("filtered")}
    w = problem.proximal()
    own = losses(problem.margins(w)) + L1 * numpy.abs(w).sum()
    ours = runs["plain"][1]
    check(abs(objectives["plain"] - own) < 1e-6, f"objective {objectives['plain']:.9f}, in double {own:.9f}")
    check(set(numpy.flatnonzero(ours[1] - ours[0])) == set(numpy.flatnonzero(w)),
          f"{numpy.count_nonzero(w)} of {COLUMNS} columns are not 0, the same")
    check(runs["off"][0]["weights_sha256"] == runs["plain"][0]["weights_sha256"], "delta = l1: the same bits")
    for label, low, high, worse in (("half", 0.018, 0.026, 1e-6), ("none", 0.004, 0.007, 5e-6)):
        off = objectives[label] - objectives["plain"]
        check(low < shares[label] < high and abs(off) < worse,
              f"{label}: {100 * shares[label]:.2f} % pushed, objective off by {off:.1e}")


def smooth(build, folder, problem):
    """lambda = 1/n: its optimum is 0.312922006394."""
    runs = run(build, folder, 6, 60, f"learning-rate=\"1\" optimizer=\"lbfgs\" l2=\"{2 / ROWS}\"",
               {"single": "kind=\"single\"", "sandblaster": "kind=\"sandblaster\" servers=\"2\""})
    for label, (_, w) in runs.items():
        objective = problem.loss(w) + (w * w).sum() / ROWS
        check(abs(objective - 0.312922006394) < 2e-7, f"{label}: objective {objective:.10f}")


def main():
    if not os.path.exists(DATA):
        print("../shared/data/linear is absent: skipped")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        x, y = read()
        for name, rows in (("", ROWS), ("some-", 10)):
            numpy.save(os.path.join(folder, f"{name}x.npy"), x[:rows])
            numpy.save(os.path.join(folder, f"{name}y.npy"), y[:rows])
        with open(os.path.join(folder, "logistic.xml"), "w") as file:
            file.write(NETWORK)
        problem = Problem(x, y)
        sparse(sys.argv[1], folder, problem)
        smooth(sys.argv[1], folder, problem)
    sys.exit(faults > 0)


main()
