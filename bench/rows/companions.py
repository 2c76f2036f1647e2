"""Processes beside the one that measures: forked by the standard library for every peer, so that only locks differ."""


class Companions:
    """Some processes that do the same work beside this one. Used in a `with` block, at whose end they are killed.

    Args:
        count: how many.
        work: called in each with its number, from 0, and the arguments.
    """

    def __init__(self, count, work, *arguments):
        import multiprocessing

        fork = multiprocessing.get_context("fork").Process
        self._processes = [fork(target=work, args=(number, *arguments), daemon=True) for number in range(count)]

    def join(self):
        """Wait until all have done their work."""
        for process in self._processes:
            process.join()

    def __enter__(self):
        for process in self._processes:
            process.start()
        return self

    def __exit__(self, *_):
        for process in self._processes:
            process.kill()
        self.join()
