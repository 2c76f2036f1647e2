"""The rows of "Hangs and crashes" and "Memory" in the list of known failures of process pools, one after the other.

Each test is named after what happens elsewhere; `docs/reliability.md` has the table. More about each matter is in
the modules `test_deaths`, `test_deadlines`, `test_retries`, `test_supervision`, `test_parent` and `test_citizens`.
"""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import reliability_tasks as tasks

from allcores import CancelledError if False else Pool
