"""schemathesis attacks the server along its own OpenAPI description: no 500, and every answer is one it promises."""

from collections import Counter
from collections.abc import Iterator

import hypothesis
import pytest
import schemathesis
from safe_fixtures import guarded
from schemathesis import checks
from serving import Running, ScriptedService

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    checks.unsupported_method,
    checks.negative_data_rejection,
]
PATHS = (
    "/v1/chat/completions",
    "/v1/audio/transcriptions",
    "/v1/audio/translations",
    "/v1/models",
    "/health",
    "/metrics",
)


@pytest.fixture(scope="module")
def attacked() -> Iterator[Running]:
    """A server whose model answers quickly."""
    with guarded(ScriptedService(pieces=["Hello", "."]), max_body_mb=4, max_upload_mb=4) as started:
        yield started


seen: Counter[tuple[str, int]] = Counter()


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("mode", [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE])
def test_every_answer_is_promised(attacked: Running, path: str, mode: schemathesis.GenerationMode) -> None:
    """Requests as the description allows them, and ones that it does not."""
    description = schemathesis.openapi.from_url(f"{attacked.url}/openapi.json")
    operations = [found.ok() for found in description.include(path=path).get_all_operations()]
    assert operations
    for operation in operations:

        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        @hypothesis.settings(max_examples=150, suppress_health_check=list(hypothesis.HealthCheck))
        def attack(case: schemathesis.Case) -> None:
            answer = case.call()
            seen[path, answer.status_code] += 1
            case.validate_response(answer, checks=CHECKS)

        try:
            attack()
        except hypothesis.errors.Unsatisfiable:
            assert mode == schemathesis.GenerationMode.NEGATIVE  # a GET without parameters can hardly be wrong


@pytest.mark.slow
def test_every_path_was_attacked_and_some_requests_were_good(attacked: Running) -> None:
    """The control: had all been refused alike, nothing was tried."""
    print(sorted(seen.items()))
    assert {path for path, _ in seen} >= set(PATHS)
    for path in ("/v1/chat/completions", "/v1/models", "/health", "/metrics"):
        assert seen[path, 200], path
    for path in PATHS[:3]:
        assert seen[path, 400], path
    with attacked.http() as client:
        assert client.get("/health").status_code == 200
