"""Workers as good citizens: what they log and print arrives; threads and random numbers are as they should be."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import allcores
import reliability_tasks as tasks
from allcores import Pool, WorkerDied

pytestmark = pytest.mark.timeout(45)

WaitUntil = Callable[..., None]

#: Seconds after which a result that has not come never will.
SOON = 15.0

_PATHS = os.pathsep.join([str(Path(allcores.__file__).parents[1]), str(Path(__file__).parent)])


def run_program(folder: Path, source: str, **variables: str | None) -> str:
    """Run a program; what it prints. Its errors fail the test."""
    script = folder / "program.py"
    script.write_text("import os, subprocess, sys, time\nfrom allcores import Pool\n" + source)
    environment = {**os.environ, "PYTHONPATH": _PATHS, **variables}
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={name: value for name, value in environment.items() if value is not None},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# Log records


def test_log_records_reach_the_programs_handlers(caplog: pytest.LogCaptureFixture) -> None:
    def work(x: int) -> int:
        logging.getLogger("job.part").warning("item %d of %s", x, ["many"])
        return x

    with Pool(2, name="crew") as pool:
        assert pool.map(work, range(30)) == list(range(30))
        records = [record for record in caplog.records if record.name == "job.part"]
        assert sorted(record.getMessage() for record in records) == sorted(f"item {x} of ['many']" for x in range(30))
        assert {record.processName for record in records} <= {"crew-1", "crew-2"}
        assert {record.process for record in records} <= {entry.pid for entry in pool.stats().workers}
        assert {record.levelno for record in records} == {logging.WARNING}
        assert {record.funcName for record in records} == {"work"}
        assert all(record.pathname == __file__ for record in records)


def test_log_records_come_before_the_tasks_result(one: Pool, caplog: pytest.LogCaptureFixture) -> None:
    def work(x: int) -> int:
        logging.getLogger("job").warning("%d", x)
        return x

    for x in range(20):
        one.apply(work, (x,))
        assert caplog.records[-1].getMessage() == str(x)


def test_levels_are_the_programs(caplog: pytest.LogCaptureFixture) -> None:
    def work() -> list[bool]:
        logging.getLogger("quiet").info("not to be heard")
        logging.getLogger("loud.part").debug("to be heard")
        return [
            logging.getLogger("quiet").isEnabledFor(logging.INFO),
            logging.getLogger("loud.part").isEnabledFor(logging.DEBUG),
        ]

    with caplog.at_level(logging.ERROR, "quiet"), caplog.at_level(logging.DEBUG, "loud"), Pool(1) as pool:
        assert pool.apply(work) == [False, True]
    assert [record.getMessage() for record in caplog.records if record.name != "asyncio"] == ["to be heard"]


def test_an_exception_in_a_log_record_arrives_as_text(one: Pool, caplog: pytest.LogCaptureFixture) -> None:
    def work() -> None:
        try:
            raise LookupError("deep down")
        except LookupError:
            logging.getLogger("job").exception("it failed")

    one.apply(work)
    assert "LookupError: deep down" in caplog.text
    assert "in work" in caplog.text


@pytest.mark.parametrize("what", ["lock", "refuses to load", "exits when loaded"])
def test_a_log_record_with_odd_attributes_costs_nobody(one: Pool, caplog: pytest.LogCaptureFixture, what: str) -> None:
    def work() -> str:
        odd: Any = {
            "lock": threading.Lock,
            "refuses to load": tasks.TwoArguments,
            "exits when loaded": tasks.ValueExitsWhenLoaded,
        }[what]
        value = odd(1, "x") if what == "refuses to load" else odd()
        logging.getLogger("job").warning("odd", extra={"odd": value})
        return "done"

    assert one.apply_async(work).get(SOON) == "done"
    assert one.apply_async(tasks.same, (1,)).get(SOON) == 1
    if what == "lock":
        assert "odd" in caplog.text


class Raises(logging.Handler):
    """A handler of the program that is broken."""

    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError("a broken handler")


@pytest.mark.parametrize("name", ["", "job"])
@pytest.mark.parametrize("way", ["apply", "apply_async", "map"])
def test_a_broken_handler_costs_no_result(processes: Pool, name: str, way: str) -> None:
    handler = Raises()
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    try:

        def work(x: int) -> int:
            logging.getLogger("job").warning("item %d", x)
            return x

        for _ in range(3):
            if way == "apply":
                done: list[int] = []
                thread = threading.Thread(target=lambda: done.append(processes.apply(work, (1,))), daemon=True)
                thread.start()
                thread.join(SOON)
                assert done == [1]
            elif way == "apply_async":
                assert processes.apply_async(work, (1,)).get(SOON) == 1
            else:
                assert processes.map_async(work, range(20)).get(SOON) == list(range(20))
    finally:
        logger.removeHandler(handler)


def test_a_worker_that_logs_and_dies_has_been_heard(one: Pool, caplog: pytest.LogCaptureFixture) -> None:
    def work() -> None:
        logging.getLogger("job").warning("last words")
        tasks.die("SIGKILL")

    with pytest.raises(WorkerDied):
        one.apply(work)
    assert "last words" in caplog.text


def test_a_flood_of_log_records(processes: Pool, caplog: pytest.LogCaptureFixture) -> None:
    def work(x: int) -> int:
        for number in range(100):
            logging.getLogger("flood").warning("%d %s", number, "x" * 500)
        return x

    assert processes.map_async(work, range(20)).get(SOON * 2) == list(range(20))
    assert sum(record.name == "flood" for record in caplog.records) == 2000


# Warnings


def test_warnings_reach_the_program(one: Pool) -> None:
    def work(x: int) -> int:
        warnings.warn(f"item {x}", RuntimeWarning, stacklevel=1)
        return x

    with pytest.warns(RuntimeWarning, match="item 3") as caught:
        assert one.apply(work, (3,)) == 3
    assert caught[0].filename == __file__


def test_filters_are_the_programs(tmp_path: Path) -> None:
    def work() -> str:
        warnings.warn("to be ignored", UserWarning, stacklevel=1)
        try:
            warnings.warn("to be raised", DeprecationWarning, stacklevel=1)
        except DeprecationWarning:
            return "raised"
        return "not raised"

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", DeprecationWarning)
        with Pool(1) as pool:
            assert pool.apply(work) == "raised"
    assert not [warning for warning in caught if "ignored" in str(warning.message)]


# What is printed


@pytest.mark.parametrize("way", ["apply", "map", "apply_async", "imap"])
def test_prints_come_before_results(tmp_path: Path, way: str) -> None:
    call = {
        "apply": "for x in range(5): print('result', pool.apply(work, (x,)))",
        "map": "for x in range(5): print('result', *pool.map(work, [x]))",
        "apply_async": "for x in range(5): print('result', pool.apply_async(work, (x,)).get())",
        "imap": "for x in range(5): print('result', *pool.imap(work, [x]))",
    }[way]
    out = run_program(
        tmp_path, f"def work(x):\n    print('task', x)\n    return x\nwith Pool(1) as pool:\n    {call}\n"
    )
    assert out.splitlines() == [line for x in range(5) for line in (f"task {x}", f"result {x}")]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_lines_of_several_workers_do_not_mix(processes: Pool, capfd: pytest.CaptureFixture[str], stream: str) -> None:
    def work(x: int) -> int:
        for _ in range(20):
            print(f"{x:03}" * 60, file=getattr(sys, stream))
        return x

    processes.map(work, range(50))
    captured = getattr(capfd.readouterr(), stream[3:])
    lines = captured.splitlines()
    assert len(lines) == 1000
    assert sorted(set(lines)) == [f"{x:03}" * 60 for x in range(50)]


def test_half_a_line_comes_out_with_the_result(one: Pool, capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        print("no end of line", end="")

    one.apply(work)
    assert capfd.readouterr().out == "no end of line"


def test_what_c_code_and_other_programs_print_arrives(
    one: Pool, capfd: pytest.CaptureFixture[str], wait_until: WaitUntil
) -> None:
    def work() -> None:
        os.write(1, b"from os.write\n")
        os.write(2, b"to the errors\n")
        subprocess.run(["echo", "from echo"], check=True)

    one.apply(work)
    one.close()
    one.join()  # by the end of the pool at the latest
    captured = capfd.readouterr()
    assert sorted(captured.out.splitlines()) == ["from echo", "from os.write"]
    assert captured.err == "to the errors\n"


def test_what_is_printed_goes_where_the_programs_own_prints_go(one: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    elsewhere = io.StringIO()
    monkeypatch.setattr(sys, "stdout", elsewhere)
    one.apply(lambda: print("caught"))
    assert elsewhere.getvalue() == "caught\n"


@pytest.mark.parametrize("error", [RuntimeError, OSError, ValueError, UnicodeEncodeError])
def test_a_broken_stdout_costs_no_result(one: Pool, monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    class Broken:
        encoding = "ascii"

        def write(self, text: str) -> int:
            raise error("ascii", "x", 0, 1, "broken") if error is UnicodeEncodeError else error("broken")

        def flush(self) -> None:
            raise error("ascii", "x", 0, 1, "broken") if error is UnicodeEncodeError else error("broken")

    monkeypatch.setattr(sys, "stdout", Broken())
    try:
        for x in range(3):
            assert one.apply_async(lambda x: [print("lost"), x][1], (x,)).get(SOON) == x
    finally:
        monkeypatch.undo()
    assert one.apply_async(tasks.same, (1,)).get(SOON) == 1


def test_a_flood_of_prints_blocks_nobody(processes: Pool, capfd: pytest.CaptureFixture[str]) -> None:
    def work(x: int) -> int:
        print("x" * 300_000)
        return x

    assert processes.map_async(work, range(10)).get(SOON) == list(range(10))
    assert len(capfd.readouterr().out) == 10 * 300_001


def test_bytes_that_are_no_text_are_shown_all_the_same(one: Pool, capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        sys.stdout.buffer.write(b"caf\xe9 \xff\n")
        sys.stdout.flush()

    one.apply(work)
    assert capfd.readouterr().out == "caf\\xe9 \\xff\n"


def test_last_words_are_not_lost(one: Pool, capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        print("printed and not flushed by hand")
        os.write(1, b"half a line")
        os._exit(3)

    with pytest.raises(WorkerDied):
        one.apply(work)
    assert capfd.readouterr().out == "printed and not flushed by hand\nhalf a line"


def test_input_in_a_task_ends_at_once(one: Pool) -> None:
    """Workers do not take what is typed for the program."""
    with pytest.raises(EOFError):
        one.apply_async(input).get(SOON)


# Threads of numeric libraries


_PRINT_THREADS = (
    "def work():\n"
    "    return [os.environ.get(n) for n in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS')]\n"
    "with Pool({count}) as pool:\n    print(*pool.apply(work))\n"
    "print(*[os.environ.get(n) for n in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS')])\n"
)

_UNSET: dict[str, str | None] = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    )
)


@pytest.mark.parametrize("count", [1, 2, 64])
def test_numeric_libraries_get_their_share_of_the_cores(tmp_path: Path, count: int) -> None:
    out = run_program(tmp_path, _PRINT_THREADS.format(count=count), **_UNSET).splitlines()
    share = str(max(1, allcores.cpu_count() // count))
    assert out == [" ".join([share] * 3), "None None None"]  # in workers, not in the program


def test_a_number_of_threads_that_the_user_has_set_stands(tmp_path: Path) -> None:
    variables = {**_UNSET, "OMP_NUM_THREADS": "7"}
    out = run_program(tmp_path, _PRINT_THREADS.format(count=2), **variables).splitlines()
    assert out[0].split()[0] == "7"
    assert out[0].split()[1] in ("7", "None")  # OpenBLAS heeds OMP_NUM_THREADS where its own is not set


def test_a_variable_of_one_library_does_not_unleash_the_others(tmp_path: Path) -> None:
    variables = {**_UNSET, "MKL_NUM_THREADS": "7"}
    out = run_program(tmp_path, _PRINT_THREADS.format(count=64), **variables).splitlines()
    assert out[0] == "1 1 7"


def test_numpy_in_a_worker_uses_its_share(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    out = run_program(
        tmp_path,
        "def work():\n"
        "    import numpy\n"
        "    a = numpy.ones((300, 300)); a @ a\n"
        "    return len(os.listdir('/proc/self/task'))\n"
        "with Pool(64) as pool:\n    print(pool.apply(work))\n",
        **_UNSET,
    )
    assert int(out) <= 2  # the worker's own, and no team of BLAS threads


# Random numbers


def draw(_: Any = None) -> tuple[float, float]:
    return random.random(), random.gauss(0, 1)


@pytest.mark.parametrize("engine", ["processes", "serial"])
def test_a_seed_gives_the_same_numbers_for_any_number_of_workers(engine: str) -> None:
    seen = []
    for count in (1, 2, 5):
        with Pool(count, seed=42, engine=engine) as pool:
            numbers = [pool.map(draw, range(40)), list(pool.imap(draw, range(10))), pool.starmap(draw, [(1,)] * 5)]
            numbers.append([pool.apply(draw), pool.apply_async(draw).get(SOON)])
            seen.append(numbers)
    assert seen[0] == seen[1] == seen[2]
    flat = [number for numbers in seen[0] for number in numbers]
    assert len(set(flat)) == len(flat)  # and each task its own


def test_the_same_seed_on_every_engine() -> None:
    seen = []
    for engine in ("processes", "serial"):
        with Pool(2, seed=5, engine=engine) as pool:
            seen.append(pool.map(draw, range(10)))
    assert seen[0] == seen[1]


def test_another_seed_gives_other_numbers() -> None:
    with Pool(1, seed=1) as one, Pool(1, seed=2) as two:
        assert set(one.map(draw, range(10))).isdisjoint(two.map(draw, range(10)))


@pytest.mark.parametrize("lazily", [True, False])
def test_a_seed_seeds_numpy_too(lazily: bool) -> None:
    numpy = pytest.importorskip("numpy")

    def lazy(_: Any) -> float:
        import numpy as lazily_imported

        return float(lazily_imported.random.random())

    def eager(_: Any) -> float:
        return float(numpy.random.random())

    seen = []
    for count in (1, 3):
        with Pool(count, seed=7) as pool:
            seen.append(pool.map(lazy if lazily else eager, range(12)))
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 12


def test_a_seed_leaves_the_programs_own_numbers_alone() -> None:
    random.seed(1)
    expected = random.random()
    random.seed(1)
    with Pool(2, seed=3) as pool:
        pool.map(draw, range(10))
    assert random.random() == expected


def test_without_a_seed_workers_do_not_draw_the_same_numbers() -> None:
    def work(_: Any) -> float:
        time.sleep(0.05)
        return random.random()

    with Pool(4) as pool:
        numbers = pool.map(work, range(16))
    assert len(set(numbers)) == 16


# Other things that a worker takes over


def test_workers_have_the_programs_folder_arguments_path_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALLCORES_TEST", "set")
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "argv", ["prog", "--flag"])

    def look() -> tuple[Any, ...]:
        return os.getcwd(), os.environ.get("ALLCORES_TEST"), sys.path[0], sys.argv

    with Pool(1) as pool:
        assert pool.apply(look) == (str(tmp_path), "set", str(tmp_path / "modules"), ["prog", "--flag"])


def test_workers_are_called_after_their_pool() -> None:
    def name() -> str:
        import multiprocessing

        return multiprocessing.current_process().name

    with Pool(1, name="crew") as pool:
        assert pool.apply(name) == "crew-1"
        with pytest.raises(WorkerDied):
            pool.apply(tasks.die, ("_exit",))
        assert pool.apply(name) == "crew-2"


def test_a_filter_for_a_librarys_warnings_imports_no_library(tmp_path: Path) -> None:
    """It would be imported anew by each worker; while it is not there it does not warn, and then the filter is."""
    (tmp_path / "library.py").write_text(
        "import warnings\nclass Old(UserWarning): pass\ndef use(_): warnings.warn('old', Old, stacklevel=1)\n"
    )
    script = tmp_path / "program.py"
    script.write_text(
        "import sys, warnings, library\n"
        "from allcores import Pool\n"
        "warnings.simplefilter('error', library.Old)\n"
        "with Pool(1) as pool:\n"
        "    print(pool.apply(eval, (\"'library' in __import__('sys').modules\",)))\n"
        "    try:\n"
        "        pool.apply(library.use, (1,))\n"
        "    except library.Old:\n"
        "        print('raised')\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "False\nraised\n", done.stderr
