"""Run programs in turn, round after round, each as a whole process; measure how long it takes and what it occupies."""

import os
import pathlib
import resource
import subprocess
import tempfile
import time

from bench.counting import inputs, programs


def measure(program, folder, timeout):
    """One program, once: how many seconds it took, and how many lines it counted."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch_name:
        scratch = pathlib.Path(scratch_name)
        command = program.command(folder, scratch)
        output_path = scratch / "output"
        environment = {**os.environ, **program.environment}
        # Bytecode is kept as an installed program has it from its installer.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        with open(output_path, "wb") as output:
            used = _cpu_of_children()
            began = time.perf_counter()
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, env=environment)
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                return {"status": "hang", "note": f"no end within {timeout:g} s"}
            seconds = time.perf_counter() - began
            cpu = _cpu_of_children() - used
        if process.returncode:
            return {"status": "error", "note": f"exit code {process.returncode}"}
        lines = program.lines(output_path.read_bytes(), scratch)
        return {"status": "ok", "seconds": seconds, "cpu": cpu, "lines": lines}


def _cpu_of_children():
    """Seconds of processor time of all that was waited for, with what those waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def peak_memory(program, folder):
    """The largest resident set among a program's processes, in MiB; looked at apart, since looking costs time."""
    import psutil

    with tempfile.TemporaryDirectory(prefix="bench-") as scratch_name:
        scratch = pathlib.Path(scratch_name)
        command = program.command(folder, scratch)
        environment = {**os.environ, **program.environment}
        process = psutil.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment)
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(map(_resident, [process, *_children(process)])))
            time.sleep(0.005)
    return peak / inputs.MIB


def _children(process):
    import psutil

    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _resident(process):
    import psutil

    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


def run_row(row, chosen, *, rounds, quick, timeout, tell):
    """Every program in turn, round after round; returns what the page needs, by the program's slug.

    A program that hangs or fails is not tried again. One that counts other lines than there are has failed.
    """
    takers = [programs.BY_SLUG[slug]() for slug in row.programs if slug in chosen]
    outcomes = {
        program.slug: {"status": "ok" if program.is_present() else "absent", "note": "", "seconds": [], "cpu": []}
        for program in takers
    }
    with tempfile.TemporaryDirectory(prefix="bench-counting-") as name:
        folder = pathlib.Path(name)
        tell(f"{row.name}: making its files")
        row.make(folder, quick)
        lines = inputs.lines_in(folder)
        for number in range(1, rounds + 1):
            for program in takers:
                outcome = outcomes[program.slug]
                if outcome["status"] != "ok":
                    continue
                tell(f"{row.name}: round {number} of {rounds}, {program.title}")
                inputs.warm(folder)
                result = measure(program, folder, timeout)
                if result["status"] != "ok":
                    outcome.update(status=result["status"], note=result["note"])
                elif result["lines"] != lines:
                    outcome.update(status="error", note=f"counted {result['lines']} lines of {lines}")
                else:
                    outcome["seconds"].append(result["seconds"])
                    outcome["cpu"].append(result["cpu"])
        for program in takers:
            if outcomes[program.slug]["status"] == "ok":
                tell(f"{row.name}: memory, {program.title}")
                outcomes[program.slug]["peak"] = peak_memory(program, folder)
    return outcomes
