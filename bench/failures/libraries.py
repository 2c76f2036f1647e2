"""The libraries behind one small interface, each used as its documentation says, with two workers; some have locks."""

WORKERS = 2


class NotOffered(Exception):
    """The library has no such thing."""


class Library:
    """One pool.

    Attributes:
        slug: the name on the command line.
        title: the name in tables.
        module: what must be importable.
        distribution: whose version is told; empty for the standard library.
    """

    slug = title = module = distribution = ""

    def open(self, initializer=None, initargs=(), lifetime=None):
        """Make the pool; `lifetime` is after how many tasks a worker is replaced."""
        raise NotImplementedError

    def submit(self, function, *arguments, callback=None, timeout=None, retries=None):
        """Start a task; what is returned is for `get`."""
        raise NotImplementedError

    def get(self, handle):
        """Wait for a task."""
        raise NotImplementedError

    def map(self, function, items):
        """The results of all items, as a list."""
        raise NotImplementedError

    def stream(self, function, items):
        """An iterator over results as they come."""
        raise NotImplementedError

    def end(self):
        """Close and join."""
        raise NotImplementedError

    def stop(self):
        """End now, whatever runs."""
        raise NotImplementedError

    def locks(self):
        """What has `Lock`, `Semaphore`, `Event`, `Condition` and `Barrier`; no pool is needed for them."""
        raise NotOffered


class PoolLike(Library):
    """The interface of `multiprocessing.Pool`."""

    def make(self, **options):
        """The library's own pool."""
        raise NotImplementedError

    def open(self, initializer=None, initargs=(), lifetime=None):
        """Make the pool."""
        self.pool = self.make(initializer=initializer, initargs=initargs, maxtasksperchild=lifetime)

    def submit(self, function, *arguments, callback=None, timeout=None, retries=None):
        """`apply_async`"""
        return self.pool.apply_async(function, arguments, callback=callback, **self.limits(timeout, retries))

    def limits(self, timeout, retries):
        """What is not there."""
        if timeout or retries:
            raise NotOffered
        return {}

    def get(self, handle):
        """`get()`"""
        return handle.get()

    def map(self, function, items):
        """`map`, an item at a time"""
        return self.pool.map(function, items, chunksize=1)

    def stream(self, function, items):
        """`imap`"""
        return self.pool.imap(function, items)

    def end(self):
        """`close`, `join`"""
        self.pool.close()
        self.pool.join()

    def stop(self):
        """`terminate`"""
        self.pool.terminate()


class Allcores(PoolLike):
    """This library."""

    slug = title = module = distribution = "allcores"

    def make(self, **options):
        """allcores.Pool"""
        import allcores

        return allcores.Pool(WORKERS, **options)

    def limits(self, timeout, retries):
        """As keywords of the call."""
        return {"timeout": timeout, "retries": retries}

    def locks(self):
        """The package"""
        import allcores

        return allcores


class Multiprocessing(PoolLike):
    """The standard library's pool."""

    slug = title = module = "multiprocessing"

    def make(self, **options):
        """multiprocessing.Pool"""
        import multiprocessing

        return multiprocessing.Pool(WORKERS, **options)

    def locks(self):
        """The package"""
        import multiprocessing

        return multiprocessing


class ExecutorLike(Library):
    """The interface of `concurrent.futures`."""

    def make(self, **options):
        """The library's own executor."""
        raise NotImplementedError

    def open(self, initializer=None, initargs=(), lifetime=None):
        """Make the executor."""
        options = {"initializer": initializer, "initargs": initargs} if initializer else {}
        if lifetime:
            options["max_tasks_per_child"] = lifetime
        self.executor = self.make(**options)

    def submit(self, function, *arguments, callback=None, timeout=None, retries=None):
        """`submit`, `add_done_callback`"""
        if timeout or retries:
            raise NotOffered
        future = self.executor.submit(function, *arguments)
        if callback:
            future.add_done_callback(callback)
        return future

    def get(self, handle):
        """`result()`"""
        return handle.result()

    def map(self, function, items):
        """`list(map(...))`"""
        return list(self.executor.map(function, items))

    def stream(self, function, items):
        """`map`"""
        return iter(self.executor.map(function, items))

    def end(self):
        """`shutdown()`"""
        self.executor.shutdown()

    def stop(self):
        """`shutdown(cancel_futures=True)`"""
        self.executor.shutdown(wait=False, cancel_futures=True)


class Futures(ExecutorLike):
    """The standard library's executor."""

    slug = "futures"
    module = "concurrent.futures"
    title = "ProcessPoolExecutor"

    def make(self, **options):
        """concurrent.futures.ProcessPoolExecutor"""
        import concurrent.futures

        return concurrent.futures.ProcessPoolExecutor(WORKERS, **options)


class Loky(ExecutorLike):
    """joblib's executor."""

    slug = title = module = distribution = "loky"

    def make(self, **options):
        """loky.get_reusable_executor"""
        import loky

        if "max_tasks_per_child" in options:
            raise NotOffered
        return loky.get_reusable_executor(WORKERS, **options)

    def stop(self):
        """`shutdown(kill_workers=True)`"""
        self.executor.shutdown(kill_workers=True)


class Mpire(Library):
    """mpire, told to keep its workers from call to call."""

    slug = title = module = distribution = "mpire"

    def open(self, initializer=None, initargs=(), lifetime=None):
        """A WorkerPool."""
        import mpire

        self.pool = mpire.WorkerPool(n_jobs=WORKERS, keep_alive=True)
        self.options = {"worker_lifespan": lifetime} if lifetime else {}
        if initializer:
            import functools

            self.options["worker_init"] = functools.partial(initializer, *initargs)

    def submit(self, function, *arguments, callback=None, timeout=None, retries=None):
        """`apply_async`"""
        if retries:
            raise NotOffered
        return self.pool.apply_async(function, arguments, callback=callback, task_timeout=timeout, **self.options)

    def get(self, handle):
        """`get()`"""
        return handle.get()

    def map(self, function, items):
        """`map`, an item at a time"""
        return self.pool.map(function, items, chunk_size=1, **self.options)

    def stream(self, function, items):
        """`imap`"""
        return self.pool.imap(function, items, iterable_len=None if hasattr(items, "__len__") else 10**9, chunk_size=1)

    def end(self):
        """`stop_and_join`"""
        self.pool.stop_and_join()

    def stop(self):
        """`terminate`"""
        self.pool.terminate()


class Pebble(Library):
    """pebble's ProcessPool."""

    slug = title = module = "pebble"
    distribution = "Pebble"

    def open(self, initializer=None, initargs=(), lifetime=None):
        """A ProcessPool."""
        import pebble

        self.pool = pebble.ProcessPool(WORKERS, max_tasks=lifetime or 0, initializer=initializer, initargs=initargs)

    def submit(self, function, *arguments, callback=None, timeout=None, retries=None):
        """`schedule`, `add_done_callback`"""
        if retries:
            raise NotOffered
        future = self.pool.schedule(function, args=arguments, timeout=timeout)
        if callback:
            future.add_done_callback(callback)
        return future

    def get(self, handle):
        """`result()`"""
        return handle.result()

    def map(self, function, items):
        """`list(map(...).result())`"""
        return list(self.pool.map(function, items).result())

    def stream(self, function, items):
        """`map(...).result()`"""
        return self.pool.map(function, items).result()

    def end(self):
        """`close`, `join`"""
        self.pool.close()
        self.pool.join()

    def stop(self):
        """`stop`, `join`"""
        self.pool.stop()
        self.pool.join()


ALL = (Allcores, Multiprocessing, Futures, Loky, Mpire, Pebble)
BY_SLUG = {library.slug: library for library in ALL}
