"""Pools with an interface of their own."""

from bench.peers.base import Peer
from bench.tasks import OnKept, keep

# mpire wants to know how much there will be; what it is told of an endless input makes no difference to it.
ENDLESS = 10**9


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

    def unordered(self, f, items):
        """`Parallel(return_as="generator_unordered", batch_size=1)`"""
        delayed = self.delayed
        parallel = self.joblib.Parallel(n_jobs=self.workers, batch_size=1, return_as="generator_unordered")
        return parallel(delayed(f)(x) for x in items)

    def ordered(self, f, items):
        """`Parallel(return_as="generator", batch_size=1)`"""
        delayed = self.delayed
        parallel = self.joblib.Parallel(n_jobs=self.workers, batch_size=1, return_as="generator")
        return parallel(delayed(f)(x) for x in items)

    def lone(self, f, x):
        """`parallel([delayed(f)(x)])`"""
        return self.parallel([self.delayed(f)(x)])[0]

    def map(self, f, items):
        """`parallel(delayed(f)(x) for x in items)`, batches sized by itself"""
        delayed = self.delayed
        return self.parallel(delayed(f)(x) for x in items)

    def share(self, f, array, n):
        """`parallel(delayed(f)(array, i) for i in range(n))`: it writes the array to a file and maps that"""
        delayed = self.delayed
        return self.parallel(delayed(f)(array, i) for i in range(n))


class Mpire(Peer):
    """mpire, told to keep its workers from call to call."""

    slug = title = module = distribution = "mpire"

    def open(self, workers):
        """A WorkerPool with keep_alive."""
        import mpire

        self.mpire = mpire
        self.workers = workers
        self.pool = mpire.WorkerPool(n_jobs=workers, keep_alive=True)

    def close(self):
        """Let the workers finish and wait for them."""
        self.pool.stop_and_join()

    def flood(self, f, n):
        """`apply_async(f, (i,))` n times, then `get()` of each"""
        submit = self.pool.apply_async
        return [result.get() for result in [submit(f, (i,)) for i in range(n)]]

    def unordered(self, f, items):
        """`imap_unordered(f, items, chunk_size=1)`"""
        return self.pool.imap_unordered(f, items, iterable_len=self.length(items), chunk_size=1)

    def ordered(self, f, items):
        """`imap(f, items, chunk_size=1)`"""
        return self.pool.imap(f, items, iterable_len=self.length(items), chunk_size=1)

    def length(self, items):
        """What to tell about the length of the input: nothing where it can be seen."""
        return None if hasattr(items, "__len__") else ENDLESS

    def lone(self, f, x):
        """`apply(f, (x,))`"""
        return self.pool.apply(f, (x,))

    def map(self, f, items):
        """`map(f, items)`"""
        return self.pool.map(f, items)

    def share(self, f, array, n):
        """`WorkerPool(shared_objects=array)`, inherited by fork, then `map(f, range(n))`"""
        self.close()
        self.pool = self.mpire.WorkerPool(n_jobs=self.workers, keep_alive=True, shared_objects=array)
        return self.pool.map(f, range(n))


class Pebble(Peer):
    """pebble's ProcessPool."""

    slug = title = module = "pebble"
    distribution = "Pebble"

    def open(self, workers):
        """A ProcessPool."""
        import pebble

        self.pebble = pebble
        self.workers = workers
        self.pool = pebble.ProcessPool(max_workers=workers)

    def close(self):
        """Let the workers finish and wait for them."""
        self.pool.close()
        self.pool.join()

    def flood(self, f, n):
        """`schedule(f, args=(i,))` n times, then `result()` of each"""
        submit = self.pool.schedule
        return [future.result() for future in [submit(f, args=(i,)) for i in range(n)]]

    def unordered(self, f, items):
        """`map(f, items, chunksize=1).result()`, in order: it has no unordered iterator"""
        return self.pool.map(f, items, chunksize=1).result()

    def ordered(self, f, items):
        """`map(f, items, chunksize=1).result()`"""
        return self.pool.map(f, items, chunksize=1).result()

    def lone(self, f, x):
        """`schedule(f, args=(x,)).result()`"""
        return self.pool.schedule(f, args=(x,)).result()

    def map(self, f, items):
        """`list(map(f, items).result())`, whose default chunksize is 1"""
        return list(self.pool.map(f, items).result())

    def share(self, f, array, n):
        """`ProcessPool(initializer=keep, initargs=(array,))`, then `map` over what was kept; a fork inherits it"""
        self.close()
        self.pool = self.pebble.ProcessPool(max_workers=self.workers, initializer=keep, initargs=(array,))
        return list(self.pool.map(OnKept(f), range(n)).result())
