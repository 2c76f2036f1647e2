"""One adapter for each library: the same few operations, each written the way that library's manual would.

An adapter has `open(workers)`, `close()` and any of these operations; a row names the one that it needs, and
a peer without it is left out of that row:

- `flood(f, n)`: hand in n single tasks, then collect every result;
- `unordered(f, n)`: iterate over the results of single tasks, in any order where the library can;
- `lone(f, x)`: one task, there and back;
- `map(f, items)`: a list of results, the library choosing how to cut the work.

The docstring of an operation is the call that is measured: the report prints it for the reader to judge.

A library is imported by `open`, and this module imports nothing: the start-up rows measure those imports.
To add a peer, write its class and put it in `ALL`; a pool with the interface of multiprocessing or of
concurrent.futures only says where it comes from.
"""

import sys

from bench.patching import peers as patching

COMMAND = [sys.executable, "-m", "allcores"]


class Peer:
    """What the harness knows about a library."""

    slug = ""  # the name on the command line and in the JSON
    title = ""  # the name in tables
    module = ""  # what must be importable for the peer to be present
    distribution = ""  # whose version is noted; empty for the standard library
    reference = False  # a floor or a yardstick, not a competitor: it does not do the whole work

    def open(self, workers):
        """Import the library and make a pool of so many workers."""
        raise NotImplementedError

    def close(self):
        """Leave nothing running."""
        raise NotImplementedError


class PoolPeer(Peer):
    """A library with the interface of multiprocessing.Pool."""

    def open(self, workers):
        """Make the pool."""
        self.pool = self.make(workers)

    def make(self, workers):
        """The library's own pool."""
        raise NotImplementedError

    def close(self):
        """Let the workers finish and wait for them."""
        self.pool.close()
        self.pool.join()

    def flood(self, f, n):
        """`apply_async(f, (i,))` n times, then `get()` of each"""
        submit = self.pool.apply_async
        return [result.get() for result in [submit(f, (i,)) for i in range(n)]]

    def unordered(self, f, n):
        """`imap_unordered(f, range(n))`"""
        return self.pool.imap_unordered(f, range(n), chunksize=1)

    def lone(self, f, x):
        """`apply(f, (x,))`"""
        return self.pool.apply(f, (x,))

    def map(self, f, items):
        """`map(f, items)`"""
        return self.pool.map(f, items)


class Allcores(PoolPeer):
    """This library."""

    slug = title = module = distribution = "allcores"

    def make(self, workers):
        """allcores.Pool."""
        import allcores

        return allcores.Pool(workers)

    def patches(self, folder, output, workers):
        """`allcores patches FOLDER OUT.npy`"""
        return [*COMMAND, "patches", str(folder), str(output), "-j", str(workers)]

    def plain_patches(self, folder, output, workers):
        """`allcores patches FOLDER OUT.npy --augment none`"""
        return [*self.patches(folder, output, workers), "--augment", "none"]

    def crops(self, folder, output, workers):
        """`allcores patches FOLDER OUT --format png --color --patch 480 --stride 240 --edge shift --scales 1 …`"""
        options = "--format png --color --patch 480 --stride 240 --edge shift --scales 1 --augment none"
        return [*self.patches(folder, output, workers), *options.split()]


class Multiprocessing(PoolPeer):
    """The standard library's pool."""

    slug = module = "multiprocessing"
    title = "multiprocessing.Pool"

    def make(self, workers):
        """multiprocessing.Pool, with the platform's default start method."""
        import multiprocessing

        return multiprocessing.Pool(workers)


class Billiard(PoolPeer):
    """Celery's fork of multiprocessing."""

    slug = title = module = distribution = "billiard"

    def make(self, workers):
        """billiard.Pool."""
        import billiard

        return billiard.Pool(workers)


class ExecutorPeer(Peer):
    """A library with the interface of concurrent.futures."""

    def open(self, workers):
        """Make the executor."""
        self.executor = self.make(workers)

    def make(self, workers):
        """The library's own executor."""
        raise NotImplementedError

    def close(self):
        """Let the workers finish and wait for them."""
        self.executor.shutdown(wait=True)

    def flood(self, f, n):
        """`submit(f, i)` n times, then `result()` of each"""
        submit = self.executor.submit
        return [future.result() for future in [submit(f, i) for i in range(n)]]

    def unordered(self, f, n):
        """`map(f, range(n), chunksize=1)`, in order: it has no unordered iterator"""
        return self.executor.map(f, range(n), chunksize=1)

    def lone(self, f, x):
        """`submit(f, x).result()`"""
        return self.executor.submit(f, x).result()

    def map(self, f, items):
        """`list(map(f, items))`, whose default chunksize is 1"""
        return list(self.executor.map(f, items))


class Futures(ExecutorPeer):
    """The standard library's executor."""

    slug = "futures"
    title = "ProcessPoolExecutor"
    module = "concurrent.futures"

    def make(self, workers):
        """concurrent.futures.ProcessPoolExecutor."""
        import concurrent.futures

        return concurrent.futures.ProcessPoolExecutor(workers)


class Loky(ExecutorPeer):
    """loky's reusable executor, its main entrance."""

    slug = title = module = distribution = "loky"

    def make(self, workers):
        """loky.get_reusable_executor."""
        import loky

        return loky.get_reusable_executor(workers)


class Joblib(Peer):
    """joblib with its default backend, the workers kept from call to call."""

    slug = title = module = distribution = "joblib"

    def open(self, workers):
        """Enter a Parallel object, so that its workers are kept."""
        import joblib

        self.joblib = joblib
        self.workers = workers
        self.parallel = joblib.Parallel(n_jobs=workers).__enter__()
        self.delayed = joblib.delayed

    def close(self):
        """Leave the Parallel object; its workers stay with joblib, as in a user's program, until the exit."""
        self.parallel.__exit__(None, None, None)

    def flood(self, f, n):
        """`Parallel(batch_size=1)(delayed(f)(i) for i in range(n))`: it has no single submit"""
        delayed = self.delayed
        return self.joblib.Parallel(n_jobs=self.workers, batch_size=1)(delayed(f)(i) for i in range(n))

    def unordered(self, f, n):
        """`Parallel(return_as="generator_unordered", batch_size=1)`"""
        delayed = self.delayed
        parallel = self.joblib.Parallel(n_jobs=self.workers, batch_size=1, return_as="generator_unordered")
        return parallel(delayed(f)(i) for i in range(n))

    def lone(self, f, x):
        """`parallel([delayed(f)(x)])`"""
        return self.parallel([self.delayed(f)(x)])[0]

    def map(self, f, items):
        """`parallel(delayed(f)(x) for x in items)`, batches sized by itself"""
        delayed = self.delayed
        return self.parallel(delayed(f)(x) for x in items)


class Mpire(Peer):
    """mpire, told to keep its workers from call to call."""

    slug = title = module = distribution = "mpire"

    def open(self, workers):
        """A WorkerPool with keep_alive."""
        import mpire

        self.pool = mpire.WorkerPool(n_jobs=workers, keep_alive=True)

    def close(self):
        """Let the workers finish and wait for them."""
        self.pool.stop_and_join()

    def flood(self, f, n):
        """`apply_async(f, (i,))` n times, then `get()` of each"""
        submit = self.pool.apply_async
        return [result.get() for result in [submit(f, (i,)) for i in range(n)]]

    def unordered(self, f, n):
        """`imap_unordered(f, range(n), chunk_size=1)`"""
        return self.pool.imap_unordered(f, range(n), chunk_size=1)

    def lone(self, f, x):
        """`apply(f, (x,))`"""
        return self.pool.apply(f, (x,))

    def map(self, f, items):
        """`map(f, items)`"""
        return self.pool.map(f, items)


class Pebble(Peer):
    """pebble's ProcessPool."""

    slug = title = module = "pebble"
    distribution = "Pebble"

    def open(self, workers):
        """A ProcessPool."""
        import pebble

        self.pool = pebble.ProcessPool(max_workers=workers)

    def close(self):
        """Let the workers finish and wait for them."""
        self.pool.close()
        self.pool.join()

    def flood(self, f, n):
        """`schedule(f, args=(i,))` n times, then `result()` of each"""
        submit = self.pool.schedule
        return [future.result() for future in [submit(f, args=(i,)) for i in range(n)]]

    def unordered(self, f, n):
        """`map(f, range(n), chunksize=1).result()`, in order: it has no unordered iterator"""
        return self.pool.map(f, range(n), chunksize=1).result()

    def lone(self, f, x):
        """`schedule(f, args=(x,)).result()`"""
        return self.pool.schedule(f, args=(x,)).result()

    def map(self, f, items):
        """`list(map(f, items).result())`, whose default chunksize is 1"""
        return list(self.pool.map(f, items).result())


def echo(connection):
    """Send back whatever arrives, until the other end is closed."""
    try:
        while True:
            connection.send(connection.recv())
    except EOFError:
        connection.close()


class Connection(Peer):
    """The floor of a round trip: two processes, one pipe, no pool; it calls no function."""

    slug = "connection"
    title = "bare Connection ping-pong"
    module = "multiprocessing"
    reference = True

    def open(self, workers):
        """One process that echoes, however many workers are asked for."""
        import multiprocessing

        self.end, other = multiprocessing.Pipe()
        # A forked child would inherit our end too and never see it closed: a daemon is ended with us instead.
        self.process = multiprocessing.Process(target=echo, args=(other,), daemon=True)
        self.process.start()
        other.close()

    def close(self):
        """Stop the echo."""
        self.end.close()
        self.process.terminate()
        self.process.join()

    def lone(self, f, x):
        """`send(x)`, `recv()`"""
        self.end.send(x)
        return self.end.recv()


class Serial(Peer):
    """The yardstick without any parallelism: the caller does the work itself."""

    slug = "serial"
    title = "no pool, the caller itself"
    module = "builtins"
    reference = True

    def open(self, workers):
        """Nothing to make."""

    def close(self):
        """Nothing to close."""

    def lone(self, f, x):
        """`f(x)`"""
        return f(x)

    def map(self, f, items):
        """`list(map(f, items))`, the built-in"""
        return list(map(f, items))


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
    *patching.ALL,
    Connection,
    Serial,
)
BY_SLUG = {peer.slug: peer for peer in ALL}
