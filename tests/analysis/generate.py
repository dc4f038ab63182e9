"""Result files and traces made by formula, for the tests of analysis/: plausible numbers, no simulation."""

import json
import math

WATTS_IDLE, WATTS_BUSY, WATTS_PORT, WATTS_SWITCH = 2.7, 3.6, 0.6, 1.1


def run(label, kind, nodes, batch, compute_s, c_s, iteration_s, **other):
    """A run of 50 iterations with everything that the format has."""
    iterations = 50
    time_s = iterations * iteration_s
    energy = {"idle": WATTS_IDLE * time_s * nodes,
              "compute": WATTS_BUSY * min(compute_s, iteration_s) * iterations * nodes,
              "network": WATTS_PORT * min(c_s, iteration_s) * iterations * nodes,
              "switch": WATTS_SWITCH * time_s * nodes}
    total = sum(energy.values())
    payload = int(1e8 * c_s * nodes * iterations)
    training = [{"iteration": i, "time_s": i * iteration_s, "energy_J": total * i / iterations,
                 "loss": math.exp(-i / 15), "accuracy": 0.97 - 0.87 * math.exp(-i / 12)}
                for i in range(5, iterations + 1, 5)]
    made = {
        "label": label, "kind": kind, "params": {"overlap": "yes"}, "nodes": nodes, "numerics": "real",
        "status": "ok", "error": None, "iterations": iterations, "samples": iterations * batch,
        "time_s": time_s, "iteration_s": dict.fromkeys(("mean", "p50", "p95", "max"), iteration_s),
        "formula": {"overlap": True, "T_A_s": compute_s, "c_s": c_s, "bubble": 0.1,
                    "predicted_iteration_s": iteration_s * 0.99, "observed_iteration_s": iteration_s,
                    "ratio": 1 / 0.99},
        "energy_J": dict(energy, total=total), "energy_source": "model",
        "traffic": {"messages": 10 * nodes * iterations, "values": payload // 4, "payload_bytes": payload,
                    "wire_bytes": payload * 1.03, "max_node_bytes": payload // nodes},
        "memory_bytes": {"max_node": int(4e6 + 3e8 / nodes), "total": int(4e6 * nodes + 3e8)},
        "late_receives": 0, "staleness": 0, "peak_units": 4, "sweep": {}, "extrapolated_iterations": 0,
        "predicted": {"overlap": True, "T_A_s": compute_s, "c_s": c_s, "iteration_s": iteration_s * 0.99,
                      "messages": 10 * nodes, "values": payload / 4 / iterations,
                      "payload_bytes": payload / iterations, "memory_bytes": 4e6 + 3e8 / nodes},
        "training": training, "final": {"loss": training[-1]["loss"], "accuracy": training[-1]["accuracy"]},
        "to_accuracy": {"target": 0.9, "iterations": 35, "time_s": 35 * iteration_s, "energy_J": total * 0.7},
        "weights_sha256": "0" * 64,
        "per_node": [{"rank": r, "host": f"node-{r}", "busy_s": compute_s * iterations, "comm_s": c_s * iterations,
                      "idle_s": 0.0, "energy_J": total / nodes * (1 + 0.1 * (r % 3)), "bytes_sent": payload // nodes,
                      "bytes_received": payload // nodes, "memory_bytes": 4000000} for r in range(nodes)]}
    made.update(other)
    return made


def lost(label, kind, nodes, status, error, sweep):
    """A run that has no figures."""
    return {"label": label, "kind": kind, "params": {}, "nodes": nodes, "numerics": "skip", "status": status,
            "error": error, "iterations": 0, "samples": 0, "time_s": None, "iteration_s": None, "formula": None,
            "energy_J": None, "energy_source": "none", "traffic": None, "memory_bytes": None, "sweep": sweep,
            "extrapolated_iterations": 0, "predicted": None, "training": [], "final": None, "to_accuracy": None,
            "weights_sha256": None, "per_node": []}


def result(runs, scenario="generated", world="sim"):
    return {"schema": "ringtmp-result-1", "tool": "ringsim", "version": "0.1.0", "world": world,
            "scenario": scenario, "seed": 1,
            "host": {"wall_s": 1.5, "date": "2026-01-01T00:00:00Z", "load": 0.5, "blas_kernels": "Haswell",
                     "blas_threads": 1, "machine": "x86_64 Linux"}, "runs": runs}


SHARE = 2.0e-3  # seconds of compute a sample on one node


def ring(nodes, batch, micro):
    """T_A, c and the iteration of a pipeline: the bubble grows with the nodes, less with more parts;
    every part costs a little."""
    compute = batch * SHARE / nodes
    c = batch * 2e-5 + micro * 1e-4
    return compute, c, max(compute, c) * (1 + (nodes - 1) / micro) + micro * 2e-4


def server(nodes, batch):
    compute, c = batch * SHARE / max(nodes - 1, 1), 0.02 * nodes
    return compute, c, compute + c


def allreduce(nodes, batch):
    compute, c = batch * SHARE / nodes, 0.04 * (1 - 1 / nodes) + nodes * 1e-4
    return compute, c, max(compute, c) + 0.3 * min(compute, c)


def scaling(counts=(4, 8, 16, 32, 64, 128, 256, 512), batches=("1024", "16N"), raw=True):
    """Strong and weak, a grid of micro-batches for the ring, points that do not fit or cannot run."""
    runs = []
    for spec in batches:
        for n in counts:
            batch = int(spec[:-1]) * n if spec.endswith("N") else int(spec)
            value = spec if raw else str(batch)
            for micro in (16, 64, 256):
                point = {"nodes": str(n), "batch": value, "ring.micro-batches": str(micro)}
                runs.append(run("ring", "ring_pipeline", n, batch, *ring(n, batch, micro), sweep=point,
                                extrapolated_iterations=40))
                if n > 256:
                    runs.append(lost("server", "parameter_server", n, "does-not-fit",
                                     "node 0 needs 4.2 GB and has 3.7 GB", point))
                else:
                    runs.append(run("server", "parameter_server", n, batch, *server(n, batch), sweep=point))
                if batch < n * 4 and n < 8:
                    runs.append(lost("all-reduce", "ring_allreduce", n, "impossible", "too few samples", point))
                else:
                    runs.append(run("all-reduce", "ring_allreduce", n, batch, *allreduce(n, batch), sweep=point))
    return result(runs, "generated-scaling")


def formula():
    """c/T_A from 1/16 to 16."""
    runs = []
    for power in range(-4, 5):
        ratio = 2.0 ** power
        compute, c = 0.02, 0.02 * ratio
        least, waiting = max(compute, c), compute + c
        for label, iteration, predicted, overlap in (
                ("ringtmp", 1.004 * least, least, True),
                ("gpipe", least * (1.4 + 0.3 * min(1, ratio)), 1.4 * least, True),
                ("no-overlap", 1.01 * waiting, waiting, False)):
            made = run(label, "ring_pipeline", 8, 128, compute, c, iteration,
                       sweep={"link-rate": f"{1 / ratio:g}"})
            made["formula"].update(overlap=overlap, predicted_iteration_s=predicted, ratio=iteration / predicted)
            runs.append(made)
    return result(runs, "generated-formula")


def trace(nodes=4, iterations=12, power=True, label="ring"):
    """A pipeline of `nodes` in the Chrome trace format, dates in microseconds."""
    events = [{"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "args": {"name": label}}]
    for r in range(nodes):
        for tid, name in ((2 * r + 1, f"{r} node-{r}"), (2 * r + 2, f"{r} node-{r} sends")):
            events.append({"ph": "M", "name": "thread_name", "pid": 1, "tid": tid, "args": {"name": name}})
    period = 100.0 * (nodes + 6)
    for i in range(iterations):
        for r in range(nodes):
            for unit in range(3):
                start = i * period + 100.0 * (r + 2 * unit)
                for name, at, length in ((f"F {unit}", start, 60), (f"B {unit}", start + 80, 90)):
                    events.append({"ph": "X", "name": name, "pid": 1, "tid": 2 * r + 1, "ts": at, "dur": length})
                events.append({"ph": "X", "name": f"to {(r + 1) % nodes}", "pid": 1, "tid": 2 * r + 2,
                               "ts": start + 60, "dur": 40, "args": {"bytes": 4000, "to": (r + 1) % nodes, "tag": 1}})
                if power:
                    for at, watts in ((start, 6.3), (start + 170, 2.7)):
                        events.append({"ph": "C", "name": "power", "pid": 1, "tid": 2 * r + 1, "ts": at,
                                       "args": {"W": watts}})
            events.append({"ph": "X", "name": f"step {i}", "pid": 1, "tid": 2 * r + 1, "ts": (i + 1) * period - 30,
                           "dur": 20})
    return {"displayTimeUnit": "ms", "traceEvents": events,
            "otherData": {"tool": "ringsim", "world": "sim", "scenario": "generated", "dropped_events": 0}}


def write(path, value):
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(value, stream)
    return str(path)
