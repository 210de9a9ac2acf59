"""The logic of one connection, without network, clock or threads: messages and reports in, what to do out."""

from collections.abc import Callable
from dataclasses import dataclass

from auricle.audio.voice_activity import Probability
from auricle.conversation import Sampling
from auricle.errors import UserError
from auricle.serve.live.conversation import Conversation, Item, read_item
from auricle.serve.live.events import Event, error_event, event, invalid, new_id, read_audio, read_event, shown
from auricle.serve.live.hearing import Hearing, Hooks
from auricle.serve.live.jobs import Failed, Heard, Report
from auricle.serve.live.outbox import Close, Out
from auricle.serve.live.schema import ItemParams, RealtimeSession, ResponseParams, Session, read_as, updated
from auricle.serve.live.speaking import Speaking
from auricle.serve.wire.errors import ApiError, to_api_error

_RESTARTS = 1012  # RFC 6455's registry: the service restarts


@dataclass(frozen=True, slots=True)
class Given:
    """What a connection is made of.

    model_name: what the client is told.
    defaults: the model's own sampling.
    longest_s: of one turn, and of what is buffered without a commit.
    probability: another detector of speech than Silero's.
    most_bytes: of the conversation, asked whenever it grows; it is never larger than Conversation's own limit.
    """

    model_name: str
    defaults: Sampling
    longest_s: float = 300
    probability: Probability | None = None
    most_bytes: Callable[[], int] | None = None


class LiveSession:
    """One client's session: its settings, its microphone, its conversation."""

    def __init__(self, settings: Session, given: Given) -> None:
        self._settings = settings
        self._given = given
        self._id = new_id("sess")
        self._outs: list[Out] = []
        self._conversation = Conversation(given.most_bytes)
        self._hearing = Hearing(
            self._outs.append,
            Hooks(self._on_started, self._on_committed, self._on_stopped),
            settings=settings.audio.input,
            longest_s=given.longest_s,
            probability=given.probability,
        )
        self._speaking = Speaking(self._outs.append, self._conversation, given.defaults)
        self._stopping = False

    @property
    def is_behind(self) -> bool:
        """Whether the client should be read no further for now."""
        return self._hearing.is_behind

    def begin(self) -> list[Out]:
        """What the client is told first."""
        return [event("session.created", {"session": self._wire()})]

    def take(self, message: str | bytes) -> list[Out]:
        """A message of the client, JSON or bare sound -> what to do, in this order. Never raises what a client did."""
        client_event: Event = {}
        try:
            if self._stopping:
                pass  # it was told
            elif isinstance(message, bytes):
                self._hearing.append(message)
            else:
                client_event = read_event(message)
                self._handle(client_event)
        except (ApiError, UserError) as error:
            self._outs.append(error_event(to_api_error(error), client_event.get("event_id")))
        except RecursionError:
            self._outs.append(error_event(invalid("the message is nested too deeply", code="invalid_json")))
        return self._taken()

    def report(self, report: Report) -> list[Out]:
        """What became of a job -> what to do."""
        if isinstance(report, Heard | Failed):
            self._hearing.report(report)
        if not isinstance(report, Heard):
            self._speaking.report(report)
        return self._taken()

    def stop(self) -> list[Out]:
        """The server stops: what was begun is finished, then the connection closes."""
        if not self._stopping:
            self._stopping = True
            error = ApiError(503, "the server is stopping; connect again later", code="server_stopping")
            self._outs.append(error_event(error))
        return self._taken()

    def _taken(self) -> list[Out]:
        if self._stopping and not self._speaking.is_busy and not self._hearing.is_busy:
            self._outs.append(Close(_RESTARTS, "the server is stopping"))
        outs = list(self._outs)
        self._outs.clear()
        return outs

    def _handle(self, client_event: Event) -> None:
        handlers: dict[str, Callable[[Event], None]] = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": lambda _: self._hearing.commit(),
            "input_audio_buffer.clear": lambda _: self._hearing.clear(),
            "conversation.item.create": self._create_item,
            "conversation.item.delete": self._delete_item,
            "response.create": self._respond,
            "response.cancel": self._cancel,
        }
        kind = client_event["type"]
        if kind not in handlers:
            raise invalid(f"{shown(kind)} is not supported by this server", param="type", code="unknown_event")
        handlers[kind](client_event)

    def _update(self, client_event: Event) -> None:
        settings = updated(self._settings, client_event.get("session"))
        if settings.type != self._settings.type and (self._conversation.last_id or self._speaking.is_busy):
            raise invalid(
                "the session's type cannot change once the conversation has begun; connect again", param="session.type"
            )
        self._settings = settings
        self._hearing.configure(settings.audio.input)
        self._outs.append(event("session.updated", {"session": self._wire()}))

    def _append(self, client_event: Event) -> None:
        self._hearing.append(read_audio(client_event.get("audio"), "audio"))

    def _create_item(self, client_event: Event) -> None:
        settings = self._chat("conversation.item.create")
        params = read_as(ItemParams, client_event.get("item"), "item")
        if params.type != "message":
            raise invalid("item.type must be message: a reference belongs into response.create", param="item.type")
        after = client_event.get("previous_item_id")
        if after is not None and not isinstance(after, str):
            raise invalid("previous_item_id must be a text", param="previous_item_id")
        item = read_item(params, settings.audio.input.format, self._conversation.find, param="item")
        before, forgotten = self._conversation.add(item, after=after)
        self._tell_added(item, before, forgotten)

    def _delete_item(self, client_event: Event) -> None:
        self._chat("conversation.item.delete")
        item = self._conversation.find(str(client_event.get("item_id")))
        self._conversation.remove(item.id)
        self._outs.append(event("conversation.item.deleted", {"item_id": item.id}))

    def _respond(self, client_event: Event) -> None:
        settings = self._chat("response.create")
        wanted = client_event.get("response")
        params = read_as(ResponseParams, {} if wanted is None else wanted, "response")
        self._speaking.create(settings, params)

    def _cancel(self, client_event: Event) -> None:
        self._speaking.require_running(client_event.get("response_id"))
        self._speaking.cancel("client_cancelled")

    def _on_started(self) -> None:
        detection = self._settings.audio.input.turn_detection
        if detection is not None and detection.interrupt_response:
            self._speaking.cancel("turn_detected")

    def _on_committed(self, item: Item) -> None:
        is_chat = isinstance(self._settings, RealtimeSession)
        before, forgotten = self._conversation.add(item) if is_chat else (self._conversation.pass_by(item), [])
        told = {"previous_item_id": before, "item_id": item.id}
        self._outs.append(event("input_audio_buffer.committed", told))
        self._tell_added(item, before, forgotten)

    def _on_stopped(self) -> None:
        detection = self._settings.audio.input.turn_detection
        if detection is None or not detection.create_response or not isinstance(self._settings, RealtimeSession):
            return
        try:
            self._speaking.create(self._settings, ResponseParams())
        except ApiError as error:  # an answer that may not be interrupted goes on
            self._outs.append(error_event(error))

    def _tell_added(self, item: Item, before: str | None, forgotten: list[str]) -> None:
        told = {"previous_item_id": before, "item": item.wire}
        self._outs += [event("conversation.item.added", told), event("conversation.item.done", told)]
        self._outs += [event("conversation.item.deleted", {"item_id": item_id}) for item_id in forgotten]

    def _chat(self, what: str) -> RealtimeSession:
        if not isinstance(self._settings, RealtimeSession):
            raise invalid(f"{what} needs a session of type realtime; this one only transcribes", param="type")
        return self._settings

    def _wire(self) -> Event:
        kind = "realtime.session" if isinstance(self._settings, RealtimeSession) else "realtime.transcription_session"
        named = {"model": self._given.model_name} if isinstance(self._settings, RealtimeSession) else {}
        return {**self._settings.model_dump(exclude_none=False), **named, "object": kind, "id": self._id}
