"""ministack: AWS on 127.0.0.1 without Docker, with TLS, and with IAM enforced."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import urllib3

BUILD = Path(__file__).parents[2] / ".build"
VENV = BUILD / "ministack"
# ministack pins its own botocore, so it gets a separate environment. trustme creates its certificate.
REQUIREMENTS = ("ministack==1.5.33", "trustme==1.2.1")
REGION = "us-east-1"
ACCOUNT = "000000000000"
START_SECONDS = 60
# IAM has no SendMessageBatch: a batch of messages needs SendMessage, but the emulator checks the former.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html
MAIN = """
from ministack.core import iam_actions
original = iam_actions.extract_iam_action
def extract_iam_action(*args):
    action = original(*args)
    return action.removesuffix("Batch") if action and action.startswith("sqs:") else action
iam_actions.extract_iam_action = extract_iam_action
from ministack.app import main
main()
"""


@dataclass(frozen=True, slots=True)
class Emulator:
    """The emulator's URL and its certificate."""

    endpoint_url: str
    certificate: Path

    def environment(self) -> dict[str, str]:
        """What boto3, the CDK CLI and the openai client need in their environment."""
        certificate = str(self.certificate)
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CA_BUNDLE": certificate,
            "NODE_EXTRA_CA_CERTS": certificate,
            "SSL_CERT_FILE": certificate,
        }


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Emulator]:
    """A running emulator with its files in this folder; at the end, its whole process group is stopped."""
    _install()
    python = VENV / "bin" / "python"
    _run(python, "-m", "trustme", "--quiet", "--dir", folder, "--identities", "127.0.0.1", "localhost")
    port = _free_port()
    emulator = Emulator(f"https://127.0.0.1:{port}", folder / "client.pem")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= emulator.environment() | {
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "AUTH": "true",
        "USE_SSL": "1",
        "MINISTACK_SSL_CERT": str(folder / "server.pem"),
        "MINISTACK_SSL_KEY": str(folder / "server.key"),
        "TMPDIR": str(folder),
        # Its MQTT broker would listen on every interface, whatever BIND_HOST says.
        "IOT_MTLS_ENABLED": "0",
    }
    with (folder / "ministack.log").open("wb") as log:
        process = subprocess.Popen(
            [python, "-c", MAIN], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_for(emulator, process)
        yield emulator
    finally:
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _install() -> None:
    done = VENV / "-".join(REQUIREMENTS).replace("==", "-")
    if not done.exists():
        uv = Path(sys.prefix) / "bin" / "uv"
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, VENV)
        _run(uv, "pip", "install", "--quiet", "--python", VENV / "bin" / "python", *REQUIREMENTS)
        done.touch()


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _wait_for(emulator: Emulator, process: "subprocess.Popen[bytes]") -> None:
    pool = urllib3.PoolManager(ca_certs=str(emulator.certificate), retries=False, timeout=2)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            pool.request("GET", f"{emulator.endpoint_url}/_ministack/health")
            return
        time.sleep(0.2)
    raise AssertionError("ministack did not start: see its log")
