"""Libraries with the interface of multiprocessing.Pool."""

import sys

from bench.peers.base import Peer
from bench.tasks import OnKept, keep


class PoolPeer(Peer):
    """One of them: it only says where its pool comes from."""

    def open(self, workers):
        """Make the pool."""
        self.workers = workers
        self.pool = self.make(workers)

    def make(self, workers, **options):
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

    def unordered(self, f, items):
        """`imap_unordered(f, items)`"""
        return self.pool.imap_unordered(f, items, chunksize=1)

    def ordered(self, f, items):
        """`imap(f, items)`"""
        return self.pool.imap(f, items, chunksize=1)

    def lone(self, f, x):
        """`apply(f, (x,))`"""
        return self.pool.apply(f, (x,))

    def map(self, f, items):
        """`map(f, items)`"""
        return self.pool.map(f, items)

    def share(self, f, array, n):
        """`Pool(initializer=keep, initargs=(array,))`, then `map` over what was kept; a fork inherits the array"""
        self.close()
        self.pool = self.make(self.workers, initializer=keep, initargs=(array,))
        return self.pool.map(OnKept(f), range(n))


class Allcores(PoolPeer):
    """This library."""

    slug = title = module = distribution = "allcores"
    subjects = ("pools", "locks", "patches")

    def make(self, workers, **options):
        """allcores.Pool."""
        import allcores

        return allcores.Pool(workers, **options)

    def share(self, f, array, n):
        """`handle = share(array)`, then `starmap(f, [(handle, i), …])`"""
        self.shared = handle = self.pool.share(array)
        return self.pool.starmap(f, [(handle, i) for i in range(n)])

    def locks(self):
        """`allcores.Lock()` and so on"""
        import allcores

        return allcores

    def patches(self, folder, output, workers):
        """`allcores patches FOLDER OUT.npy`"""
        return [sys.executable, "-m", "allcores", "patches", str(folder), str(output), "-j", str(workers)]

    def plain_patches(self, folder, output, workers):
        """`allcores patches FOLDER OUT.npy --augment none`"""
        return [*self.patches(folder, output, workers), "--augment", "none"]

    def crops(self, folder, output, workers):
        """`allcores patches FOLDER OUT --format png --color --patch 480 --stride 240 --edge shift --scales 1 …`"""
        options = "--format png --color --patch 480 --stride 240 --edge shift --scales 1 --augment none"
        return [*self.patches(folder, output, workers), *options.split()]


class Multiprocessing(PoolPeer):
    """The standard library's pool."""

    slug = title = module = "multiprocessing"
    subjects = ("pools", "locks")

    def make(self, workers, **options):
        """multiprocessing.Pool, with the platform's default start method."""
        import multiprocessing

        return multiprocessing.Pool(workers, **options)

    def locks(self):
        """`multiprocessing.Lock()` and so on"""
        import multiprocessing

        return multiprocessing


class Billiard(PoolPeer):
    """Celery's fork of multiprocessing."""

    slug = title = module = distribution = "billiard"

    def make(self, workers, **options):
        """billiard.Pool."""
        import billiard

        return billiard.Pool(workers, **options)
