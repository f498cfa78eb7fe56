"""The reference provider of Llama Stack's Batch API (`ogx`), in an environment of its own.

Its configuration is that of its distribution "starter" (`ogx/distributions/starter/config.yaml`), with only
the providers that a batch needs. Its limits are its own defaults, one batch at once and ten requests of it
(`ogx/providers/inline/batches/reference/config.py`).
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import openai

from bench.batches import KEY
from bench.servers import Server, free_port, watched

VERSION = "1.5.0"
NAME = f"ogx {VERSION}"
# With what `ogx stack list-deps` says that these providers need.
REQUIREMENTS = (
    f"ogx=={VERSION}", "sqlalchemy[asyncio]", "aiosqlite", "asyncpg", "fastapi", "fire", "httpx", "uvicorn",
    "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http", "opentelemetry-exporter-otlp-proto-grpc",
)  # fmt: skip
NEEDED_PYTHON = (3, 12)
PYTHONS = "python3.12", "python3.13", "python3.14"
ENVIRONMENT = Path(__file__).parents[1] / ".venv-ogx"
START_SECONDS = 120
SAMPLE_SECONDS = 0.25


@contextlib.contextmanager
def start_ogx(upstream_url: str, *, folder: Path | None = None) -> Iterator[Server]:
    """A server with this folder, by default one of its own; `is_installed` must have returned True."""
    with TemporaryDirectory() as own:
        place = folder or Path(own)
        config, log = place / "config.yaml", place / "log"
        # JSON is YAML.
        config.write_text(json.dumps(_config(upstream_url, place)), encoding="utf-8")
        port = free_port()
        command = [str(ENVIRONMENT / "bin" / "ogx"), "run", str(config), "--port", str(port), "--insecure"]
        began = time.monotonic()
        with log.open("a", encoding="utf-8") as output:
            environment = {**os.environ, "HOME": str(place)}
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, text=True)
        server = Server(f"http://127.0.0.1:{port}/v1", 0.0, process, model_prefix="vllm/")
        with watched(server, SAMPLE_SECONDS):
            _wait_until_ready(server, log)
            server.start_seconds = time.monotonic() - began
            yield server


@lru_cache(maxsize=1)
def is_installed() -> bool:
    """Whether `ogx` can be started, after installing it where possible; if not, the reason is printed."""
    program, marker = ENVIRONMENT / "bin" / "ogx", ENVIRONMENT / ".requirements"
    wanted = "\n".join(REQUIREMENTS)
    if program.exists() and marker.exists() and marker.read_text(encoding="utf-8") == wanted:
        return True
    python = _find_python()
    if python is None:
        print(
            f"{NAME} is left out: it needs Python {NEEDED_PYTHON[0]}.{NEEDED_PYTHON[1]} or newer, not found"
        )
        return False
    uv = str(Path(sys.executable).with_name("uv"))
    try:
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", python, ENVIRONMENT], check=True)
        install = [uv, "pip", "install", "--quiet", "--python", str(ENVIRONMENT / "bin" / "python")]
        subprocess.run([*install, *REQUIREMENTS], check=True)
    except subprocess.CalledProcessError:
        print(f"{NAME} is left out: it could not be installed")
        return False
    marker.write_text(wanted, encoding="utf-8")
    return True


def python_version() -> str:
    """The version of the Python that runs it."""
    command = [str(ENVIRONMENT / "bin" / "python"), "-c", "import platform; print(platform.python_version())"]
    return subprocess.check_output(command, text=True).strip()


def _find_python() -> str | None:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    others = [path for name in PYTHONS for path in pyenv.glob(f"{name.removeprefix('python')}*/bin/python3")]
    for candidate in (*filter(None, map(shutil.which, PYTHONS)), *map(str, others), sys.executable):
        # pyenv's shims are found on the path, but fail if that version is not chosen.
        question = f"import sys; sys.exit(sys.version_info < {NEEDED_PYTHON})"
        if not subprocess.run([candidate, "-c", question], check=False, capture_output=True).returncode:
            return candidate
    return None


def _wait_until_ready(server: Server, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with openai.OpenAI(base_url=server.base_url, api_key=KEY, max_retries=0) as client:
        while True:
            try:
                client.models.list()
            except openai.APIConnectionError:
                if server.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{NAME} did not start:\n{log.read_text(encoding='utf-8')}") from None
                time.sleep(0.05)
            else:
                return


def _config(upstream_url: str, folder: Path) -> dict[str, Any]:
    """What its distribution "starter" has for these three providers."""

    def table(name: str) -> dict[str, str]:
        return {"table_name": name, "backend": "sql_default"}

    vllm = {"base_url": upstream_url, "max_tokens": 4_096, "api_token": "fake"}
    files = {"storage_dir": str(folder / "files"), "metadata_store": table("files_metadata")}
    providers = {
        "inference": ("vllm", "remote::vllm", vllm),
        "files": ("builtin-files", "inline::localfs", files),
        "batches": ("reference", "inline::reference", {"sqlstore": table("batches")}),
    }
    return {
        "version": 2,
        "distro_name": "starter",
        "apis": [*providers],
        "providers": {
            api: [{"provider_id": name, "provider_type": kind, "config": config}]
            for api, (name, kind, config) in providers.items()
        },
        "storage": {
            "backends": {
                "kv_default": {"type": "kv_sqlite", "db_path": str(folder / "kvstore.db")},
                "sql_default": {"type": "sql_sqlite", "db_path": str(folder / "sql_store.db")},
            },
            "stores": {
                "metadata": {"namespace": "registry", "backend": "kv_default"},
                "inference": {
                    **table("inference_store"),
                    "max_write_queue_size": 10_000,
                    "num_writers": 4,
                    "enabled": True,
                },
                "conversations": table("openai_conversations"),
                "prompts": table("prompts"),
                "connectors": table("connectors"),
            },
        },
        "server": {"host": "127.0.0.1"},
    }
