"""Trains the ALS of the `implicit` library on a split, as the yardstick of Penchant's own.

usage: implicit_als.py SPLIT RUN.tsv FACTORS ITERATIONS THREADS

Writes a list of 100 items for each test user, and prints {"trainSeconds": …, "trainCPUSeconds": …}: the fit alone, without
reading and without recommending. See requirements.txt for what it needs.
"""
import csv, gzip, json, os, sys, time

split, run, factors, iterations, threads = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # implicit asks for it: its own threads do the work
import numpy as np
import scipy.sparse as sparse
from implicit.als import AlternatingLeastSquares


def read(name):
    with gzip.open(os.path.join(split, name), "rt", newline="") as f:
        rows = csv.reader(f)
        next(rows)
        return [(row[0], row[1]) for row in rows]


train, shown = read("train.csv.gz"), read("input.csv.gz")
items = sorted({i for _, i in train})
number = {i: n for n, i in enumerate(items)}
users = {u: n for n, u in enumerate(dict.fromkeys(u for u, _ in train))}


def matrix(rows, of):
    kept = [(of[u], number[i]) for u, i in rows if i in number]
    r, c = np.array(kept).T
    m = sparse.csr_matrix((np.ones(len(kept), np.float32), (r, c)), shape=(len(of), len(items)))
    m.data[:] = 1
    return m


model = AlternatingLeastSquares(factors=factors, iterations=iterations, regularization=10.0, alpha=1.0, num_threads=threads, random_state=1)
observed = matrix(train, users)
wall, cpu = time.time(), time.process_time()
model.fit(observed, show_progress=False)
spent = {"trainSeconds": time.time() - wall, "trainCPUSeconds": time.process_time() - cpu}

visitors = {u: n for n, u in enumerate(dict.fromkeys(u for u, _ in shown))}
histories = matrix(shown, visitors)
lists, _ = model.recommend(np.arange(len(visitors)), histories, N=100, recalculate_user=True)
with open(run, "w") as f:
    for u, n in visitors.items():
        f.write(u + "\t" + " ".join(items[i] for i in lists[n] if i >= 0) + "\n")
print(json.dumps(spent))
