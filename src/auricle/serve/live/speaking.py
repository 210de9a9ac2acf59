"""The model's side of a connection: one answer at a time, which can be interrupted."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from auricle.conversation import Answer, Sampling
from auricle.serve.live.conversation import Conversation, Item, read_item
from auricle.serve.live.events import Event, event, invalid, new_id
from auricle.serve.live.jobs import Answered, Failed, LeftOut, Respond, Said
from auricle.serve.live.outbox import Cancel, Out
from auricle.serve.live.schema import RealtimeSession, ResponseParams
from auricle.serve.wire.errors import ApiError

Reason = Literal["turn_detected", "client_cancelled"]


@dataclass(slots=True)
class _Response:
    """One answer on its way.

    item: what was said so far; None before its first words.
    remembered: whether it joins the conversation.
    """

    job: Respond
    params: ResponseParams
    max_tokens: int | Literal["inf"]
    remembered: bool
    id: str = field(default_factory=lambda: new_id("resp"))
    item: Item | None = None

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(part for part in self.item.parts if isinstance(part, str)) if self.item else ""


class Speaking:
    """Answers to a conversation as events; reports of the job come back through `report`."""

    def __init__(self, out: Callable[[Out], None], conversation: Conversation, defaults: Sampling) -> None:
        self._out = out
        self._conversation = conversation
        self._conversation_id = new_id("conv")
        self._defaults = defaults
        self._running: _Response | None = None

    @property
    def is_busy(self) -> bool:
        """Whether an answer is on its way."""
        return self._running is not None

    def create(self, session: RealtimeSession, params: ResponseParams) -> None:
        """Begin to answer.

        Raises:
            ApiError: an answer is on its way already, or there is nothing to answer.
        """
        if self._running is not None:
            raise invalid(
                "an answer is on its way already; cancel it, or wait for response.done",
                code="conversation_already_has_active_response",
            )
        limit = params.max_output_tokens or session.max_output_tokens or "inf"
        job = Respond(
            items=self._items(session, params),
            instructions=session.instructions if params.instructions is None else params.instructions,
            sampling=self._sampling(session, params, limit),
            may_forget=session.truncation == "auto" and params.input is None,
            may_be_shorter=limit == "inf",
        )
        self._running = _Response(job, params, limit, params.conversation != "none")
        self._out(event("response.created", {"response": self._wire(self._running, "in_progress")}))
        self._out(job)

    def cancel(self, reason: Reason) -> None:
        """Stop the answer that is on its way; what was said so far stays in the conversation."""
        if (response := self._running) is not None:
            self._out(Cancel(response.job.id))
            self._end(response, "cancelled", {"type": "cancelled", "reason": reason})

    def require_running(self, response_id: str | None) -> None:
        """Raise ApiError where no answer, or another one, is on its way."""
        if self._running is None or response_id not in (None, self._running.id):
            raise invalid("no such answer is on its way", param="response_id", code="response_cancel_not_active")

    def report(self, report: LeftOut | Said | Answered | Failed) -> None:
        """What became of the job; one that was cancelled is not heard any more."""
        response = self._running
        if response is None or report.job_id != response.job.id:
            return
        if isinstance(report, Said):
            self._say(response, report.text)
        elif isinstance(report, LeftOut):
            self._forget(response, report.item_ids)
        elif isinstance(report, Failed):
            self._end(response, "failed", {"type": "failed", "error": _failure(report.error)})
        else:
            self._finish(response, report)

    def _items(self, session: RealtimeSession, params: ResponseParams) -> tuple[Item, ...]:
        items = self._conversation.items
        if params.input is not None:
            audio_format, find = session.audio.input.format, self._conversation.find
            items = tuple(
                read_item(item, audio_format, find, param=f"response.input.{place}")
                for place, item in enumerate(params.input)
            )
        if not any(item.role == "user" for item in items):
            raise invalid("there is nothing to answer: the conversation has no turn of the user", code="nothing_said")
        return items

    def _sampling(self, session: RealtimeSession, params: ResponseParams, limit: int | Literal["inf"]) -> Sampling:
        temperature = session.temperature if params.temperature is None else params.temperature
        sampling = self._defaults if temperature is None else replace(self._defaults, temperature=temperature)
        if limit == "inf":
            return sampling
        return replace(sampling, max_new_tokens=limit, min_new_tokens=min(limit, sampling.min_new_tokens))

    def _say(self, response: _Response, text: str) -> None:
        item = response.item or self._begin(response)
        response.item = replace(item, parts=(response.text + text,))
        self._out(event("response.output_text.delta", {**_place(response), "delta": text}))

    def _begin(self, response: _Response) -> Item:
        response.item = item = Item("assistant", (), status="in_progress")
        added = {"response_id": response.id, "output_index": 0, "item": item.wire}
        self._out(event("response.output_item.added", added))
        if response.remembered:
            before, forgotten = self._conversation.add(item)
            self._out(event("conversation.item.added", {"previous_item_id": before, "item": item.wire}))
            self._tell_forgotten(forgotten)
        part = {"type": "text", "text": ""}
        self._out(event("response.content_part.added", {**_place(response), "part": part}))
        return item

    def _finish(self, response: _Response, report: Answered) -> None:
        if response.item is None:
            response.item = self._begin(response)
        usage = _usage(report.answer, report.num_audio_tokens)
        if report.answer.finish_reason == "length":
            self._end(response, "incomplete", {"type": "incomplete", "reason": "max_output_tokens"}, usage)
        else:
            self._end(response, "completed", {"type": "completed"}, usage)

    def _end(self, response: _Response, status: str, details: Event, usage: Event | None = None) -> None:
        self._running = None
        if response.item is not None:
            response.item = replace(response.item, status="completed" if status == "completed" else "incomplete")
            self._close_item(response, response.item)
        wire = {**self._wire(response, status), "status_details": details, "usage": usage}
        self._out(event("response.done", {"response": wire}))

    def _close_item(self, response: _Response, item: Item) -> None:
        place, part = _place(response), {"type": "text", "text": response.text}
        self._out(event("response.output_text.done", {**place, "text": response.text}))
        self._out(event("response.content_part.done", {**place, "part": part}))
        done = {"response_id": response.id, "output_index": 0, "item": item.wire}
        self._out(event("response.output_item.done", done))
        if response.remembered:
            self._conversation.replace(item)
            self._out(event("conversation.item.done", {"item": item.wire}))

    def _forget(self, response: _Response, item_ids: tuple[str, ...]) -> None:
        if response.remembered:
            for item_id in item_ids:
                self._conversation.remove(item_id)
            self._tell_forgotten(item_ids)

    def _tell_forgotten(self, item_ids: list[str] | tuple[str, ...]) -> None:
        for item_id in item_ids:
            self._out(event("conversation.item.deleted", {"item_id": item_id}))

    def _wire(self, response: _Response, status: str) -> Event:
        return {
            "object": "realtime.response",
            "id": response.id,
            "status": status,
            "status_details": None,
            "output": [response.item.wire] if response.item else [],
            "conversation_id": self._conversation_id if response.remembered else None,
            "output_modalities": ["text"],
            "max_output_tokens": response.max_tokens,
            "metadata": response.params.metadata,
            "usage": None,
        }


def _place(response: _Response) -> Event:
    item_id = response.item.id if response.item else ""
    return {"response_id": response.id, "item_id": item_id, "output_index": 0, "content_index": 0}


def _usage(answer: Answer, num_audio_tokens: int) -> Event:
    num_text_tokens = answer.num_prompt_tokens - num_audio_tokens
    heard = {"audio_tokens": num_audio_tokens, "text_tokens": num_text_tokens, "cached_tokens": 0}
    return {
        "total_tokens": answer.num_prompt_tokens + answer.num_tokens,
        "input_tokens": answer.num_prompt_tokens,
        "output_tokens": answer.num_tokens,
        "input_token_details": heard,
        "output_token_details": {"text_tokens": answer.num_tokens, "audio_tokens": 0},
    }


def _failure(error: ApiError) -> Event:
    body = error.body["error"]
    return {"type": body["type"], "code": body["code"], "message": body["message"]}
