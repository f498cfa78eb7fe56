"""Presigned URLs: those of S3, signed offline, and those of the home."""

from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.home.put_urls import PATH, Put, PutUrls
from nightlane.aws.blobs import S3Blobs
from nightlane.aws.clients import Clients

REGIONS = ["us-east-1", "eu-central-1", "me-central-1", "ap-southeast-2"]


def blobs_in(region: str) -> S3Blobs:
    session = boto3.Session("key", "secret", "token", region_name=region)
    return S3Blobs(Clients(session).s3, "bucket-abc")


@pytest.mark.parametrize("region", REGIONS)
def test_a_presigned_get_names_the_region_of_the_bucket(region: str) -> None:
    url = urlsplit(blobs_in(region).presigned_get("files/acme/file-1", "in.jsonl", 900))
    assert (url.scheme, url.hostname) == ("https", f"bucket-abc.s3.{region}.amazonaws.com")
    assert f"/{region}/s3/" in parse_qs(url.query)["X-Amz-Credential"][0]


@pytest.mark.parametrize("region", REGIONS)
def test_a_presigned_put_names_the_region_and_is_for_one_size_and_one_object(region: str) -> None:
    put = blobs_in(region).presigned_put("direct/acme/file-1", 12_345, 3_600)
    url = urlsplit(put.url)
    assert (url.scheme, url.hostname) == ("https", f"bucket-abc.s3.{region}.amazonaws.com")
    query = parse_qs(url.query)
    # S3 compares the signed headers with those of the request.
    assert query["X-Amz-SignedHeaders"] == ["content-length;host;if-none-match"]
    assert query["X-Amz-Expires"] == ["3600"]
    assert put.headers.items() >= {"Content-Length": "12345", "If-None-Match": "*"}.items()
    # Otherwise the client would have to compute a checksum.
    assert not [name for name in query if "checksum" in name.lower()]


def query_of(url: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}


@given(key=st.text(min_size=1), size=st.integers(1, 2**40))
def test_the_home_accepts_what_it_signed(key: str, size: int) -> None:
    urls = PutUrls()
    url = urls.sign(key, size, 60).url
    assert url.startswith(f"{PATH}?")
    assert urls.verify(query_of(url)) == Put(key, size)


@given(name=st.sampled_from(["key", "bytes", "expires", "signature"]), value=st.from_regex("[1-9][0-9]*"))
def test_the_home_refuses_what_it_did_not_sign(name: str, value: str) -> None:
    urls = PutUrls()
    query = query_of(urls.sign("direct/acme/file-1", 5, 60).url)
    if query[name] != value.strip():
        assert urls.verify(query | {name: value}) is None
    assert urls.verify({key: each for key, each in query.items() if key != name}) is None
    assert PutUrls().verify(query) is None


def test_the_home_refuses_a_url_that_has_expired() -> None:
    urls = PutUrls()
    assert urls.verify(query_of(urls.sign("direct/acme/file-1", 5, 0).url)) is None
