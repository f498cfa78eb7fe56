"""A server as its users see it on a good day: batches of several kinds, and a model with things to say."""

import asyncio
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.sync_api import Page, Route

from infra.home.serving import serving_application
from tests.e2e.homes import Server, running

MINUTE, HOUR, DAY = 60, 3_600, 86_400
MODELS = ("qwen3-32b", "llama-3.3-70b", "bge-m3")
TICKETS = (
    '{"category": "billing", "priority": "normal", "reply": "The next invoice has the right VAT number."}',
    '{"category": "login", "priority": "high", "reply": "A reset link was sent to the new address."}',
    '{"category": "shipping", "priority": "low", "reply": "The parcel waits for you until Friday."}',
    '{"category": "returns", "priority": "normal", "reply": "The label is attached to this mail."}',
)
SUMS = (
    "4 boxes hold 12 pens each, so there are 48. Of these, 15 were sold: 48 − 15 = 33. Answer: 33",
    "She runs 3 miles on 5 days: 15 miles. At 6 miles an hour this takes 2.5 hours. Answer: 2.5",
    "Half of 90 is 45, and a third of 45 is 15. The rest is 45 − 15 = 30. Answer: 30",
    "The train leaves at 9:40 and needs 85 minutes, so it arrives at 11:05. Answer: 11:05",
    "Each of the 7 days costs 8 dollars: 56 dollars. With 10 % off, it is 50.40. Answer: 50.40",
)
PRODUCTS = (
    "Leichte Regenjacke aus recyceltem Polyester: winddicht, atmungsaktiv, klein verpackt.",
    "Wanderrucksack mit 28 Litern, gepolstertem Rücken und Regenhülle im Bodenfach.",
    "Edelstahlflasche, 0,75 l: hält zwölf Stunden heiß und einen Tag lang kalt.",
)
ANSWERS = {"ticket": TICKETS, "gsm8k": SUMS, "sku": PRODUCTS}
TOO_LONG = {
    "message": "This model's maximum context length is 8192 tokens, but the messages have 9,341 tokens.",
    "type": "invalid_request_error",
    "param": "messages",
    "code": "context_length_exceeded",
}
FILTERED = {
    "message": "The prompt was rejected by the content filter.",
    "type": "invalid_request_error",
    "param": "messages",
    "code": "content_filter",
}


async def chat(request: web.Request) -> web.Response:
    body = await request.json()
    content = body["messages"][-1]["content"]
    draw = random.Random(content)
    await asyncio.sleep(draw.lognormvariate(-0.55, 0.5) * float(body.get("pace", 1)))
    if draw.random() < body.get("bad", 0):
        error = TOO_LONG if draw.random() < 0.7 else FILTERED
        return web.json_response({"error": error}, status=400)
    answer = draw.choice(ANSWERS[content.split("-")[0]])
    return web.json_response(
        {
            "id": f"chatcmpl-{draw.getrandbits(48):x}",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": body["model"],
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
            ],
            "usage": {
                "prompt_tokens": draw.randint(180, 420),
                "completion_tokens": len(answer) // 4,
                "total_tokens": 0,
                "prompt_tokens_details": {"cached_tokens": 128},
            },
        }
    )


async def embed(request: web.Request) -> web.Response:
    body = await request.json()
    vector = [random.Random(body["input"]).uniform(-0.1, 0.1) for _ in range(32)]
    data = [{"object": "embedding", "index": 0, "embedding": vector}]
    usage = {"prompt_tokens": 211, "total_tokens": 211}
    return web.json_response({"object": "list", "data": data, "model": body["model"], "usage": usage})


async def list_models(_: web.Request) -> web.Response:
    data = [{"id": each, "object": "model", "created": 1_700_000_000, "owned_by": "team"} for each in MODELS]
    return web.json_response({"object": "list", "data": data})


@contextmanager
def serving_model() -> Iterator[str]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_post("/v1/embeddings", embed)
    app.router.add_get("/v1/models", list_models)
    with serving_application(app) as url:
        yield url


def lines(kind: str, count: int, model: str, **hints: float) -> bytes:
    def one(i: int) -> dict[str, Any]:
        if kind == "article":
            return {"model": model, "input": f"article {i}"}
        return {"model": model, "messages": [{"role": "user", "content": f"{kind}-{i}"}], **hints}

    url = "/v1/embeddings" if kind == "article" else "/v1/chat/completions"
    return "".join(
        json.dumps({"custom_id": f"{kind}-{i:05}", "method": "POST", "url": url, "body": one(i)}) + "\n"
        for i in range(count)
    ).encode()


@dataclass
class Scene:
    """The server, and the batch that the pictures look at."""

    server: Server
    running_id: str
    ages: dict[str, int]
    """How much older than it is each batch is shown, in seconds."""

    def show_ages(self, page: Page) -> None:
        """Let the batches look as if they had been created over some days."""
        page.route("**/v1/batches?**", self._shift_page)

    def _shift_page(self, route: Route) -> None:
        response = route.fetch()
        body = response.json()
        for batch in body["data"]:
            for name, value in batch.items():
                if name.endswith("_at") and value is not None:
                    batch[name] = value - self.ages.get(batch["id"], 0)
        route.fulfill(response=response, json=body)


@contextmanager
def playing(folder: Path, *, scale: float) -> Iterator[Scene]:
    """Start the scene; a running batch has some thousand lines for a scale of 1."""
    settings = ("max_concurrent_batches=2", "max_concurrent_requests_per_batch=32")
    with (
        serving_model() as url,
        running(folder, url, *(f"--set={each}" for each in settings)) as server,
    ):

        def create(name: str, data: bytes, endpoint: str = "/v1/chat/completions", **more: str) -> str:
            file = server.client.files.create(file=(f"{name.split(':')[0]}.jsonl", data), purpose="batch")
            return server.client.batches.create(
                input_file_id=file.id,
                endpoint=endpoint,  # type: ignore[arg-type]
                completion_window="24h",
                metadata={"name": name, **more},
            ).id

        small = int(200 * scale)
        reviews = create("Reviews: sentiment, third quarter", lines("ticket", small, MODELS[0], pace=0.05))
        articles = create("Help centre: embed articles", lines("article", small, MODELS[2]), "/v1/embeddings")
        invoices = create("Invoices: extract totals", b'{"custom_id": "invoice-1"}\n{"custom_id"\n')
        tickets = create("Support tickets: triage", lines("ticket", small, MODELS[0], pace=0.05, bad=0.06))
        for each in (reviews, articles, invoices, tickets):
            server.wait(each)
        dialogues = create("Synthetic dialogues", lines("ticket", 800, MODELS[1], pace=0.5))
        server.wait_for(dialogues, lambda counts: counts.completed > 0)
        server.client.batches.cancel(dialogues)
        server.wait(dialogues)
        gsm8k = create(
            "GSM8K evaluation, step 4,200",
            lines("gsm8k", int(2_600 * scale), MODELS[1], bad=0.008),
            team="evals",
            run="2026-11-26",
        )
        create("Product descriptions, German", lines("sku", int(4_000 * scale), MODELS[0]), team="shop")
        create("Contract clauses: extract", lines("ticket", 1_000, MODELS[1]), team="legal")
        ages = {
            reviews: 3 * DAY,
            articles: 2 * DAY,
            invoices: DAY,
            tickets: 5 * HOUR,
            dialogues: 2 * HOUR,
        }
        yield Scene(server, gsm8k, ages)
