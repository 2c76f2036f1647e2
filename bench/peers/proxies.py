"""Locks that live in a process of their own, with which every use of them talks."""

from bench.peers.base import Peer


class Manager(Peer):
    """The standard library's manager: locks of `threading` in a server, and proxies for them."""

    slug = "manager"
    title = "multiprocessing.Manager"
    module = "multiprocessing.managers"
    subjects = ("locks",)

    def locks(self):
        """`multiprocessing.Manager().Lock()` and so on: a proxy of each"""
        import multiprocessing

        return multiprocessing.Manager()  # ends with the interpreter
