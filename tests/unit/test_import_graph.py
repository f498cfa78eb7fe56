"""What the functions that users wait for import, see docs/decisions/0022-cold-start.md.

Nothing is measured here: `python -m bench coldstart` does that.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from functools import cache

import pytest

from infra.resources import functions
from nightlane.settings import Settings

FUNCTIONS = {each.name: each.module for each in functions(Settings())}
MODULES = """
import importlib, json, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
print(json.dumps(sorted(sys.modules)))
"""
BOTOCORE = {"botocore", "dateutil", "jmespath", "six", "urllib3"}
PYDANTIC = {"annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}
# What each may import: the client of AWS, settings, JSON; the API also its routes and its forms.
PACKAGES = {
    "authorize": BOTOCORE | PYDANTIC | {"msgspec"},
    "api": BOTOCORE | PYDANTIC | {"msgspec", "aws_lambda_powertools"},
}
# What botocore uses if it is installed, which it is not on Lambda.
OPTIONAL = {"certifi"}
# Nightlane's own: a few more are fine, but a hundred would have been imported by mistake.
MAX_OWN_MODULES = {"authorize": 25, "api": 150}
# Each takes a tenth of a cold start or more, and only some requests or none of these two functions need it.
HEAVY = {
    "aiohttp": "the HTTP client of workers and webhooks: import it where they send",
    "boto3": "its transfer manager and its resources are not used: import botocore",
    "s3transfer": "boto3's transfer manager",
    "multiprocessing": "comes with s3transfer",
    "aws_lambda_powertools.utilities.parameters": "imports boto3: read the secret with its client",
    "aws_lambda_powertools.event_handler": "imports all services: see functions/api/routing.py",
    "aws_lambda_powertools.utilities.data_classes": "the events of every AWS service",
    "asyncio": "is the workers'",
    "functions.api.openapi": "is made when a client asks for the document",
    "functions.api.webhooks": "has routes that few requests need: see functions/api/handler.py",
    "multipart": "is imported when a form arrives",
    "nightlane.settings": "has the settings of workers: api_settings has those of the API",
    "nightlane.aws.bill": "is read when a client asks for a receipt",
    "nightlane.domain.inference.worker": "is the worker's",
    "rich": "is the command's",
}


@cache
def imported(*modules: str) -> frozenset[str]:
    """The modules of a new process that imports these."""
    done = subprocess.run(
        [sys.executable, "-c", MODULES, *modules],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
    )
    return frozenset(json.loads(done.stdout))


@pytest.mark.parametrize("function", PACKAGES)
def test_a_function_that_users_wait_for_imports_nothing_heavy(function: str) -> None:
    found = imported(FUNCTIONS[function])
    assert {name: why for name, why in HEAVY.items() if name in found} == {}


@pytest.mark.parametrize("function", PACKAGES)
def test_a_function_that_users_wait_for_imports_only_the_packages_it_is_known_to_need(function: str) -> None:
    bare = {name.split(".")[0] for name in imported("json")}
    packages = {name.split(".")[0] for name in imported(FUNCTIONS[function])}
    others = packages - bare - set(sys.stdlib_module_names) - {"functions", "nightlane"}
    # A module of the standard library is named after the platform.
    others = {name for name in others if not name.startswith("_sysconfigdata")}
    assert others - OPTIONAL == PACKAGES[function]


@pytest.mark.parametrize("function", PACKAGES)
def test_a_function_that_users_wait_for_does_not_import_all_of_nightlane(function: str) -> None:
    own = Counter(name.split(".")[0] for name in imported(FUNCTIONS[function]))
    assert own["nightlane"] + own["functions"] <= MAX_OWN_MODULES[function]


def test_of_all_functions_only_the_worker_imports_the_client_of_endpoints_and_none_imports_boto3() -> None:
    others = [module for name, module in FUNCTIONS.items() if name != "infer"]
    assert imported(*others) & {"aiohttp", "boto3"} == set()
    assert imported(FUNCTIONS["infer"]) & {"aiohttp", "boto3"} == {"aiohttp"}
