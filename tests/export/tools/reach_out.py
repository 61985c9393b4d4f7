"""Try to reach the network in two ways: prints what came of each."""

from __future__ import annotations

import json
import socket

outcomes = []
for host in ("192.0.2.1", "example.org"):  # neither answers: an address and a name that are reserved
    try:
        socket.create_connection((host, 80), timeout=1)
        outcomes.append("connected")
    except OSError as error:
        outcomes.append(str(error))
print(json.dumps(outcomes))
