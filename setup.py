"""What pyproject.toml cannot say: what is compiled, for one stable ABI, where there is a compiler.

Without one the library is complete all the same: what is in C here stands in Python beside it.
"""

import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup

COUNT = Path("src/allcores/jobs/count/native")
LOCKS = Path("src/allcores/sync")

# Free-threaded interpreters have no stable ABI; they get a binary of their own.
stable = not sysconfig.get_config_var("Py_GIL_DISABLED")


def extension(name: str, folder: Path) -> Extension:
    """All that is in a folder, compiled if it can be."""
    return Extension(
        name,
        sources=sorted(map(str, folder.glob("*.c"))),
        depends=sorted(map(str, folder.glob("*.h"))),
        define_macros=[("Py_LIMITED_API", "0x030A0000")] if stable else [],
        extra_compile_args=["-O3", "-std=c11", "-fvisibility=hidden"],
        py_limited_api=stable,
        optional=True,
    )


extensions = [extension("allcores.jobs.count._native", COUNT)]
if sys.platform == "linux":  # elsewhere locks are the standard library's
    extensions.append(extension("allcores.sync._mutex", LOCKS))

setup(ext_modules=extensions, options={"bdist_wheel": {"py_limited_api": "cp310"}} if stable else {})
