"""The floors of the house: what may import what, as DESIGN section 3 has them. By reading the sources."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent.parent / "src"

#: From the ground up; each floor stands only on those below it, and rooms on one floor may know each other.
FLOORS: list[set[str]] = [
    {"allcores.errors", "allcores.watch", "allcores.cpu", "allcores.arguments"},
    {"allcores.engine"},
    {
        "allcores.lanes",
        "allcores.results",
        "allcores.sync",
        "allcores.process",
        "allcores.seeding",
    },
    {"allcores.pool", "allcores.executor"},
    {"allcores.jobs"},
    {"allcores.cli", "allcores.__main__"},
]


def modules() -> dict[str, Path]:
    """Every module of the package, by its dotted name."""
    found = {}
    for path in SOURCES.glob("allcores/**/*.py"):
        parts = path.relative_to(SOURCES).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(module: str, *, lazy: bool = True) -> set[str]:
    """The modules of allcores that a module imports; without `lazy`, only those that it imports at once."""
    tree = ast.parse(MODULES[module].read_text())
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in statements(tree, lazy):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in MODULES else base)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in MODULES:
            found.add(node.value)  # importlib.import_module("allcores.…"), and tables of such names
    return {name for name in found if name in MODULES} - {module}


def statements(tree: ast.AST, lazy: bool) -> Iterator[ast.AST]:
    """All nodes but those for type checkers only; and, unless `lazy`, but those inside functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if not lazy and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        yield node
        yield from statements(node, lazy)


def floor_of(module: str) -> int | None:
    """The floor that a module is on; None for the package itself, which is the front door."""
    for number, rooms in enumerate(FLOORS):
        if any(module == room or module.startswith(f"{room}.") for room in rooms):
            return number
    return None


def test_every_module_has_its_floor() -> None:
    homeless = [module for module in MODULES if floor_of(module) is None]
    assert homeless == ["allcores"]


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"allcores"}))
def test_a_module_imports_nothing_from_above(module: str) -> None:
    floor = floor_of(module)
    assert floor is not None
    above = {name for name in imports(module) if name != "allcores" and (floor_of(name) or 0) > floor}
    assert not above


def test_watch_and_errors_know_neither_engine_nor_lanes() -> None:
    for module in MODULES:
        if module.startswith("allcores.watch") or module in ("allcores.errors", "allcores.cpu"):
            assert not {name for name in imports(module) if name.startswith(("allcores.engine", "allcores.lanes"))}


def test_the_engine_knows_no_lane_by_name_and_no_face() -> None:
    for module in MODULES:
        if module.startswith("allcores.engine"):
            known = {name.split(".")[1] for name in imports(module) if name != "allcores"}
            assert known <= {"engine", "errors", "watch", "cpu"}, module


def test_lanes_know_neither_results_nor_faces() -> None:
    for module in MODULES:
        if module.startswith("allcores.lanes"):
            known = {name.split(".")[1] for name in imports(module) if name != "allcores"}
            assert known <= {"lanes", "engine", "errors", "watch", "cpu"}, module


def test_faces_do_not_reach_into_the_ways_of_starting_workers() -> None:
    for module in ("allcores.pool", "allcores.results"):
        assert not {name for name in imports(module) if name.startswith(("allcores.lanes.", "allcores.engine.worker"))}


def test_there_is_no_circle_of_imports() -> None:
    """Neither among imports that happen at once, nor among all of them."""
    for lazy in (False, True):
        graph = {module: imports(module, lazy=lazy) - {"allcores"} for module in MODULES if module != "allcores"}
        if lazy:
            graph.pop("allcores.__main__", None)
        assert circles(graph) == []


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """A circle of each group of modules that lead to one another."""
    found: list[list[str]] = []
    done: set[str] = set()

    def follow(module: str, way: list[str]) -> None:
        if module in way:
            found.append([*way[way.index(module) :], module])
            return
        if module in done:
            return
        for name in sorted(graph.get(module, ())):
            follow(name, [*way, module])
        done.add(module)

    for module in sorted(graph):
        follow(module, [])
    return found


def test_circles_finds_circles() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == [["a", "b", "c", "a"]]


def test_the_parser_sees_what_it_is_to_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sample.py"
    path.write_text(
        "from allcores.engine import codec\n"
        "TYPE_CHECKING = False\n"
        "if TYPE_CHECKING:\n"
        "    from allcores.pool import Pool\n"
        "def f():\n"
        "    import allcores.results\n"
        "    import_module('allcores.cpu')\n"
    )
    monkeypatch.setitem(MODULES, "allcores.sample", path)
    assert imports("allcores.sample") == {"allcores.engine.codec", "allcores.results", "allcores.cpu"}
    assert imports("allcores.sample", lazy=False) == {"allcores.engine.codec"}


# What a worker imports is every user's start-up time


def loaded_by(statement: str) -> set[str]:
    """The modules that a statement brings in."""
    script = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False,
                          env={}, timeout=50)  # fmt: skip
    assert done.stderr == ""
    return set(done.stdout.split())


def test_the_worker_loop_imports_few_modules() -> None:
    loaded = loaded_by(f"sys.path.insert(0, {str(SOURCES)!r}); import allcores.lanes.start.bootstrap")
    ours = {name for name in loaded if name.startswith("allcores")}
    for heavy in ("allcores.pool", "allcores.results", "allcores.engine.scheduler", "allcores.engine.reactor",
                  "allcores.engine.lane",
                  "allcores.lanes.processes", "allcores.watch"):  # fmt: skip
        assert heavy not in ours
    for heavy in ("asyncio", "logging", "typing", "concurrent", "inspect", "traceback", "cloudpickle", "psutil",
                  "tqdm", "subprocess", "tempfile", "socketserver"):  # fmt: skip
        assert heavy not in loaded
    assert len(ours) <= 17
    assert len(loaded) <= 90


def test_a_workers_modules_after_its_first_task_are_few() -> None:
    script = """
import allcores, sys
with allcores.Pool(1) as pool:
    pool.apply(abs, (1,))
    print(len(pool.apply(eval, ("list(__import__('sys').modules)",))))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=False)
    assert done.stderr == ""
    assert int(done.stdout) < 200


@pytest.mark.parametrize("name", ["tqdm", "psutil", "numpy", "asyncio", "cloudpickle"])
def test_a_simple_map_in_the_program_imports_nothing_heavy(name: str) -> None:
    script = f"""
import allcores, sys
with allcores.Pool(1) as pool:
    pool.map(abs, range(10))
    print({name!r} in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=False)
    assert (done.stdout.strip(), done.stderr) == ("False", "")
