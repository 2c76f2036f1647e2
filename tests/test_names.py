"""`import allcores as multiprocessing`: the names, and whose they are."""

from __future__ import annotations

import multiprocessing
import multiprocessing.pool
import os
import pathlib
import subprocess
import sys

import pytest

import allcores

#: The public names that are allcores' own: a contract. Whoever adds one adds it here; none is ever taken away.
OURS = {
    "AsyncResult",
    "LockRecovered",
    "MaybeEncodingError",
    "MemoryLimitExceeded",
    "Pool",
    "PoolBroken",
    "RemoteError",
    "RemoteTraceback",
    "ResultIterator",
    "Retry",
    "TaskTimeout",
    "WorkerDied",
    "cpu_count",
}


@pytest.mark.parametrize("name", multiprocessing.__all__)
def test_every_public_name_of_multiprocessing_is_there(name: str) -> None:
    assert hasattr(allcores, name)
    assert name in allcores.__all__
    assert name in dir(allcores)


def test_submodules_of_multiprocessing_that_programs_reach_by_attribute_are_there() -> None:
    import multiprocessing.shared_memory

    assert allcores.shared_memory is multiprocessing.shared_memory
    assert allcores.pool is sys.modules["allcores.pool"]  # ours, with the standard library's names where they matter
    assert allcores.reduction is multiprocessing.reduction


def test_the_public_names_are_exactly_multiprocessings_and_ours() -> None:
    assert set(allcores.__all__) == {*multiprocessing.__all__, *OURS}


def test_a_star_import_brings_all_of_them() -> None:
    namespace: dict[str, object] = {}
    exec("from allcores import *", namespace)
    assert {*multiprocessing.__all__, *OURS} <= set(namespace)


def test_names_that_are_passed_on_are_the_standard_librarys_own() -> None:
    for name in ("Pipe", "Manager", "TimeoutError", "ProcessError", "get_context", "current_process",
                 "active_children", "parent_process", "freeze_support", "set_start_method", "get_logger"):  # fmt: skip
        assert getattr(allcores, name) == getattr(multiprocessing, name)
    assert allcores.RemoteTraceback is multiprocessing.pool.RemoteTraceback
    assert allcores.MaybeEncodingError is multiprocessing.pool.MaybeEncodingError


def test_errors_are_of_the_kinds_that_programs_already_catch() -> None:
    assert issubclass(allcores.TaskTimeout, multiprocessing.TimeoutError)
    assert issubclass(allcores.TaskTimeout, TimeoutError)
    assert issubclass(allcores.MemoryLimitExceeded, allcores.WorkerDied)
    for error in (allcores.WorkerDied, allcores.PoolBroken, allcores.RemoteError):
        assert issubclass(error, RuntimeError)


def test_a_name_that_there_is_not_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'allcores' has no attribute 'Pol'"):
        allcores.Pol  # noqa: B018
    assert not hasattr(allcores, "__wrapped__")


def test_the_version_is_that_of_the_package() -> None:
    pyproject = pathlib.Path(__file__).parent.parent / "pyproject.toml"
    assert f'version = "{allcores.__version__}"' in pyproject.read_text()


def test_importing_allcores_imports_little() -> None:
    """Names are imported when they are first used."""
    script = "import sys; before = set(sys.modules); import allcores; print(len(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 3


def test_the_standard_librarys_docs_first_example_runs_with_one_import_changed() -> None:
    script = """
import allcores as multiprocessing
def f(x):
    return x*x
if __name__ == '__main__':
    with multiprocessing.Pool(processes=4) as pool:
        print(pool.map(f, range(10)))
        for i in pool.imap_unordered(f, range(10)):
            assert i in [x*x for x in range(10)]
        res = pool.apply_async(f, (20,))
        print(res.get(timeout=5))
        res = pool.apply_async(multiprocessing.current_process)
        multiple_results = [pool.apply_async(f, (i,)) for i in range(4)]
        print([res.get(timeout=5) for res in multiple_results])
        import time
        res = pool.apply_async(time.sleep, (10,))
        try:
            print(res.get(timeout=0.1))
        except multiprocessing.TimeoutError:
            print("We lacked patience and got a multiprocessing.TimeoutError")
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True, text=True, timeout=50, check=False, env=dict(os.environ),
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]",
        "400",
        "[0, 1, 4, 9]",
        "We lacked patience and got a multiprocessing.TimeoutError",
    ]
