"""Which functions travel, and that what they capture is current at each call."""

from __future__ import annotations

import functools
import math
import operator
import subprocess
import sys
import textwrap
from typing import Any

import pytest

import pool_tasks as tasks
from allcores import Pool

captured_global = "first"


def test_a_lambda_travels(pool: Pool) -> None:
    assert pool.map(lambda n: n + 1, range(5)) == [1, 2, 3, 4, 5]


def test_a_closure_travels_with_what_it_captures(pool: Pool) -> None:
    offset = 10

    def add(n: int) -> int:
        return n + offset

    assert pool.map(add, range(3)) == [10, 11, 12]


def test_nested_closures_travel(pool: Pool) -> None:
    def outer(factor: int) -> Any:
        def middle(n: int) -> int:
            return inner(n) + 1

        def inner(n: int) -> int:
            return n * factor

        return middle

    assert pool.map(outer(3), range(3)) == [1, 4, 7]


def test_a_local_function_that_calls_itself_travels(pool: Pool) -> None:
    def factorial(n: int) -> int:
        return n * factorial(n - 1) if n else 1

    assert pool.apply(factorial, (10,)) == math.factorial(10)


def test_partials_travel(pool: Pool) -> None:
    assert pool.map(functools.partial(tasks.pair, "a"), [1, 2]) == [("a", 1), ("a", 2)]
    assert pool.map(functools.partial(tasks.pair, b="z"), [1]) == [(1, "z")]
    assert pool.apply(functools.partial(lambda a, b: a - b, 5), (3,)) == 2


def test_methods_and_callables_travel(pool: Pool) -> None:
    counter = tasks.Counter(100)
    assert pool.map(counter.add, [1, 2]) == [101, 102]
    assert pool.map(counter, [1, 2]) == [100, 200]
    assert pool.map(tasks.Counter.twice, [4]) == [8]
    assert pool.apply(tasks.Counter.name_of_class) == "Counter"
    assert pool.map(tasks.Counter(5).name_of_class, [0]) == ["Counter"]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (len, ("four",)),
        (int, ("12",)),
        (str.upper, ("up",)),
        ("text".replace, ("t", "T")),
        (math.sqrt, (9,)),
        (operator.itemgetter(1), ("ab",)),
        (operator.methodcaller("strip"), (" x ",)),
        (max, (3, 1, 2)),
        (dict.fromkeys, ("ab",)),
        ([1, 2, 1].count, (1,)),
    ],
)
def test_callables_of_every_kind_travel(processes: Pool, function: Any, arguments: tuple[Any, ...]) -> None:
    assert processes.apply(function, arguments) == function(*arguments)


def test_functions_travel_as_arguments_and_as_results(processes: Pool) -> None:
    assert processes.apply(lambda f, n: f(n), (lambda n: n * 2, 4)) == 8
    assert processes.apply(lambda: lambda n: n * 3)(4) == 12
    assert processes.map(lambda f: f(1), [lambda n, k=k: n + k for k in range(3)]) == [1, 2, 3]


def test_a_local_class_travels_and_its_instances_come_back(processes: Pool) -> None:
    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    points = processes.map(lambda p: Point(p.x + 1), [Point(1), Point(2)])
    assert [point.x for point in points] == [2, 3]


def test_decorated_functions_travel(processes: Pool) -> None:
    def twice(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(n: int) -> Any:
            return function(n) * 2

        return wrapper

    @twice
    def add_one(n: int) -> int:
        return n + 1

    assert processes.map(add_one, [1, 2]) == [4, 6]
    cached = functools.lru_cache(tasks.square)
    assert processes.map(cached.__wrapped__, [3]) == [9]


def test_a_generator_function_cannot_return_its_generator(processes: Pool) -> None:
    def generate(n: int) -> Any:
        yield n

    with pytest.raises(Exception, match="generator"):
        processes.apply(generate, (1,))


def test_defaults_and_keyword_defaults_travel(processes: Pool) -> None:
    def f(a: int, b: Any = (1, 2), *, c: str = "c") -> Any:
        return a, b, c

    assert processes.apply(f, (0,)) == (0, (1, 2), "c")
    assert processes.apply(f, (0,), {"c": "d"}) == (0, (1, 2), "d")


# What is captured is current at each call


@pytest.mark.parametrize("method", ["apply", "apply_async", "map", "imap", "starmap"])
def test_a_captured_variable_that_was_assigned_anew_is_seen(processes: Pool, method: str) -> None:
    offset = 1

    def add(n: int) -> int:
        return n + offset

    def call() -> Any:
        if method == "apply":
            return [processes.apply(add, (1,))]
        if method == "apply_async":
            return [processes.apply_async(add, (1,)).get()]
        return list(getattr(processes, method)(add, [(1,)] if method == "starmap" else [1]))

    for offset in (1, 1, 10, 1, "no number"):
        if offset == "no number":
            with pytest.raises(TypeError):
                call()
        else:
            assert call() == [1 + offset]


def test_a_captured_list_that_was_changed_in_place_is_seen(processes: Pool) -> None:
    items = [1]
    total = lambda _: sum(items)
    assert processes.map(total, [0]) == [1]
    items.append(10)
    assert processes.map(total, [0]) == [11]
    items[0] = 5
    assert processes.apply(total, (0,)) == 15


@pytest.mark.parametrize("depth", ["tuple", "dict", "object", "default", "keyword default", "attribute"])
def test_changes_deep_within_what_is_captured_are_seen(processes: Pool, depth: str) -> None:
    class Holder:
        value = (0,)

    inner = [1]
    if depth == "tuple":
        holder: Any = (0, (inner,))
        function: Any = lambda: holder[1][0][0]
    elif depth == "dict":
        holder = {"a": inner}
        function = lambda: holder["a"][0]
    elif depth == "object":
        holder = Holder()
        holder.value = inner
        function = lambda: holder.value[0]
    elif depth == "default":
        function = lambda value=inner: value[0]
    elif depth == "keyword default":
        function = lambda *, value=inner: value[0]
    else:

        def function() -> int:
            return function.value[0]  # type: ignore[attr-defined,no-any-return]

        function.value = inner  # type: ignore[attr-defined]
    assert processes.apply(function) == 1
    inner[0] = 2
    assert processes.apply(function) == 2


def test_a_changed_class_attribute_of_a_local_class_is_seen(processes: Pool) -> None:
    class Settings:
        level = 1

    read = lambda: Settings.level
    assert processes.apply(read) == 1
    Settings.level = 2
    assert processes.apply(read) == 2


def test_a_global_of_the_functions_module_is_seen_as_it_is(processes: Pool) -> None:
    global captured_global
    read = lambda: captured_global
    for captured_global in ("second", "third", "second"):
        assert processes.apply(read) == captured_global


def test_a_helper_that_was_assigned_anew_is_seen(processes: Pool) -> None:
    helper = lambda n: n + 1

    def call_helper(n: int) -> int:
        return helper(n)

    assert processes.apply(call_helper, (1,)) == 2
    helper = lambda n: n + 100
    assert processes.apply(call_helper, (1,)) == 101


def test_a_helper_of_a_helper_that_captures_something_changed_is_seen(processes: Pool) -> None:
    value = 1

    def inner() -> int:
        return value

    def outer() -> int:
        return inner()

    assert processes.apply(outer) == 1
    value = 2
    assert processes.apply(outer) == 2


def test_replaced_code_and_defaults_of_the_same_function_object_are_seen(processes: Pool) -> None:
    def function(n: int = 1) -> int:
        return n

    assert processes.apply(function) == 1
    function.__defaults__ = (5,)
    assert processes.apply(function) == 5
    function.__code__ = (lambda n=0: n * 10).__code__
    assert processes.apply(function) == 50


def test_the_state_of_a_bound_method_is_seen_as_it_is(processes: Pool) -> None:
    counter = tasks.Counter(1)
    add = counter.add
    assert processes.apply(add, (1,)) == 2
    counter.start = 50
    assert processes.apply(add, (1,)) == 51
    assert processes.map(counter.add, [1]) == [51]


def test_the_state_of_a_partial_is_seen_as_it_is(processes: Pool) -> None:
    data = [1]
    function = functools.partial(tasks.pair, data)
    assert processes.apply(function) == ([1], "default")
    data.append(2)
    assert processes.apply(function) == ([1, 2], "default")


def test_many_different_functions_in_turn_are_told_apart(processes: Pool) -> None:
    """More than are remembered, twice."""
    functions = [lambda n, k=k: n + k for k in range(300)]
    for _ in range(2):
        assert [processes.apply_async(function, (1,)).get() for function in functions] == [1 + k for k in range(300)]


def test_functions_that_are_made_and_dropped_are_told_apart(processes: Pool) -> None:
    """Their ids are used again by the interpreter."""
    for number in range(300):
        assert processes.apply(lambda number=number: number) == number


def test_the_captured_value_is_that_of_the_call_not_of_the_run(one: Pool) -> None:
    """What happens to the variable after the call has returned is too late."""
    blocker = one.apply_async(tasks.sleep_and_return, (0.2,))
    value = 1
    waiting = one.apply_async(lambda: value)
    value = 2
    blocker.wait()
    assert waiting.get(5) == 1
    assert one.apply(lambda: value) == 2


def test_an_argument_is_that_of_the_call_not_of_the_run(one: Pool) -> None:
    blocker = one.apply_async(tasks.sleep_and_return, (0.2,))
    data = [1]
    waiting = one.apply_async(tasks.identity, (data,))
    data.append(2)
    blocker.wait()
    assert waiting.get(5) == [1]


# Functions and classes of __main__, which only a script has


def run(script: str) -> str:
    """Run a script without a guard, with all warnings as errors; what it prints."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_globals_of_main_are_seen_as_they_are() -> None:
    assert run(
        """
        import allcores
        number, items = 1, [1]
        def read(_):
            return number, items, later() if "later" in globals() else None
        with allcores.Pool(1) as pool:
            print(pool.map(read, [0]))
            number = 2
            print(pool.map(read, [0]))
            items.append(5)
            print(pool.map(read, [0]))
            items = "anew"
            print(pool.map(read, [0]))
        """
    ).splitlines() == ["[(1, [1], None)]", "[(2, [1], None)]", "[(2, [1, 5], None)]", "[(2, 'anew', None)]"]


def test_a_global_of_main_that_comes_into_being_later_is_seen() -> None:
    assert run(
        """
        import allcores
        def read():
            return later()
        with allcores.Pool(1) as pool:
            try:
                pool.apply(read)
            except NameError as error:
                print(error)
            later = lambda: "now it is there"
            print(pool.apply(read))
            del later
            try:
                pool.apply(read)
            except NameError as error:
                print(error)
        """
    ).splitlines() == ["name 'later' is not defined", "now it is there", "name 'later' is not defined"]


def test_a_function_of_main_defined_anew_under_the_same_name_is_the_new_one() -> None:
    assert run(
        """
        import allcores
        with allcores.Pool(1) as pool:
            def f(n):
                return ("first", n)
            print(pool.map(f, [1]))
            def f(n):
                return ("second", n)
            print(pool.map(f, [1]))
            def g():
                return f(0)
            print(pool.apply(g))
            def f(n):
                return ("third", n)
            print(pool.apply(g))
        """
    ).splitlines() == ["[('first', 1)]", "[('second', 1)]", "('second', 0)", "('third', 0)"]


def test_a_class_of_main_is_the_same_class_on_return() -> None:
    assert run(
        """
        import allcores, dataclasses, enum, collections
        class Plain:
            def __init__(self, x): self.x = x
            def twice(self): return Plain(2 * self.x)
        @dataclasses.dataclass(frozen=True)
        class Data:
            x: int
        class Colour(enum.Enum):
            RED = 1
        Pair = collections.namedtuple("Pair", "a b")
        class Mine(Exception):
            pass
        class Derived(Plain):
            pass
        def fail(_):
            raise Mine("mine")
        with allcores.Pool(2) as pool:
            a = pool.map(Plain.twice, [Plain(2), Derived(3)])
            print([type(x) is Plain for x in a], [x.x for x in a])
            print(pool.apply(Plain(5).twice).x, type(pool.apply(Derived, (1,))) is Derived)
            print(pool.map(Data, [1, 2]) == [Data(1), Data(2)])
            print(pool.map(lambda c: c is Colour.RED, [Colour.RED]), pool.apply(lambda: Colour.RED) is Colour.RED)
            print(pool.starmap(Pair, [(1, 2)]) == [Pair(1, 2)], type(pool.apply(Pair, (1, 2))) is Pair)
            print(pool.apply(lambda: Plain) is Plain)
            print(pool.map(lambda x: isinstance(x, Plain), [Derived(1), 3]))
            try:
                pool.map(fail, [1])
            except Mine as error:
                print("caught", error)
        """
    ).splitlines() == [
        "[True, True] [4, 6]",
        "10 True",
        "True",
        "[True] True",
        "True True",
        "True",
        "[True, False]",
        "caught mine",
    ]


def test_a_class_of_main_defined_anew_is_the_new_one() -> None:
    assert run(
        """
        import allcores
        with allcores.Pool(1) as pool:
            class A:
                def who(self): return "first"
            print(pool.map(lambda a: a.who(), [A()]), type(pool.apply(A)) is A)
            class A:
                def who(self): return "second"
            print(pool.map(lambda a: a.who(), [A()]), type(pool.apply(A)) is A)
            A.who = lambda self: "patched"
            print(pool.map(lambda a: a.who(), [A()]), pool.apply(A).who())
        """
    ).splitlines() == ["['first'] True", "['second'] True", "['patched'] patched"]


def test_class_attributes_of_main_are_seen_as_they_are() -> None:
    assert run(
        """
        import allcores
        class Config:
            level = 1
        with allcores.Pool(1) as pool:
            print(pool.apply(lambda: Config.level))
            Config.level = 2
            print(pool.apply(lambda: Config.level))
        """
    ).splitlines() == ["1", "2"]


def test_methods_with_super_and_class_cells_of_main_travel() -> None:
    assert run(
        """
        import allcores, functools
        class Base:
            def __init__(self, n): self.n = n
            @property
            def double(self): return self.n * 2
        class Child(Base):
            def __init__(self, n): super().__init__(n + 1)
            @classmethod
            def make(cls, n): return cls(n)
            @staticmethod
            def static(n): return -n
            def __call__(self, n): return self.n + n
        with allcores.Pool(1) as pool:
            print([c.double for c in pool.map(Child.make, [1, 2])])
            print(pool.map(Child.static, [1]), pool.map(Child(10), [1]))
            print(pool.map(functools.partial(Child(1), 5) if False else functools.partial(max, 5), [1]))
        """
    ).splitlines() == ["[4, 6]", "[-1] [12]", "[5]"]


def test_an_initializer_of_main_sets_globals_of_main_for_the_tasks() -> None:
    """The idiom of the standard pool: the initializer puts something into a global of the module."""
    assert run(
        """
        import allcores
        shared = None
        def prepare(value):
            global shared
            shared = value
        def use(n):
            return shared, n
        with allcores.Pool(2, initializer=prepare, initargs=("ready",)) as pool:
            print(set(pool.map(use, [1] * 20)))
        """
    ).splitlines() == ["{('ready', 1)}"]


def test_a_global_of_main_that_was_rebound_leaves_earlier_calls_alone() -> None:
    """Tasks of a call that are still under way see what was when they were submitted."""
    assert (
        run(
            """
        import allcores, time
        def read(seconds):
            time.sleep(seconds)
            return number
        with allcores.Pool(2) as pool:
            for _ in range(3):
                number = 1
                pool.map(read, [0.0005] * 400)  # known to be quick: batches are large
                earlier = pool.map_async(read, [0.4] + [0.001] * 300)
                number = 2
                later = [pool.apply_async(read, (0,)) for _ in range(20)]
                print(set(earlier.get()), {result.get() for result in later})
        """
        ).splitlines()
        == ["{1} {2}"] * 3
    )


def test_a_counter_in_a_global_of_main_counts_within_its_worker() -> None:
    """What a task does to a global of __main__ is there for the next task of that worker, as it is with fork."""
    assert run(
        """
        import allcores
        seen = 0
        def count(_):
            global seen
            seen += 1
            return seen
        with allcores.Pool(1) as pool:
            print(pool.map(count, range(5)))
        """
    ).splitlines() == ["[1, 2, 3, 4, 5]"]
