"""What a case is."""

from dataclasses import dataclass

#: How a case that ends its own program is looked at from outside.
ENDS = "ends"
KILLED = "killed"
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        name: on the command line.
        title: what happens.
        test: the test of allcores that is named after the row.
        run: ``run(library, folder)``.
        aftermath: how the runner looks at the end of the program; None where the case speaks for itself.
    """

    name: str
    title: str
    test: str
    run: object
    aftermath: str | None = None


class Cases(list):
    """Cases, in the order of the table."""

    def add(self, name, title, test, aftermath=None):
        """A decorator that makes a function one of them; the parameters are the attributes of `Case`."""

        def add(run):
            self.append(Case(name, title, test, run, aftermath))
            return run

        return add
