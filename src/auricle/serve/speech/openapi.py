"""How OpenAPI describes the audio endpoints."""

from typing import Any

from auricle.serve.speech.form import FILE
from auricle.serve.speech.schemas import TextForm, Transcription, TranscriptionVerbose
from auricle.serve.wire.error_schemas import errors


def described(form: type[TextForm]) -> dict[str, Any]:
    """What the decorator of an endpoint that takes such a form is given."""
    schema = form.model_json_schema()
    parts = schema.pop("$defs", {})
    recording = {"type": "string", "format": "binary", "description": "In any format that FFmpeg reads."}
    schema = _inlined(schema, parts) | {"required": [FILE]}
    schema["properties"] = {FILE: recording} | schema["properties"]
    answers = {
        "description": "In the form that response_format and stream name.",
        "model": Transcription | TranscriptionVerbose,
        "content": {
            "text/plain": {"schema": {"type": "string"}},
            "text/event-stream": {},
        },
    }
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}},
        "responses": {200: answers} | errors(),
    }


def _inlined(schema: Any, parts: dict[str, Any]) -> Any:
    """The schema with its own definitions in their places: OpenAPI seeks them elsewhere."""
    if isinstance(schema, list):
        return [_inlined(one, parts) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(parts[schema["$ref"].rpartition("/")[2]], parts)
    return {key: _inlined(one, parts) for key, one in schema.items()}
