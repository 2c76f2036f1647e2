"""What pyproject.toml cannot say: the native kernel of `allcores count`, for one stable ABI, where it can be compiled.

Without a compiler the library is complete all the same: the same counting stands in Python beside it.
"""

import sysconfig
from pathlib import Path

from setuptools import Extension, setup

FOLDER = Path("src/allcores/jobs/count/native")

# Free-threaded interpreters have no stable ABI; they get a binary of their own.
stable = not sysconfig.get_config_var("Py_GIL_DISABLED")

setup(
    ext_modules=[
        Extension(
            "allcores.jobs.count._native",
            sources=sorted(map(str, FOLDER.glob("*.c"))),
            depends=sorted(map(str, FOLDER.glob("*.h"))),
            define_macros=[("Py_LIMITED_API", "0x030A0000")] if stable else [],
            extra_compile_args=["-O3", "-std=c11", "-fvisibility=hidden"],
            py_limited_api=stable,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if stable else {},
)
