"""Build data sets with Argilla's SDK, which asks a server of our own who the user is: FOLDER -> JSON, set -> counts."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import argilla as rg
from argilla.records._io import JsonIO

USER = {
    "id": "00000000-0000-0000-0000-000000000001",
    "username": "tester",
    "first_name": "Tester",
    "role": "owner",
    "inserted_at": "2024-01-01T00:00:00",
    "updated_at": "2024-01-01T00:00:00",
}


class OnlyWhoAmI(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(USER).encode()
        self.send_response(200 if self.path == "/api/v1/me" else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), OnlyWhoAmI)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = rg.Argilla(api_url=f"http://127.0.0.1:{server.server_port}", api_key="none")


def check(record: rg.Record, settings: rg.Settings) -> list[str]:
    """Check that each suggestion fits its question; returns the passages that are suggested as evidence."""
    passages = []
    for suggestion in record.suggestions:
        question = settings.questions[suggestion.question_name]
        if isinstance(question, rg.LabelQuestion):
            assert suggestion.value in question.labels, suggestion.question_name
        if isinstance(question, rg.SpanQuestion):
            assert {span["label"] for span in suggestion.value} == set(question.labels)
            passages += [
                record.fields[question.field][span["start"] : span["end"]] for span in suggestion.value
            ]
    return passages


found = {}
for folder in sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir()):
    settings = rg.Settings.from_json(folder / "settings.json")
    settings.validate()
    dataset = rg.Dataset(folder.name, settings=settings, client=client)
    records = [
        record
        for path in sorted(folder.glob("*.json"))
        if path.name != "settings.json"
        for record in JsonIO._records_from_json(path)
    ]
    assert len(dataset.records._ingest_records(records)) == len(records)
    found[folder.name] = {
        "questions": [question.name for question in settings.questions],
        "records": len(records),
        "passages": [passage for record in records for passage in check(record, settings)],
    }
print(json.dumps(found))
