"""What the checks of `nightlane deploy` and `doctor` conclude from what they read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.cli.deployed_stack import DeployedStack
from infra.cli.deploying.account import Concurrency
from infra.cli.deploying.account_checks import judge_bootstrap, judge_concurrency
from infra.cli.deploying.cdk import EVENT
from infra.cli.deploying.changes import Changes
from infra.cli.deploying.checkout import Checkout
from infra.cli.deploying.configuration import read_configuration
from infra.cli.deploying.findings import Finding, Level, ok, run_checks
from infra.cli.deploying.stack_checks import judge_stack, judge_version
from infra.cli.deploying.upstream_checks import judge_answer
from infra.cli.errors import CommandError
from infra.deploy.deployment import Deployment
from infra.version import ROOT, checkout_version
from nightlane.upstream.model_server import Answer
from nightlane.upstream_settings import UpstreamSettings

UPSTREAM = {"upstreams": [{"url": "https://models.acme.test/v1"}]}
STACK = DeployedStack("Nightlane", "UPDATE_COMPLETE", "", {}, is_protected=True, changed_at=None)
DIFF = """Stack Nightlane
IAM Statement Changes
┌───┬──────────┐
│ + │ ${Role}  │
└───┴──────────┘
(NOTE: There may be security-related changes not in this list.)

Resources
[+] AWS::IAM::Role Functions/Notify/Role FunctionsNotifyRole1234ABCD
[-] AWS::SQS::Queue Queues/Old QueuesOld1234ABCD destroy
[~] AWS::DynamoDB::Table Storage/Table StorageTableB43FDCE7 replace
 └─ [~] KeySchema (requires replacement)
     ├─ [-] pk
     └─ [+] id
[~] AWS::Lambda::Function Functions/Api/Function FunctionsApiFunction1234ABCD
 └─ [~] Code

Outputs
[+] Output Version Version: {"Value":"0.1.0"}
"""


def concurrency(limit: int, unreserved: int, held: int = 0, **settings: Any) -> Finding:
    deployment = Deployment.from_context(UPSTREAM | {"max_concurrent_batches": 4} | settings)
    return judge_concurrency(deployment, Concurrency(limit, unreserved), held)


def answered(status: int, body: Any = None, **fields: Any) -> Finding:
    upstream = UpstreamSettings(**{"url": "https://models.acme.test/v1"} | fields)
    return judge_answer(upstream, Answer(status, body, len(json.dumps(body))))


def listing(*models: str) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": each} for each in models]}


def test_concurrency_that_is_free_can_be_reserved() -> None:
    # Four batches with a worker and its successor each, and Lambda keeps 100.
    assert concurrency(1_000, 1_000).level is Level.OK
    assert concurrency(108, 108).level is Level.OK
    # A deployed stack holds its own already.
    assert concurrency(108, 100, held=8).level is Level.OK


def test_a_reservation_that_does_not_fit_names_the_setting_and_the_quota() -> None:
    found = concurrency(106, 106)
    assert found.level is Level.PROBLEM
    assert "infer would reserve 8, but only 6 of the account's 106 are free" in found.what
    assert "lower max_concurrent_batches from 4 to 3" in found.remedy
    assert found.remedy.endswith("--quota-code L-B99A9384 --desired-value 108")


def test_reservations_of_other_functions_count() -> None:
    found = concurrency(1_000, 105)
    assert "other functions reserve 895" in found.what
    assert found.remedy.endswith("--desired-value 1003")


def test_a_new_account_can_reserve_nothing() -> None:
    found = concurrency(10, 10)
    assert found.level is Level.PROBLEM
    assert "max_concurrent_batches" not in found.remedy
    assert "set reserve_concurrency to false" in found.remedy
    assert concurrency(10, 10, reserve_concurrency=False).level is Level.OK
    crowded = concurrency(10, 10, reserve_concurrency=False, max_concurrent_batches=5)
    assert crowded.level is Level.WARNING
    assert "infer may take all 10" in crowded.what


def test_a_missing_bootstrap_is_made_and_an_old_one_is_a_problem() -> None:
    found = [judge_bootstrap(version).level for version in (None, 5, 21)]
    assert found == [Level.WARNING, Level.PROBLEM, Level.OK]


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        (answered(200, listing("a", "b", "c", "d")), Level.OK, "lists a, b, c and 1 more"),
        (answered(200, listing("a", "b"), models=["b*"]), Level.OK, "lists b"),
        (answered(200, listing("a"), models=["x"], rewrite={"fast": "a"}), Level.OK, "lists a"),
        (answered(200, listing("a"), models=["b*"]), Level.WARNING, "`models` matches none of its 1"),
        (answered(200, listing()), Level.WARNING, "its list of models is empty"),
        (answered(200, {"hello": "world"}), Level.WARNING, "something that is not a list of models"),
        (answered(401), Level.PROBLEM, "401: it needs a key"),
        (answered(403, auth={"secret": "inference/key"}), Level.PROBLEM, "403: the key is refused"),
        (answered(404), Level.WARNING, "it has no list of models, or the url is wrong"),
        (answered(503), Level.WARNING, "is it starting?"),
        (answered(308), Level.PROBLEM, "a redirect (308)"),
        (answered(418), Level.WARNING, "418"),
    ],
)
def test_the_answer_of_an_endpoint_is_judged(found: Finding, level: Level, words: str) -> None:
    assert (found.level, words in found.what) == (level, True), found


@pytest.mark.parametrize(
    ("status", "level", "remedy"),
    [
        ("CREATE_COMPLETE", Level.OK, ""),
        ("UPDATE_IN_PROGRESS", Level.WARNING, "wait"),
        ("UPDATE_ROLLBACK_COMPLETE", Level.WARNING, "tries again"),
        ("ROLLBACK_COMPLETE", Level.PROBLEM, "`nightlane destroy`"),
        ("UPDATE_ROLLBACK_FAILED", Level.PROBLEM, "tries again"),
    ],
)
def test_the_state_of_a_stack_is_judged(status: str, level: Level, remedy: str) -> None:
    found = judge_stack(replace(STACK, status=status, reason="said so"))
    assert (found.level, remedy in found.remedy) == (level, True), found
    assert ("said so" in found.what) == (level is Level.PROBLEM or "ROLLBACK" in status)


def test_a_stack_of_other_code_is_reported() -> None:
    assert judge_version(checkout_version()).level is Level.OK
    assert judge_version("0.0.1+00000000").level is Level.WARNING
    assert judge_version(None).level is Level.WARNING


def test_the_version_changes_with_the_deployed_code_only(tmp_path: Path) -> None:
    for folder in ("functions", "layers/nightlane/nightlane", "infra/deploy", "infra/cli"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "module.py").touch()
    for name in ("uv.lock", "infra/resources.py", "infra/environment.py", "infra/gateway.py"):
        (tmp_path / name).touch()
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    before = checkout_version(tmp_path)
    assert before.startswith("1.2.3+")
    (tmp_path / "infra/cli/module.py").write_text("1")
    assert checkout_version(tmp_path) == before
    (tmp_path / "functions/module.py").write_text("1")
    assert checkout_version(tmp_path) != before


def test_changes_are_counted_and_lost_data_is_named() -> None:
    changes = Changes.read(DIFF)
    assert changes.summary == "1 new, 2 changed, 1 removed resources"
    assert changes.replaced == ("AWS::DynamoDB::Table Storage/Table",)
    assert changes.losing_data == ("AWS::SQS::Queue Queues/Old", "AWS::DynamoDB::Table Storage/Table")
    assert changes.permissions.startswith("IAM Statement Changes\n┌")
    assert "Resources" not in changes.permissions
    nothing = Changes.read("Stack Nightlane\nThere were no differences\n")
    assert (nothing.summary, nothing.permissions) == ("no resource changes", "")


def test_progress_is_read_from_the_events_of_the_cdk() -> None:
    line = (
        "Nightlane |  12/121 | 9:10:43 PM | CREATE_COMPLETE         | AWS::SQS::Queue | Queues/Plan (Queues…)"
    )
    event = EVENT.match(line)
    assert event is not None
    assert (event["done"], event["total"], event["status"]) == ("12", "121", "CREATE_COMPLETE")
    deleting = EVENT.match("Nightlane |  7 | 9:12:26 PM | DELETE_COMPLETE | AWS::SQS::Queue | Queues/Plan")
    assert deleting is not None
    assert (deleting["done"], deleting["total"]) == ("7", None)
    assert EVENT.match("Nightlane: deploying... [1/1]") is None


def test_a_configuration_is_a_whole_cdk_json_or_what_is_in_it(tmp_path: Path) -> None:
    whole, inner, invalid = (tmp_path / name for name in ("cdk.json", "inner.json", "invalid.json"))
    whole.write_text(json.dumps({"context": {"nightlane": UPSTREAM, "wheels": "host"}}))
    inner.write_text(json.dumps(UPSTREAM | {"stack_name": "Other"}))
    invalid.write_text(json.dumps(UPSTREAM | {"max_concurrent_batches": 0, "stack_name": "-"}))
    assert read_configuration(whole).context == {"nightlane": json.dumps(UPSTREAM), "wheels": "host"}
    assert read_configuration(inner).deployment.stack_name == "Other"
    with pytest.raises(CommandError, match=r"(?s)nightlane.stack_name: .*max_concurrent_batches: "):
        read_configuration(invalid)
    with pytest.raises(CommandError, match=r"missing\.json"):
        read_configuration(tmp_path / "missing.json")


def test_an_installed_package_says_that_a_checkout_is_needed(tmp_path: Path) -> None:
    assert Checkout.find(ROOT).config.exists()
    with pytest.raises(CommandError, match="clone the repository"):
        Checkout.find(tmp_path)


def test_what_cannot_be_checked_is_a_warning_and_the_order_is_kept() -> None:
    def refused() -> list[Finding]:
        raise CommandError("AWS refused GetAccountSettings: not allowed")

    found = run_checks({"first": refused, "second": lambda: [ok("second", "fine")]})
    assert [(each.name, each.level) for each in found] == [("first", Level.WARNING), ("second", Level.OK)]
    assert found[0].what == "could not be checked: AWS refused GetAccountSettings: not allowed"
