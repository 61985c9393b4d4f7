"""Files and folders: formats, atomic writes, manifests, and whose they are."""

import csv

csv.field_size_limit(2**31 - 1)
# The limit holds for the whole process. A cell holds a whole post, and the module's own limit is 128 KiB; readers of
# files of strangers bound their rows themselves.
