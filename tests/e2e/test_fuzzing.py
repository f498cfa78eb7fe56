"""schemathesis, a fuzzer, calls a running server as its OpenAPI document says, and as it does not.

It tries every limit of every field, random requests, and sequences in which a request uses what an earlier
one returned. It does so as two tenants, which must not see each other's objects.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import KEYS, running_home

CONFIG = Path(__file__).parent / "fuzzing" / "schemathesis.toml"


def test_schemathesis_finds_no_difference_between_the_server_and_its_document(tmp_path: Path) -> None:
    users = tmp_path / "users.json"
    headers = {tenant: [{"name": "Authorization", "value": f"Bearer {key}"}] for tenant, key in KEYS.items()}
    users.write_text(
        json.dumps({"auth": [{"name": tenant, "fixedHeaders": each} for tenant, each in headers.items()]})
    )
    with running_home({"latency_mean": 0.01}) as home:
        command: list[str | Path] = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", CONFIG, "--no-color"),
            *("run", f"{home.base_url}/openapi.json", "--url", home.base_url),
        ]
        done = subprocess.run(
            command, cwd=tmp_path, env=os.environ | {"USERS": str(users)}, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stdout + done.stderr
