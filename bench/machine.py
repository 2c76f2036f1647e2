"""What a table of timings has to say about where it comes from."""

import datetime
import importlib.metadata
import multiprocessing
import os
import pathlib
import platform


def usable_cores():
    """The cores that this process may use, as allcores counts them where it can be imported."""
    try:
        from allcores import cpu_count
    except ImportError:
        affinity = getattr(os, "sched_getaffinity", None)
        return len(affinity(0)) if affinity else os.cpu_count() or 1
    return cpu_count()


def cpu_model():
    """The processor's name as the kernel tells it."""
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def load():
    """The load average of the last minute, which on an idle machine is near 0."""
    return round(os.getloadavg()[0], 2)


def version(peer):
    """The version of a peer's distribution; None for the standard library's and for those not installed."""
    if not peer.distribution:
        return None
    try:
        return importlib.metadata.version(peer.distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def describe(peers):
    """Everything worth noting, as plain data."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "start_method": multiprocessing.get_start_method(),
        "load_before": load(),
        "versions": {peer.title: found for peer in peers if (found := version(peer))},
    }
