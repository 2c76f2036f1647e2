"""Whole programs: however they are run, without a guard, and whichever way they end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.timeout(50)

#: A program without `if __name__ == "__main__":`, with a lambda, and a function and a class of its own.
UNGUARDED = textwrap.dedent(
    """
    import allcores

    class Point:
        def __init__(self, x):
            self.x = x

    def double(point):
        return Point(2 * point.x)

    offset = 100
    with allcores.Pool(2) as pool:
        print(pool.map(lambda n: n * n + offset, range(5)))
        points = pool.map(double, [Point(1), Point(2)])
        print([type(point) is Point for point in points], [point.x for point in points])
        print(list(pool.imap(Point(7).__class__.__name__.join, [["a", "b"]])))
        print(sorted(p.x for p in pool.imap_unordered(Point, range(3))))
        print(pool.apply(lambda: __name__))
    print("end")
    """
)
PRINTED = [
    "[100, 101, 104, 109, 116]",
    "[True, True] [2, 4]",
    "['aPointb']",
    "[0, 1, 2]",
    "__main__",
    "end",
]

#: All that Python can say against a program.
STRICT = ["-X", "dev", "-W", "error"]


def check(done: subprocess.CompletedProcess[str]) -> None:
    assert done.stderr == ""
    assert done.stdout.splitlines() == PRINTED
    assert done.returncode == 0


def run(*arguments: str, stdin: str | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *STRICT, *arguments],
        input=stdin, capture_output=True, text=True, timeout=40, check=False, cwd=cwd,
    )  # fmt: skip


def test_an_unguarded_program_runs_as_a_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(UNGUARDED)
    check(run(str(tmp_path / "script.py")))
    check(run("script.py", cwd=tmp_path))


def test_an_unguarded_program_runs_by_dash_c() -> None:
    check(run("-c", UNGUARDED))


def test_an_unguarded_program_runs_by_dash_m(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "__main__.py").write_text(UNGUARDED)
    (tmp_path / "package" / "inner.py").write_text(UNGUARDED)
    (tmp_path / "module.py").write_text(UNGUARDED)
    check(run("-m", "module", cwd=tmp_path))
    check(run("-m", "package", cwd=tmp_path))
    check(run("-m", "package.inner", cwd=tmp_path))


def test_an_unguarded_program_runs_from_standard_input() -> None:
    check(run("-", stdin=UNGUARDED))


def test_an_unguarded_program_runs_as_a_folder_and_as_an_archive(tmp_path: Path) -> None:
    import zipapp

    source = tmp_path / "source"
    source.mkdir()
    (source / "__main__.py").write_text(UNGUARDED)
    check(run(str(source)))
    zipapp.create_archive(source, tmp_path / "program.pyz")
    check(run(str(tmp_path / "program.pyz")))


def test_an_unguarded_program_runs_under_runpy_and_exec(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(UNGUARDED)
    check(run("-c", "import runpy; runpy.run_path('script.py', run_name='__main__')", cwd=tmp_path))
    check(run("-c", "import pathlib; exec(pathlib.Path('script.py').read_text())", cwd=tmp_path))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_an_unguarded_program_runs_with_every_context(method: str) -> None:
    script = UNGUARDED.replace("allcores.Pool(2)", f"allcores.Pool(2, context=allcores.get_context({method!r}))")
    if method == "fork":  # CPython 3.12 and later warn of forking with threads, which is what was asked for
        script = "import warnings; warnings.filterwarnings('ignore', '.*fork', DeprecationWarning)\n" + script
    check(run("-c", script))


def test_a_program_with_a_guard_runs_too(tmp_path: Path) -> None:
    body = UNGUARDED[UNGUARDED.index("offset =") :]
    guarded = UNGUARDED[: UNGUARDED.index("offset =")]
    guarded += "if __name__ == '__main__':\n" + textwrap.indent(body, "    ")
    (tmp_path / "script.py").write_text(guarded)
    check(run(str(tmp_path / "script.py")))


def test_the_main_module_is_not_run_again_in_workers(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "print('once')\nimport allcores\nwith allcores.Pool(2) as pool: print(pool.map(lambda n: n, range(3)))\n"
    )
    done = run(str(tmp_path / "script.py"))
    assert (done.stdout, done.stderr) == ("once\n[0, 1, 2]\n", "")


def test_functions_of_a_module_beside_the_script_are_imported_by_workers(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("def f(n): return n + 1\nclass C: pass\n")
    (tmp_path / "script.py").write_text(
        "import allcores, beside\n"
        "with allcores.Pool(2) as pool:\n"
        "    print(pool.map(beside.f, range(3)), type(pool.apply(beside.C)) is beside.C)\n"
    )
    done = run(str(tmp_path / "script.py"), cwd=Path("/"))
    assert (done.stdout, done.stderr) == ("[1, 2, 3] True\n", "")


# A Jupyter kernel


def test_an_unguarded_program_runs_in_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    kernel = tmp_path / "kernels" / "here"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(
        json.dumps(
            {
                "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                "display_name": "here",
                "language": "python",
            }
        )
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    cells = [
        UNGUARDED,
        "pool = allcores.Pool(2)\ndef f(n):\n    return n + 1\nprint(pool.map(f, range(3)))",
        "def f(n):\n    return n + 1000\nprint(pool.map(f, range(3)))",  # defined anew in a later cell
        "offset = 5\nprint(pool.map(lambda n: n + offset, range(3)))",
        "r = pool.map(lambda n: n, range(20), progress=True)\nprint(len(r))",
        "print(await pool.apply_async(f, (1,)))",
        "pool.close(); pool.join(); print('closed')",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    script = tmp_path / "execute.py"  # in a process of its own: nbclient's threads and sockets are not ours to check
    nbformat.write(notebook, tmp_path / "in.ipynb")
    script.write_text(
        "import nbformat, nbclient\n"
        f"notebook = nbformat.read({str(tmp_path / 'in.ipynb')!r}, 4)\n"
        "nbclient.NotebookClient(notebook, timeout=40, kernel_name='here').execute()\n"
        f"nbformat.write(notebook, {str(tmp_path / 'out.ipynb')!r})\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=45, check=False)
    assert done.returncode == 0, done.stderr
    assert nbclient
    printed = [
        "".join(output["text"] for output in cell["outputs"] if output.get("name") == "stdout").splitlines()
        for cell in nbformat.read(tmp_path / "out.ipynb", 4)["cells"]
    ]
    assert printed == [
        PRINTED,
        ["[1, 2, 3]"],
        ["[1000, 1001, 1002]"],
        ["[5, 6, 7]"],
        ["20"],
        ["1001"],
        ["closed"],
    ]


# Ways to end. Each program prints the pids of its workers; none of them may be left.


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Programs to be killed at the end, should they still run."""
    programs: list[subprocess.Popen[str]] = []
    yield programs
    for program in programs:
        if program.poll() is None:
            program.kill()
        program.communicate()


def start(
    started: list[subprocess.Popen[str]], script: str, *options: str
) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """Start a program, wait until it prints `ready`; it, and all processes that descend from it."""
    program = subprocess.Popen(
        [sys.executable, *options, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    started.append(program)
    assert program.stdout is not None
    line = program.stdout.readline()
    assert line == "ready\n", (line, program.stderr.read() if program.stderr and line != "ready\n" else "")
    return program, psutil.Process(program.pid).children(recursive=True)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    left = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                left.append(process)
        except psutil.NoSuchProcess:
            continue
    return left


def gone_within(processes: list[psutil.Process], seconds: float) -> bool:
    give_up = time.monotonic() + seconds
    while alive(processes):
        if time.monotonic() > give_up:
            return False
        time.sleep(0.01)
    return True


MAPPING = """
    import allcores, time
    def work(n):
        time.sleep(60)
    pool = allcores.Pool(2)
    pool.map(abs, range(10), chunksize=1)
    while pool.stats().alive < 2:
        pool.map(time.sleep, [0.1] * 4)
    print("ready", flush=True)
    {call}
"""

CALLS = [
    "pool.map(work, range(10))",
    "pool.apply(work, (1,))",
    "pool.apply_async(work, (1,)).get()",
    "list(pool.imap(work, iter(int, 1)))",
    "[r.get() for r in [pool.apply_async(work, (n,)) for n in range(100)]]",
]


@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_gives_one_traceback_and_leaves_no_process(started: list[subprocess.Popen[str]], call: str) -> None:
    program, children = start(started, MAPPING.format(call=call))
    assert len(children) >= 2
    time.sleep(0.1)
    began = time.monotonic()
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does: to the foreground group
    _, errors = program.communicate(timeout=10)
    took = time.monotonic() - began
    assert program.returncode == -signal.SIGINT
    assert errors.count("Traceback (most recent call last)") == 1, errors
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert 'File "<string>"' in errors
    assert took < 1.5
    assert gone_within(children, 1.0)


def test_ctrl_c_reaches_the_program_also_within_a_with_block(started: list[subprocess.Popen[str]]) -> None:
    script = """
        import allcores, time
        with allcores.Pool(2) as pool:
            pool.map(abs, range(10))
            print("ready", flush=True)
            try:
                pool.map(time.sleep, [60] * 4)
            except KeyboardInterrupt:
                print("caught", pool.apply_async(abs, (-3,)).get(10), flush=True)
        print("end")
    """
    program, children = start(started, script)
    time.sleep(0.1)
    os.killpg(program.pid, signal.SIGINT)
    output, errors = program.communicate(timeout=10)
    assert (output, errors) == ("caught 3\nend\n", "")
    assert program.returncode == 0
    assert gone_within(children, 1.0)


@pytest.mark.parametrize("method", [None, "fork", "spawn"])
def test_a_killed_program_leaves_no_process(started: list[subprocess.Popen[str]], method: str | None) -> None:
    script = MAPPING.format(call="pool.map(work, range(10))")
    if method:
        script = script.replace("Pool(2)", f"Pool(2, context=allcores.get_context({method!r}))")
    program, children = start(started, script, "-W", "ignore")
    assert len(children) >= 2
    time.sleep(0.1)
    program.kill()
    program.wait(10)
    assert gone_within(children, 1.5), alive(children)


def test_a_killed_program_leaves_nothing_that_its_tasks_have_started(started: list[subprocess.Popen[str]]) -> None:
    script = """
        import allcores, subprocess, time
        pool = allcores.Pool(1)
        pool.apply(lambda: subprocess.Popen(["sleep", "60"]) and None)
        print("ready", flush=True)
        time.sleep(60)
    """
    program, children = start(started, script)
    assert any(child.name() == "sleep" for child in children)
    program.kill()
    program.wait(10)
    assert gone_within(children, 3.0), alive(children)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminated_program_leaves_no_process(started: list[subprocess.Popen[str]], number: int) -> None:
    program, children = start(started, MAPPING.format(call="pool.map(work, range(10))"))
    os.kill(program.pid, number)
    assert program.wait(10) == -number
    assert gone_within(children, 1.5), alive(children)


ENDINGS = {
    "idle": "",
    "never used": "pool = allcores.Pool(2)",
    "busy": "pool.apply_async(time.sleep, (60,))",
    "many waiting": "[pool.apply_async(time.sleep, (60,)) for _ in range(100)]",
    "mapping": "result = pool.map_async(time.sleep, [60] * 10)",
    "iterating": "results = pool.imap(abs, iter(int, 1)); next(results)",
    "iterating slowly": "results = pool.imap(time.sleep, iter(lambda: 60, 1))",
    "closed": "pool.close()",
    "terminated": "pool.terminate()",
    "in a cycle": "class A: pass\na = A(); a.pool = pool; a.self = a; del a, pool",
    "threads": "p = allcores.Pool(2, engine='threads'); p.apply_async(time.sleep, (60,)); p.map(abs, range(5))",
    "serial": "p = allcores.Pool(2, engine='serial'); p.map(abs, range(5))",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_program_that_ends_with_its_pool_alive_ends_quickly_and_cleanly(ending: str) -> None:
    script = (
        "import allcores, time, warnings\n"
        "warnings.simplefilter('ignore', ResourceWarning)\n"
        "pool = allcores.Pool(2)\npool.map(abs, range(10))\nprint('ready', flush=True)\n"
    )
    began = time.monotonic()
    done = run("-c", script + ENDINGS[ending] + "\n")
    assert (done.stdout, done.stderr, done.returncode) == ("ready\n", "", 0)
    assert time.monotonic() - began < 8


def test_a_program_that_ends_with_its_pool_alive_leaves_no_process(started: list[subprocess.Popen[str]]) -> None:
    script = """
        import allcores, time
        pool = allcores.Pool(2)
        pool.map_async(time.sleep, [60] * 10)
        pool.apply_async(abs, (1,))
        time.sleep(0.3)
        print("ready", flush=True)
        input()
    """
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    started.append(program)
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    children = psutil.Process(program.pid).children(recursive=True)
    assert len(children) >= 2
    _, errors = program.communicate("\n", timeout=10)
    assert program.returncode == 0
    assert errors == ""
    assert gone_within(children, 1.0), alive(children)


@pytest.mark.parametrize(
    ("last", "code", "errors"),
    [
        ("raise SystemExit(5)", 5, r"^$"),
        ("1 / 0", 1, r"^Traceback (?s:.*)ZeroDivisionError: division by zero\n$"),
        ("import os; os._exit(6)", 6, r"^$"),
        ("import os, signal; os.abort()", -signal.SIGABRT, r""),
    ],
)
def test_however_a_program_ends_its_exit_code_is_its_own_and_nothing_is_left(
    last: str, code: int, errors: str, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    script = (
        "import allcores, os, time\npool = allcores.Pool(2)\n"
        "pids = set(pool.map(lambda _: time.sleep(0.05) or os.getpid(), range(6), chunksize=1))\n"
        f"print(*pids, file=open({str(pids)!r}, 'w'), flush=True)\n"
        "pool.apply_async(time.sleep, (60,))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script + last], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == code
    assert re.search(errors, done.stderr), done.stderr
    workers = [int(pid) for pid in pids.read_text().split()]
    assert workers
    give_up = time.monotonic() + 1.5
    while left := [pid for pid in workers if psutil.pid_exists(pid)]:
        assert time.monotonic() < give_up, left
        time.sleep(0.01)


@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="CPython 3.12 lets exit handlers start no thread")
def test_exit_handlers_of_the_program_may_still_use_a_pool() -> None:
    script = """
        import atexit, allcores
        @atexit.register
        def last():
            with allcores.Pool(1) as pool:
                print(pool.apply(abs, (-1,)))
        with allcores.Pool(1) as pool:
            pool.apply(abs, (1,))
    """
    done = run("-c", textwrap.dedent(script))
    assert (done.stdout, done.stderr, done.returncode) == ("1\n", "", 0)


def test_what_tasks_print_appears_and_comes_before_their_result() -> None:
    script = """
        import allcores
        with allcores.Pool(1) as pool:
            pool.apply(print, ("from the worker",))
            pool.apply(lambda: print("without an end of line", end=""))
            print("|from the program", flush=True)
    """
    done = run("-c", textwrap.dedent(script))
    assert done.stderr == ""
    assert done.stdout.replace("line\n|", "line|") == "from the worker\nwithout an end of line|from the program\n"


@pytest.mark.parametrize("closed", ["stdout", "stderr", "stdin", "all"])
def test_a_program_without_standard_streams_works(closed: str, tmp_path: Path) -> None:
    path = tmp_path / "result"
    script = (
        "import allcores\nwith allcores.Pool(2) as pool:\n"
        f"    values = pool.map(lambda n: print(n) or n, range(5))\nopen({str(path)!r}, 'w').write(repr(values))\n"
    )
    numbers = {"stdin": (0,), "stdout": (1,), "stderr": (2,), "all": (0, 1, 2)}[closed]
    redirections = " ".join(f"{number}>&-" if number else "0<&-" for number in numbers)
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {redirections}', sys.executable, script],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert path.read_text() == "[0, 1, 2, 3, 4]"


def test_interpreter_options_reach_the_workers() -> None:
    script = (
        "import allcores, sys\nwith allcores.Pool(1) as pool:\n"
        "    print(pool.apply(lambda: (sys.flags.optimize, sys.flags.dev_mode, sys.flags.utf8_mode)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-O", "-X", "dev", "-X", "utf8", "-c", script],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("(1, True, 1)\n", "")


def test_a_pool_works_in_a_child_of_multiprocessing_and_after_a_fork(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        textwrap.dedent(
            """
            import allcores, multiprocessing, os, sys
            def child(queue):
                with allcores.Pool(2) as pool:
                    queue.put(pool.map(lambda n: n + 1, range(3)))
            if __name__ == "__main__":
                with allcores.Pool(1) as pool:
                    pool.apply(abs, (1,))
                    for method in ("spawn", "fork"):
                        context = multiprocessing.get_context(method)
                        queue = context.Queue()
                        process = context.Process(target=child, args=(queue,))
                        process.start()
                        print(queue.get(timeout=20))
                        process.join()
                        print(process.exitcode)
                    print(pool.apply(abs, (-2,)))
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "script.py"], capture_output=True, text=True, timeout=40, check=False, cwd=tmp_path
    )
    assert (done.stdout.split("\n"), done.stderr) == (["[1, 2, 3]", "0", "[1, 2, 3]", "0", "2", ""], "")
