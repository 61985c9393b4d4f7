"""The program: `mentallama`, or `python -m mentallama`, which torchrun starts as a module.

Signals are handled before the commands are imported, which takes a moment, and ignored once a command has ended, so
that its exit code stands.
"""

import signal
import sys
from contextlib import suppress

from mentallama.cli.signals import ending_sentence, signals_as_exit


def main() -> None:
    """Run the command line; a command that a signal ends says so in one sentence."""
    with signals_as_exit(afterwards=signal.SIG_IGN):
        try:
            from mentallama.cli.app import main as run_command_line

            run_command_line()
        except SystemExit as end:
            sentence = ending_sentence(end.code)
            if sentence is not None:
                with suppress(OSError):  # the terminal may be gone
                    print(f"mentallama: {sentence}", file=sys.stderr)
            raise


if __name__ == "__main__":
    main()
