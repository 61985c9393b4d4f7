"""Signals: one sentence, the exit code of a shell, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from mentallama.cli.signals import Terminated, signals_as_exit
from tests.factories.project import ROOT

COMMAND = """
import os, sys, typer
from mentallama.__main__ import main
from mentallama.cli import app

app.app = typer.Typer(pretty_exceptions_enable=False)

@app.app.command()
def wait(number: int) -> None:
    os.kill(os.getpid(), number)
    print("it went on")

if __name__ == "__main__":
    main()
"""
LATE = """
import atexit, os, signal
from mentallama.__main__ import main

atexit.register(lambda: os.kill(os.getpid(), signal.SIGTERM))
main()
"""
IN_EXEC = """
import os, signal, sys
from mentallama.__main__ import main
from mentallama.cli import app

app.main = lambda: exec("os.kill(os.getpid(), signal.SIGINT)")
main()
"""
POOL = """
import os, signal
from mentallama.cli.signals import signals_as_exit
from mentallama.parallel import map_batches
from tests.cli.test_signals import worker_number

if __name__ == "__main__":
    with signals_as_exit():
        for number in map_batches(worker_number, iter(range(10**9)), 2):
            print(number, flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
"""


def worker_number(_: int) -> int:
    return os.getpid()


def python(script: str, *arguments: object, ignored: int | None = None) -> subprocess.CompletedProcess[str]:
    def dispositions() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number == ignored else signal.SIG_DFL)

    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        preexec_fn=dispositions,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("number", "code", "sentence"),
    [
        (signal.SIGTERM, 143, "mentallama: ended by SIGTERM; the same command resumes"),
        (signal.SIGHUP, 129, "mentallama: ended by SIGHUP; the same command resumes"),
        (signal.SIGINT, 130, "mentallama: interrupted; the same command resumes"),
    ],
)  # fmt: skip
def test_a_signal_ends_a_command_with_one_sentence(number: int, code: int, sentence: str) -> None:
    done = python(COMMAND, int(number))
    assert (done.returncode, done.stdout, done.stderr.strip()) == (code, "", sentence)


def test_a_signal_after_the_end_does_not_change_the_exit_code() -> None:
    done = python(LATE, "--version")
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_while_python_defines_a_class_ends_as_anywhere() -> None:
    done = python(IN_EXEC)
    sentence = "mentallama: interrupted; the same command resumes"
    assert (done.returncode, done.stderr.strip()) == (130, sentence)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    done = python(COMMAND, int(signal.SIGHUP), ignored=signal.SIGHUP)
    assert (done.returncode, done.stdout, done.stderr) == (0, "it went on\n", "")


def test_worker_processes_end_with_the_command_and_leak_nothing() -> None:
    done = python(POOL)
    assert (done.returncode, done.stderr) == (143, "")
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout.split()[0]), 0)


def test_the_dispositions_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated) as ended, signals_as_exit():
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_inside_a_callback_that_ignores_exceptions_still_ends_the_process() -> None:
    script = """
import signal, time, weakref
from mentallama.cli.signals import signals_as_exit

class Thing:
    pass

with signals_as_exit():
    thing = Thing()
    callback = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGTERM))
    del thing
    while True:
        time.sleep(0.01)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGTERM, "")
