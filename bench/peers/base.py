"""What every adapter is made of."""


class Unable(Exception):
    """Raised by an adapter whose library cannot do what is asked; the text says why."""


class Peer:
    """One library.

    Attributes:
        slug: the name on the command line and in the JSON.
        title: the name in tables.
        module: what must be importable for the peer to be present.
        distribution: whose version is noted; empty for the standard library.
        reference: a floor or a yardstick, not a competitor: it does not do the whole work.
        subjects: what it is a library of; it is not mentioned in rows of another subject.
    """

    slug = ""
    title = ""
    module = ""
    distribution = ""
    reference = False
    subjects = ("pools",)

    # What a shared array hangs on, so that it stays shared until the peer is closed.
    shared = None

    def open(self, workers):
        """Import the library and make a pool of so many workers."""
        raise NotImplementedError

    def close(self):
        """Leave nothing running."""
        raise NotImplementedError
