"""The upstreams of a deployment: what cannot work is refused by name, and roles get what is theirs."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.deploy.deployment import BadContext, Deployment
from infra.environment import MAX_ENVIRONMENT_BYTES, environment_bytes
from infra.resources import functions
from nightlane.settings import Settings
from tests.certificates import make_certificate
from tests.infra.conftest import BEDROCK, SECRET_ARN, Synthesise, Template, as_list

pytestmark = pytest.mark.xdist_group("cdk")
CALLERS = ["api", "plan", "infer"]
OTHERS = [spec.name for spec in functions(Settings()) if spec.name not in CALLERS]
URL = "https://a.test/v1"
VLLM = {"name": "vllm", "url": URL, "models": ["llama-*"], "auth": {"secret": "acme/vllm"}}
AZURE = {
    "name": "azure",
    "url": "https://acme.openai.azure.com/openai/v1",
    "auth": {"secret": SECRET_ARN, "header": "api-key"},
}


def upstream(**fields: Any) -> dict[str, Any]:
    return {"upstreams": [{"name": "gpu", "url": URL} | fields]}


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"upstreams": []}, "nightlane.upstreams: the list is empty"),
        ({"upstreams": [VLLM, VLLM]}, "nightlane.upstreams: 2 upstreams, and more than one is named 'vllm'"),
        ({"upstreams": [{"url": URL}, {"url": URL}]}, "more than one is named 'default': set `name`"),
        ({"upstreams": [AZURE, VLLM]}, "nightlane.upstreams: vllm: models: it would get no request"),
        (upstream(models=[]), "nightlane.upstreams.gpu.models: Tuple should have at least 1 item"),
        (upstream(models=[""]), "nightlane.upstreams.gpu.models.0: String should have at least 1"),
        (upstream(key_secret="k"), "nightlane.upstreams.gpu.key_secret: Extra inputs"),
        (upstream(name="my gpu"), "nightlane.upstreams.my gpu.name: String should match"),
        (upstream(url="a.test/v1"), "nightlane.upstreams.gpu.url: an endpoint is a URL"),
        (upstream(timeout_seconds=900), "gpu.timeout_seconds: Input should be less than or equal to 840"),
        (upstream(max_concurrent_requests=0), "gpu.max_concurrent_requests: Input should be greater"),
        (upstream(rewrite={"fast": ""}), "gpu.rewrite.fast: String should have at least 1 character"),
        (upstream(active="at night"), "gpu.active: active hours are written as"),
        (upstream(auth={}), "gpu.auth: set exactly one of secret, key and aws, not none"),
        (
            upstream(auth={"secret": "k", "aws": {"service": "bedrock"}}),
            "gpu.auth: set exactly one of secret, key and aws, not secret and aws",
        ),
        (upstream(auth={"key": "sk-1"}), "gpu.auth.key: the template would show it"),
        (
            upstream(auth={"secret": "my key"}),
            "gpu.auth.secret: this must be a secret's name, or its complete",
        ),
        (upstream(auth={"secret": ""}), "gpu.auth.secret: this must be a secret's name"),
        (upstream(auth={"secret": SECRET_ARN.removesuffix("-AbCdEf")}), "or its complete ARN"),
        (upstream(auth={"secret": "arn:aws:ssm:eu-west-1:222222222222:a"}), "or its complete ARN"),
        (upstream(auth={"secret": "k", "header": "api key"}), "gpu.auth.header: 'api key' is not the name"),
        (upstream(auth={"secret": "k", "header": "Host"}), "gpu.auth.header: Host cannot be set"),
        (upstream(auth={"aws": {"service": "s3"}}), "gpu.auth.aws.service: Input should be 'bedrock'"),
        (
            upstream(auth={"aws": {"service": "bedrock"}}),
            "gpu: auth.aws.region: the URL does not name a region",
        ),
        (
            upstream(auth={"aws": {"service": "bedrock"}, "header": "api-key"}),
            "gpu.auth: header is for a key",
        ),
        (upstream(headers={"Content-Length": "1"}), "gpu.headers: Content-Length cannot be set"),
        (upstream(headers={"authorization": "Bearer x"}), "gpu.headers: authorization cannot be set here"),
        (upstream(headers={"X-A": "a\nb"}), "gpu.headers: the value of X-A must be printable"),
        (upstream(headers={"X-A": "1", "x-a": "2"}), "gpu.headers: a header is there twice"),
        (
            upstream(headers={"API-Key": "1"}, auth={"secret": "k", "header": "api-key"}),
            "gpu: headers: auth sets api-key, too",
        ),
        (upstream(url=f"{URL}?v=1", query={"v": "2"}), "gpu: query: the URL sets v, too"),
        (upstream(ca="/no/such/ca.pem"), "gpu.ca: neither PEM text nor an existing file"),
        (upstream(ca="-----BEGIN CERTIFICATE-----\nx"), "gpu.ca: no certificates in PEM form"),
        (upstream(headers={"X-A": "a" * 4_000}), "nightlane.upstreams: the environment of the function"),
    ],
)
def test_what_cannot_work_is_refused_by_the_upstream_and_the_field(
    context: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadContext) as refusal:
        Deployment.from_context(context)
    assert message in str(refusal.value)
    assert "sk-1" not in str(refusal.value)


def test_a_key_and_the_file_of_a_ca_are_refused_on_aws_only(tmp_path: Path) -> None:
    file = str(make_certificate(tmp_path).file)
    context = upstream(ca=file, auth={"key": "sk-1"})
    assert Deployment.from_context(context, on_aws=False).settings.upstreams[0].ca == file
    with pytest.raises(BadContext) as refusal:
        Deployment.from_context(context)
    assert "nightlane.upstreams.gpu.ca: functions have no such file" in str(refusal.value)
    assert "nightlane.upstreams.gpu.auth.key" in str(refusal.value)


def test_the_text_of_a_ca_fits_into_the_environment(tmp_path: Path) -> None:
    deployment = Deployment.from_context(upstream(ca=make_certificate(tmp_path).text))
    function, size = environment_bytes(deployment.settings, deployment.stack_name)
    assert function in CALLERS
    assert size < MAX_ENVIRONMENT_BYTES


def test_the_estimate_of_an_environment_is_not_below_its_size(synthesise: Synthesise) -> None:
    context: dict[str, Any] = {"upstreams": [VLLM, BEDROCK, AZURE], "checkpoint_seconds": 7}
    deployment = Deployment.from_context(context)
    _, estimate = environment_bytes(deployment.settings, deployment.stack_name)
    for name in CALLERS:
        variables = synthesise(**context).function(name)["Environment"]["Variables"]
        # A reference to a resource is replaced by its name, URL or ARN, of less than 140 characters.
        values = (value if isinstance(value, str) else "x" * 99 for value in variables.values())
        assert sum(map(len, (*variables, *values))) < estimate


def test_only_callers_have_the_upstreams_and_none_has_a_key(synthesise: Synthesise) -> None:
    template = synthesise(upstreams=[VLLM, BEDROCK, AZURE])
    for name in (*CALLERS, *OTHERS):
        variables = template.function(name)["Environment"]["Variables"]
        assert ("NIGHTLANE_UPSTREAMS" in variables) == (name in CALLERS)
    listed = json.loads(template.function("infer")["Environment"]["Variables"]["NIGHTLANE_UPSTREAMS"])
    assert listed == [VLLM, BEDROCK, AZURE]
    assert "AWS::SecretsManager::Secret" not in json.dumps(template.body)


def granted(template: Template, function: str, prefix: str) -> dict[str, list[Any]]:
    """The resources by action, of the actions that start with a prefix."""
    return {
        action: as_list(statement["Resource"])
        for statement in template.statements(function)
        for action in as_list(statement["Action"])
        if action.startswith(prefix)
    }


@pytest.mark.parametrize("function", [*CALLERS, *OTHERS])
def test_callers_may_read_the_secrets_of_all_upstreams_and_no_others(
    synthesise: Synthesise, function: str
) -> None:
    template = synthesise(upstreams=[VLLM, BEDROCK, AZURE])
    secrets = granted(template, function, "secretsmanager:")
    if function in OTHERS:
        assert secrets == {}
    else:
        (by_name, by_arn) = secrets["secretsmanager:GetSecretValue"]
        assert by_name["Fn::Join"][1][-1].endswith(":secret:acme/vllm-??????")
        assert by_arn == SECRET_ARN
        assert len(secrets) == 1


def texts(resources: list[Any]) -> list[str]:
    """ARNs without the partition and the account, which CloudFormation fills in."""
    return ["".join(part for part in each["Fn::Join"][1] if isinstance(part, str)) for each in resources]


@pytest.mark.parametrize("function", [*CALLERS, *OTHERS])
def test_only_the_worker_may_call_bedrock_and_only_the_upstreams_models(
    synthesise: Synthesise, function: str
) -> None:
    names = {"fast": "qwen.qwen3-32b-v1:0"}
    named = BEDROCK | {"models": ["openai.gpt-oss-*", "q[ab]", "fast"], "rewrite": names}
    template = synthesise(upstreams=[named, AZURE])
    actions = granted(template, function, "bedrock")
    if function != "infer":
        assert actions == {}
        return
    prefix = "arn::bedrock:eu-west-1::foundation-model/"
    assert texts(actions.pop("bedrock:InvokeModel")) == [
        f"{prefix}openai.gpt-oss-*",
        f"{prefix}q?",
        f"{prefix}qwen.qwen3-32b-v1:0",
    ]
    assert actions == {}


def test_the_operator_may_name_the_resources_of_bedrock_and_use_its_other_endpoint(
    synthesise: Synthesise,
) -> None:
    profile = "arn:aws:bedrock:eu-west-1:222222222222:inference-profile/eu.amazon.nova-lite-v1:0"
    own = BEDROCK | {"auth": {"aws": {"service": "bedrock", "resources": [profile]}}}
    mantle = {
        "name": "mantle",
        "url": "https://bedrock-mantle.us-east-1.api.aws/v1",
        "auth": {"aws": {"service": "bedrock-mantle"}},
    }
    actions = granted(synthesise(upstreams=[own, mantle]), "infer", "bedrock")
    assert actions.pop("bedrock:InvokeModel") == [profile]
    assert texts(actions.pop("bedrock-mantle:CreateInference")) == [
        "arn::bedrock-mantle:us-east-1::project/default"
    ]
    assert actions == {}


def test_without_aws_no_role_may_call_bedrock(synthesise: Synthesise) -> None:
    assert "bedrock" not in json.dumps(synthesise(upstreams=[VLLM, AZURE]).body)
