"""The REST API: every path below the stage goes to `api`, if `authorize` allows it.

Not an HTTP API, because only a REST API can return API Gateway's own errors in OpenAI's envelope.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gatewayResponse-definition.html
"""

from collections.abc import Mapping

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from nightlane.wire.headers import PREFLIGHT_HEADERS, cors_headers

from ..gateway import AUTHORIZER_CACHE_SECONDS, BINARY_MEDIA_TYPE, GATEWAY_RESPONSES, PUBLIC_PATHS, STAGE
from . import camel_case
from .deployment import CustomDomain, Deployment

ACCESS_LOG = apigateway.AccessLogFormat.custom(
    '{"requestId":"$context.requestId","tenant":"$context.authorizer.tenant","method":"$context.httpMethod",'
    '"path":"$context.path","status":"$context.status","bytes":"$context.responseLength",'
    '"milliseconds":"$context.responseLatency","sourceIp":"$context.identity.sourceIp",'
    '"error":"$context.error.message","integrationError":"$context.integration.error",'
    '"authorizerError":"$context.authorizer.error"}'
)


class Api(Construct):
    """`rest_api`, `url`, the base URL for clients, and `origins`, those of its pages."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        deployment: Deployment,
        api: lambda_.IFunction,
        authorize: lambda_.IFunction,
    ) -> None:
        super().__init__(scope, construct_id)
        self.rest_api = apigateway.RestApi(
            self,
            "RestApi",
            rest_api_name=deployment.stack_name,
            description="OpenAI-compatible Batch API",
            binary_media_types=[BINARY_MEDIA_TYPE],
            endpoint_configuration=self._endpoint(deployment),
            policy=_allow_only_endpoints(deployment.vpc_endpoint_ids),
            deploy_options=self._stage(deployment),
            cloud_watch_role=True,
            disable_execute_api_endpoint=deployment.domain is not None,
        )
        cors = cors_headers(deployment.settings.cors_origin)
        self._add_gateway_responses(cors)
        authorizer = apigateway.TokenAuthorizer(
            self,
            "Authorizer",
            handler=authorize,
            results_cache_ttl=Duration.seconds(AUTHORIZER_CACHE_SECONDS),
        )
        integration = apigateway.LambdaIntegration(api, allow_test_invoke=False)
        proxy = self.rest_api.root.add_resource("{proxy+}")
        proxy.add_method("ANY", integration, authorizer=authorizer)
        if cors:
            _add_preflight(proxy, cors | PREFLIGHT_HEADERS)
        for path in PUBLIC_PATHS:
            self.rest_api.root.resource_for_path(path).add_method("GET", integration)
        self.url = self._url(deployment.domain)
        self.origins = self._origins(deployment)
        if deployment.web_acl_arn:
            wafv2.CfnWebACLAssociation(
                self,
                "Firewall",
                resource_arn=self.rest_api.deployment_stage.stage_arn,
                web_acl_arn=deployment.web_acl_arn,
            )

    def _endpoint(self, deployment: Deployment) -> apigateway.EndpointConfiguration:
        if not deployment.vpc_endpoint_ids:
            return apigateway.EndpointConfiguration(types=[apigateway.EndpointType.REGIONAL])
        endpoints = [
            ec2.InterfaceVpcEndpoint.from_interface_vpc_endpoint_attributes(
                self, f"Endpoint{number}", port=443, vpc_endpoint_id=identifier
            )
            for number, identifier in enumerate(deployment.vpc_endpoint_ids)
        ]
        private = [apigateway.EndpointType.PRIVATE]
        return apigateway.EndpointConfiguration(types=private, vpc_endpoints=endpoints)

    def _stage(self, deployment: Deployment) -> apigateway.StageOptions:
        log_group = logs.LogGroup(
            self,
            "AccessLogs",
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.DESTROY,
        )
        return apigateway.StageOptions(
            stage_name=STAGE,
            access_log_destination=apigateway.LogGroupLogDestination(log_group),
            access_log_format=ACCESS_LOG,
            # Bodies belong to the tenants, so only API Gateway's errors are logged.
            logging_level=apigateway.MethodLoggingLevel.ERROR,
            data_trace_enabled=False,
            # The dashboard and the alarms need only those of the whole API, which cost nothing.
            # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
            metrics_enabled=False,
            tracing_enabled=not deployment.is_lean,
            throttling_rate_limit=deployment.throttle_requests_per_second,
            throttling_burst_limit=deployment.throttle_burst,
        )

    def _add_gateway_responses(self, cors: dict[str, str]) -> None:
        for response in GATEWAY_RESPONSES:
            headers = {name: f"'{value}'" for name, value in (response.headers | cors).items()}
            self.rest_api.add_gateway_response(
                camel_case(response.kind),
                type=apigateway.ResponseType.of(response.kind),
                # Without a status code, the DEFAULT types keep the status of the error.
                status_code=None if response.kind.startswith("DEFAULT") else str(response.status),
                response_headers={"x-request-id": "context.requestId"} | headers,
                templates={"application/json": response.template},
            )

    def _origins(self, deployment: Deployment) -> list[str]:
        """The origins of pages that the API serves.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-private-api-test-invoke-url.html
        """
        if deployment.domain is not None:
            return [f"https://{deployment.domain.name}"]
        # Not from the stage's URL: the stage needs the functions, and they need the bucket that is told.
        identifier = self.rest_api.rest_api_id
        hosts = [identifier, *(f"{identifier}-{each}" for each in deployment.vpc_endpoint_ids)]
        return [f"https://{host}.execute-api.{Aws.REGION}.{Aws.URL_SUFFIX}" for host in hosts]

    def _url(self, domain: CustomDomain | None) -> str:
        if domain is None:
            return self.rest_api.url.rstrip("/")
        certificate = acm.Certificate.from_certificate_arn(self, "Certificate", domain.certificate_arn)
        name = apigateway.DomainName(
            self,
            "Domain",
            domain_name=domain.name,
            certificate=certificate,
            endpoint_type=apigateway.EndpointType.REGIONAL,
            security_policy=apigateway.SecurityPolicy.TLS_1_2,
        )
        name.add_base_path_mapping(self.rest_api, base_path=STAGE, stage=self.rest_api.deployment_stage)
        return f"https://{domain.name}/{STAGE}"


def _add_preflight(resource: apigateway.Resource, headers: Mapping[str, str]) -> None:
    """Answer OPTIONS without a key, which a browser does not send before it knows that it may."""
    mapped = {f"method.response.header.{name}": f"'{value}'" for name, value in headers.items()}
    resource.add_method(
        "OPTIONS",
        apigateway.MockIntegration(
            request_templates={"application/json": '{"statusCode": 204}'},
            integration_responses=[
                apigateway.IntegrationResponse(status_code="204", response_parameters=mapped)
            ],
        ),
        authorization_type=apigateway.AuthorizationType.NONE,
        method_responses=[
            apigateway.MethodResponse(status_code="204", response_parameters=dict.fromkeys(mapped, True))
        ],
    )


def _allow_only_endpoints(endpoint_ids: tuple[str, ...]) -> iam.PolicyDocument | None:
    """The policy that a private API needs: which VPC endpoints may reach it.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-private-apis.html
    """
    if not endpoint_ids:
        return None
    deny_others = iam.PolicyStatement(
        effect=iam.Effect.DENY,
        principals=[iam.AnyPrincipal()],
        actions=["execute-api:Invoke"],
        resources=["execute-api:/*"],
        conditions={"StringNotEquals": {"aws:SourceVpce": list(endpoint_ids)}},
    )
    allow_all = iam.PolicyStatement(
        principals=[iam.AnyPrincipal()], actions=["execute-api:Invoke"], resources=["execute-api:/*"]
    )
    return iam.PolicyDocument(statements=[allow_all, deny_others])
