"""Facts about an installation, its machine and its working folder, for `mentallama doctor` and for bug reports."""
