"""Names of teachers in responses."""

from __future__ import annotations

import pytest

from mentallama.config import EndpointSettings
from mentallama.llm_api.endpoint import open_endpoint
from mentallama.teach.teachers import unique_names


@pytest.mark.parametrize(
    ("specs", "names"),
    [
        (["remote:m@http://a/v1", "remote:n@http://a/v1"], ["m", "n"]),
        (["remote:m@http://a/v1", "remote:m@http://b/v1"], ["m@a", "m@b"]),
        (["remote:m@http://a/one", "remote:m@http://a/two"], ["m@http://a/one", "m@http://a/two"]),
    ],
)
def test_endpoints_have_unique_names(specs: list[str], names: list[str]) -> None:
    assert unique_names([open_endpoint(spec, EndpointSettings(), {}) for spec in specs]) == names
