"""`nightlane keys --data`: the keys of a data folder, with and without a running server."""

import os
import re
import subprocess
import sys
from pathlib import Path

import openai
import pytest

from infra.cli.mock.process import MockUpstream
from infra.home.database import DATABASE, shared_database
from infra.home.files import SqliteKeys
from tests.e2e.conftest import LOCAL
from tests.e2e.homes import running

NOWHERE = "http://127.0.0.1:9/v1"
KEYS = [sys.executable, "-m", "infra.cli.app", "keys"]


def keys(*arguments: str, data: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [*KEYS, *arguments, "--data", str(data)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended


def test_a_key_works_as_soon_as_it_is_created_and_never_after_it_is_revoked(tmp_path: Path) -> None:
    with MockUpstream() as upstream, running(tmp_path, upstream.url) as server:
        created = keys("create", "--tenant", "acme", "--name", "laptop", data=tmp_path)
        secret = created.stdout.strip()
        with openai.OpenAI(base_url=server.client.base_url, api_key=secret, max_retries=0) as client:
            file = client.files.create(file=b"{}", purpose="batch")
            assert (server.data / "objects/files/acme" / file.id).exists()
            with pytest.raises(openai.NotFoundError):
                server.client.files.retrieve(file.id)
            (key_id,) = re.findall(r"Key (\w+) of tenant acme", created.stderr)
            assert key_id in keys("list", data=tmp_path).stdout
            revoked = keys("revoke", key_id, data=tmp_path)
            assert "API Gateway" not in revoked.stderr
            with pytest.raises(openai.AuthenticationError):
                client.files.list()
        assert list(server.client.files.list()) == []


def test_a_client_with_a_used_up_quota_gets_a_rate_limit_error(tmp_path: Path) -> None:
    with MockUpstream() as upstream, running(tmp_path, upstream.url) as server:
        quota = ("--quota", "batches_per_hour=1", "--quota", "stored_bytes=100")
        secret = keys("create", "--tenant", "acme", *quota, data=tmp_path).stdout.strip()
        assert "quota" in keys("list", data=tmp_path).stdout
        with openai.OpenAI(base_url=server.client.base_url, api_key=secret, max_retries=0) as client:
            file = client.files.create(file=b"{}", purpose="batch")
            with pytest.raises(openai.PermissionDeniedError) as refused:
                client.files.create(file=b"{}" + b"\n" * 99, purpose="batch")
            assert refused.value.code == "insufficient_quota"
            create = client.batches.with_raw_response.create
            answer = create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
            assert answer.headers["x-ratelimit-remaining-requests"] == "0"
            with pytest.raises(openai.RateLimitError) as limited:
                create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
            assert limited.value.code == "rate_limit_exceeded"
            assert 1 <= int(limited.value.response.headers["retry-after"]) <= 60


def test_keys_created_without_a_server_are_valid_when_one_starts(tmp_path: Path) -> None:
    secret = keys("create", "--tenant", "acme", data=tmp_path / "new").stdout.strip()
    command = [*LOCAL, "--data", str(tmp_path / "new"), "--host", "127.0.0.2", "--upstream", NOWHERE]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    base_url = server.stdout.readline().split()[1]
    try:
        assert base_url.startswith("http://127.0.0.2:")
        with openai.OpenAI(base_url=base_url, api_key=secret) as client:
            assert list(client.files.list()) == []
        # There are stored keys, so the default key is not valid.
        with (
            openai.OpenAI(base_url=base_url, api_key="nightlane") as client,
            pytest.raises(openai.AuthenticationError),
        ):
            client.files.list()
    finally:
        server.kill()
        server.communicate()


def test_a_folder_without_data_is_named_in_the_error_and_not_created(tmp_path: Path) -> None:
    for command in (["list"], ["revoke", "abcd"]):
        refused = keys(*command, data=tmp_path / "none", code=1)
        assert refused.stderr == (
            f"{tmp_path / 'none'} is not a data folder of `nightlane local`: it has no {DATABASE}\n"
        )
    assert not (tmp_path / "none").exists()


def test_the_default_folder_is_the_same_as_that_of_the_server(tmp_path: Path) -> None:
    own = {name: value for name, value in os.environ.items() if name != "XDG_DATA_HOME"}
    created = subprocess.run(
        [*KEYS, "create", "--tenant", "acme", "--local"],
        env=own | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (made,) = tmp_path.rglob(DATABASE)
    assert made.parent.name == "nightlane"
    with shared_database(made.parent) as database:
        assert SqliteKeys(database).tenant_of(created.stdout.strip()) == "acme"
