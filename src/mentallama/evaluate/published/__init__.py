"""Published files and numbers: the benchmark, outputs for it, the scripts' reader, the paper's results."""
