"""The mock model is deterministic, and fails as configured."""

import signal
import socket
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cli.mock.model import Behaviour, latency_of
from infra.cli.mock.process import MockUpstream


def ask(client: openai.OpenAI, text: str, **body: object) -> str | None:
    answer = client.chat.completions.create(
        model="mock-small", messages=[{"role": "user", "content": text}], extra_body=body
    )
    return answer.choices[0].message.content


def test_latencies_have_the_configured_mean() -> None:
    latencies = [latency_of(key * 7_919, Behaviour(0.2, 1.0)) for key in range(20_000)]
    assert statistics.fmean(latencies) == pytest.approx(0.2, rel=0.05)
    assert latency_of(7, Behaviour(0.2, 1.0)) == latency_of(7, Behaviour(0.2, 1.0))
    assert latency_of(7, Behaviour(0.2, 1.0)) != latency_of(7, Behaviour(0.2, 1.0, seed=1))


@given(mean=st.floats(0, 1), sigma=st.floats(0, 3), key=st.integers(0, 2**32 - 1))
def test_a_latency_is_never_negative(mean: float, sigma: float, key: int) -> None:
    assert latency_of(key, Behaviour(mean, sigma)) >= 0


def test_it_fails_limits_and_counts_requests_as_configured() -> None:
    with MockUpstream(error_rate=0.5, rate_limit=2) as upstream:
        client = openai.OpenAI(base_url=upstream.url, api_key="none", max_retries=0)
        with client:
            answers: list[str | None] = []
            for number in range(20):
                try:
                    answers.append(ask(client, f"{number}?"))
                except openai.InternalServerError:
                    answers.append(None)
            assert 3 < answers.count(None) < 17
            # Only the first attempt gets an injected error, and the response to a body is always the same.
            again = [ask(client, f"{number}?") for number in range(20)]
            assert all(first in (None, second) for first, second in zip(answers, again, strict=True))
            with pytest.raises(openai.UnprocessableEntityError):
                ask(client, "x", mock={"status": 422})
            with pytest.raises(openai.NotFoundError):
                client.embeddings.create(model="unknown", input="x")

            def slow(number: int) -> bool:
                try:
                    ask(client, "0?", mock={"latency": 0.3}, user=str(number % 2))
                except openai.RateLimitError:
                    return True
                except openai.InternalServerError:
                    return False
                return False

            with ThreadPoolExecutor(6) as pool:
                assert any(pool.map(slow, range(6)))
        seen = upstream.statistics()
        assert seen["repeated"] >= 20
        upstream.reset()
        assert upstream.statistics()["requests"] == 0


def test_it_ends_with_the_process_that_started_it() -> None:
    starter = """
import os, signal
from infra.cli.mock.process import MockUpstream
print(MockUpstream().__enter__().url, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True)
    assert killed.returncode == -signal.SIGKILL
    place = urlsplit(killed.stdout.strip())
    for _ in range(500):
        try:
            socket.create_connection((place.hostname, place.port)).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.02)
    raise AssertionError("it still listens")
