"""Libraries made for clusters, each on a local cluster of its own.

They take part in the rows of fine tasks and of arrays. Their start costs seconds, which is why the other rows
leave them out (`bench.rows.base.CLUSTERS` is the reason that is printed).
"""

import os

from bench.peers.base import Peer


class Ray(Peer):
    """Ray, started on this machine, without its dashboard."""

    slug = "ray"
    title = "Ray"
    module = distribution = "ray"

    def open(self, workers):
        """`ray.init(num_cpus=workers)`."""
        import tempfile

        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report over the network
        import ray

        self.ray = ray
        self.workers = workers
        self.tasks = {}
        self.pool = None
        # The folder for temporary files is removed after the measurement; Ray's own default would stay.
        ray.init(
            num_cpus=workers,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=tempfile.gettempdir(),
        )

    def close(self):
        """Shut down what was started."""
        if self.pool is not None:
            self.pool.terminate()
        self.ray.shutdown()

    def task(self, f):
        """The remote function, decorated once as a user's program would."""
        if f not in self.tasks:
            self.tasks[f] = self.ray.remote(f)
        return self.tasks[f]

    def actors(self):
        """Ray's own imitation of multiprocessing.Pool; its actors keep all the cores, so it is made when needed."""
        if self.pool is None:
            from ray.util.multiprocessing import Pool

            self.pool = Pool(self.workers)
        return self.pool

    def flood(self, f, n):
        """`task.remote(i)` n times, then `ray.get` of all"""
        submit = self.task(f).remote
        return self.ray.get([submit(i) for i in range(n)])

    def unordered(self, f, items):
        """`ray.util.multiprocessing.Pool.imap_unordered(f, items)`"""
        return self.actors().imap_unordered(f, items, chunksize=1)

    def lone(self, f, x):
        """`ray.get(task.remote(x))`"""
        return self.ray.get(self.task(f).remote(x))

    def map(self, f, items):
        """`ray.util.multiprocessing.Pool.map(f, items)`"""
        return self.actors().map(f, items)

    def share(self, f, array, n):
        """`reference = ray.put(array)`, then `task.remote(reference, i)` n times and `ray.get` of all"""
        self.shared = reference = self.ray.put(array)
        submit = self.task(f).remote
        return self.ray.get([submit(reference, i) for i in range(n)])


class Dask(Peer):
    """Dask's distributed scheduler with a LocalCluster of processes, one thread in each."""

    slug = "dask"
    title = "Dask"
    module = distribution = "distributed"

    def open(self, workers):
        """`Client(LocalCluster(n_workers=workers, threads_per_worker=1))`."""
        import tempfile

        import distributed

        self.distributed = distributed
        self.cluster = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            local_directory=tempfile.gettempdir(),
        )
        self.client = distributed.Client(self.cluster)

    def close(self):
        """Shut down what was started."""
        self.shared = None
        self.client.close()
        self.cluster.close()

    # `pure=False` everywhere: otherwise Dask would recognise a call that it has made before, and not make it.

    def flood(self, f, n):
        """`submit(f, i, pure=False)` n times, then `gather`"""
        submit = self.client.submit
        return self.client.gather([submit(f, i, pure=False) for i in range(n)])

    def unordered(self, f, items):
        """`as_completed(client.map(f, items, pure=False), with_results=True)`"""
        futures = self.client.map(f, items, pure=False)
        return (result for _, result in self.distributed.as_completed(futures, with_results=True))

    def lone(self, f, x):
        """`submit(f, x, pure=False).result()`"""
        return self.client.submit(f, x, pure=False).result()

    def send(self, f, array):
        """`submit(f, client.scatter(array), pure=False).result()`, as its manual asks for large arguments"""
        return self.client.submit(f, self.client.scatter(array, hash=False), pure=False).result()

    def map(self, f, items):
        """`dask.bag.from_sequence(items).map(f).compute()`, partitions by itself"""
        import dask.bag

        return dask.bag.from_sequence(items).map(f).compute()

    def share(self, f, array, n):
        """`future = client.scatter(array, broadcast=True)`, then `submit(f, future, i)` n times and `gather`"""
        self.shared = future = self.client.scatter(array, broadcast=True, hash=False)
        submit = self.client.submit
        return self.client.gather([submit(f, future, i, pure=False) for i in range(n)])
