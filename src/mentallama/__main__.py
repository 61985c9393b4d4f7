"""The program: `mentallama`, or `python -m mentallama`, which torchrun starts as a module.

Signals are handled before the commands are imported, which takes a moment.
"""

import sys

from mentallama.cli.signals import EXIT_INTERRUPTED, Terminated, ending_sentence, signals_as_exit


def main() -> None:
    """Run the command line."""
    with signals_as_exit():
        try:
            from mentallama.cli.app import main as run_command_line
        except (KeyboardInterrupt, Terminated) as ended:
            code = ended.code if isinstance(ended, Terminated) else EXIT_INTERRUPTED
            print(f"mentallama: {ending_sentence(code)}", file=sys.stderr)
            sys.exit(code)
        run_command_line()


if __name__ == "__main__":
    main()
