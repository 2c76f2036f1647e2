"""Libraries with the interface of concurrent.futures."""

import sys

from bench.peers.base import Peer
from bench.tasks import OnKept, keep

# From this version on `Executor.map` can be told how far to draw ahead.
BOUNDED_MAP = (3, 14)


class ExecutorPeer(Peer):
    """One of them: it only says where its executor comes from."""

    def open(self, workers):
        """Make the executor."""
        self.workers = workers
        self.executor = self.make(workers)

    def make(self, workers, **options):
        """The library's own executor."""
        raise NotImplementedError

    def close(self):
        """Let the workers finish and wait for them."""
        self.executor.shutdown(wait=True)

    def flood(self, f, n):
        """`submit(f, i)` n times, then `result()` of each"""
        submit = self.executor.submit
        return [future.result() for future in [submit(f, i) for i in range(n)]]

    def unordered(self, f, items):
        """`map(f, items, chunksize=1)`, in order: it has no unordered iterator"""
        return self.executor.map(f, items, chunksize=1)

    def ordered(self, f, items):
        """`map(f, items, chunksize=1)`"""
        return self.executor.map(f, items, chunksize=1)

    def lone(self, f, x):
        """`submit(f, x).result()`"""
        return self.executor.submit(f, x).result()

    def map(self, f, items):
        """`list(map(f, items))`, whose default chunksize is 1"""
        return list(self.executor.map(f, items))

    def share(self, f, array, n):
        """`initializer=keep, initargs=(array,)`, then `list(map(…))` over what was kept"""
        self.close()
        self.executor = self.make(self.workers, initializer=keep, initargs=(array,))
        return list(self.executor.map(OnKept(f), range(n)))


class Futures(ExecutorPeer):
    """The standard library's executor."""

    slug = "futures"
    title = "ProcessPoolExecutor"
    module = "concurrent.futures"

    def make(self, workers, **options):
        """concurrent.futures.ProcessPoolExecutor."""
        import concurrent.futures

        return concurrent.futures.ProcessPoolExecutor(workers, **options)

    def ordered(self, f, items):
        """`map(f, items, chunksize=1)`, from Python 3.14 on with `buffersize=8 * workers`"""
        if sys.version_info >= BOUNDED_MAP:
            return self.executor.map(f, items, chunksize=1, buffersize=8 * self.workers)
        return super().ordered(f, items)


class Loky(ExecutorPeer):
    """loky's reusable executor, its main entrance."""

    slug = title = module = distribution = "loky"

    def make(self, workers, **options):
        """loky.get_reusable_executor."""
        import loky

        # Whether an old one would serve it finds by comparing the options, which arrays cannot be.
        reuse = False if options else "auto"
        return loky.get_reusable_executor(workers, reuse=reuse, **options)
