"""The linear analyst: n-gram features with a weight per label, and explanations that quote the decisive words.

`linear:DIR` needs no network and no accelerator, and its files contain no words of any post. It is the default and the
baseline that a larger model has to beat.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
