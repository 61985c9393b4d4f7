"""`python -m mentallama`, as torchrun starts it."""

from mentallama.cli.app import main

if __name__ == "__main__":
    main()
