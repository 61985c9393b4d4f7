"""`python -m mentallama`, which torchrun starts as a module."""

from mentallama.cli.app import main

if __name__ == "__main__":
    main()
