"""What bounds a row from below, or shows what a pool adds: for reference, not for competition."""

from bench.peers.base import Peer


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


class Memcpy(Peer):
    """The floor of moving an array: one copy from memory to memory, both warm, within one process."""

    slug = "memcpy"
    title = "one memcpy"
    module = "numpy"
    reference = True

    def open(self, workers):
        """Nothing to make."""
        self.warm = None

    def close(self):
        """Nothing to close."""

    def copy(self, array):
        """One copy into memory that has been touched before."""
        import numpy

        if self.warm is None:
            self.warm = numpy.empty_like(array)
        numpy.copyto(self.warm, array)
        return self.warm

    def send(self, f, array):
        """`numpy.copyto(warm, array)`, then `f(warm)`"""
        return f(self.copy(array))

    def fetch(self, f, x):
        """`numpy.copyto(warm, f(x))`"""
        return self.copy(f(x))


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


class Forks(Peer):
    """The floor of dividing work: as many processes as workers, each forked with its share, nothing sent back.

    What it falls short of an ideal speed-up is the machine's doing: cores that share caches and clock, neighbours.
    """

    slug = "forks"
    title = "bare forks, work divided beforehand"
    module = "fcntl"  # where it is not, there is no fork either
    reference = True

    def open(self, workers):
        """Nothing to make."""
        self.workers = workers

    def close(self):
        """Nothing to close."""

    def divided(self, f, items):
        """`os.fork()` for each worker, `f` over every n-th item, `os.waitpid`"""
        import os

        children = []
        for number in range(self.workers):
            pid = os.fork()
            if pid == 0:
                for x in items[number :: self.workers]:
                    f(x)
                os._exit(0)
            children.append(pid)
        for pid in children:
            os.waitpid(pid, 0)
        return list(items)
