"""One adapter for each library: the same few operations, each written the way that library's manual would.

An adapter has `open(workers)`, `close()` and any of these operations; a row names the one that it needs, and
the report says of a peer without it that it has none:

- `flood(f, n)`: hand in n single tasks, then collect every result;
- `unordered(f, items)`: iterate over the results of single tasks, in any order where the library can;
- `ordered(f, items)`: the same in order; the input may be endless;
- `lone(f, x)`: one task, there and back;
- `map(f, items)`: a list of results, the library choosing how to cut the work;
- `send(f, array)`: a lone task whose argument is a large array, where that is done in another way than `lone`;
- `fetch(f, x)`: a lone task whose result is one, likewise;
- `share(f, array, n)`: the results of `f(array, i)` for each i below n, the array handed over once. The workers
  that did it are there until `close`;
- `locks()`: what has the classes `Lock`, `RLock`, `Semaphore`, `Event`, `Condition` and `Barrier`. This one needs no
  `open`, and what it has made ends with the interpreter;
- `patches(folder, output, workers)`, `plain_patches`, `crops`: not done but told, as the command that does it.

The docstring of an operation is the call that is measured: the report prints it for the reader to judge. An
operation that an installed library turns out not to offer raises `Unable` with the reason.

A library is imported by `open`, and these modules import nothing: the start-up rows measure those imports.
To add a peer, write its class and put it in `ALL`; a pool with the interface of multiprocessing or of
concurrent.futures only says where it comes from.
"""

from bench.peers.base import Peer, Unable
from bench.peers.clusters import Dask, Ray
from bench.peers.executors import Futures, Loky
from bench.peers.floors import Connection, Forks, Memcpy, Serial
from bench.peers.others import Joblib, Mpire, Pebble
from bench.peers.pools import Allcores, Billiard, Multiprocessing
from bench.peers.programs import BareWrite, Subimages, Tutorial, Vectorised
from bench.peers.proxies import Manager

# In the order of the tables; allcores first, because the others are compared with it.
ALL = (
    Allcores,
    Multiprocessing,
    Futures,
    Loky,
    Joblib,
    Mpire,
    Pebble,
    Billiard,
    Ray,
    Dask,
    Manager,
    Tutorial,
    Vectorised,
    Subimages,
    Connection,
    Memcpy,
    Serial,
    Forks,
    BareWrite,
)
BY_SLUG = {peer.slug: peer for peer in ALL}

__all__ = [
    "ALL",
    "BY_SLUG",
    "Allcores",
    "BareWrite",
    "Billiard",
    "Connection",
    "Dask",
    "Forks",
    "Futures",
    "Joblib",
    "Loky",
    "Manager",
    "Memcpy",
    "Mpire",
    "Multiprocessing",
    "Pebble",
    "Peer",
    "Ray",
    "Serial",
    "Subimages",
    "Tutorial",
    "Unable",
    "Vectorised",
]
