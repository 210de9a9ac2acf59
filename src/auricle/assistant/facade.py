"""load -> Assistant: transcribe, translate, ask, answer and chat; most take one recording or many."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

from auricle import units
from auricle.assistant.chat import Chat
from auricle.assistant.fallback import Fallback
from auricle.assistant.hear import hear
from auricle.assistant.languages import HEARD, language_code, language_name
from auricle.assistant.recognise import (
    NOBODY,
    RECOGNISE,
    TRANSLATE,
    Cuts,
    Task,
    Watch,
    language_probabilities,
    path_of,
    recognise,
)
from auricle.assistant.result import Result
from auricle.audio import Source, VoiceActivity, stream_windows
from auricle.conversation import Audio, Message, RawPrompt, Sampling
from auricle.engines import Engine, Request, open_engine
from auricle.errors import UserError

GREEDY = Sampling()
FALLBACK = Fallback()
VOICE = VoiceActivity()
Prompt = Sequence[Message] | RawPrompt


class Assistant:
    """A model that hears. Recordings are paths, `-`, bytes of a file, file objects, or `(array, rate)`.

    Transcripts and translations are greedy unless stated, whatever the model's generation_config says: sampling and
    penalties on repeated words harm them. Everything else follows it; `assistant.defaults` shows it.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def defaults(self) -> Sampling:
        """The model's generation_config; change it with `dataclasses.replace`."""
        return self.engine.defaults

    @overload
    def transcribe(
        self,
        recording: list[Source],
        *,
        language: str = ...,
        initial_prompt: str = ...,
        sampling: Sampling = ...,
        fallback: Fallback = ...,
        voice: VoiceActivity | None = ...,
        window_s: float = ...,
    ) -> list[Result]: ...
    @overload
    def transcribe(
        self,
        recording: Source,
        *,
        language: str = ...,
        initial_prompt: str = ...,
        sampling: Sampling = ...,
        fallback: Fallback = ...,
        voice: VoiceActivity | None = ...,
        window_s: float = ...,
    ) -> Result: ...
    def transcribe(
        self,
        recording: Source | list[Source],
        *,
        language: str = "en",
        initial_prompt: str = "",
        sampling: Sampling = GREEDY,
        fallback: Fallback = FALLBACK,
        voice: VoiceActivity | None = VOICE,
        window_s: float = units.WINDOW_S,
    ) -> Result | list[Result]:
        """The words of one recording, or of each in a list, in the same order.

        Every stretch of speech is a window, and a segment; longer ones are cut at quiet points. Where nobody speaks
        there is nothing: the text is empty. Memory does not grow with the recording's length.

        Args:
            recording: a path, `-`, bytes, a file object, `(array, rate)`, or a list of them.
            language: an ISO code such as `en`, a name such as `English`, or `auto` to find it out.
            initial_prompt: text that stands before every window: names, spellings.
            sampling: greedy unless stated.
            fallback: when a window that came out as a loop is tried again; `Fallback(temperatures=())` never.
            voice: what counts as speech and as a pause; None hears all of a recording, cut at quiet points.
            window_s: the longest window, 1 to 30 s; shorter ones give shorter segments and less context.

        Raises:
            UserError: a recording cannot be heard; the sentence says which and why.
        """
        many = recording if isinstance(recording, list) else [recording]
        results = self.transcribe_each(
            many,
            language=language,
            initial_prompt=initial_prompt,
            sampling=sampling,
            fallback=fallback,
            voice=voice,
            window_s=window_s,
        )
        return list(results) if isinstance(recording, list) else next(results)

    def transcribe_each(
        self,
        recordings: Iterable[Source],
        *,
        language: str = "en",
        initial_prompt: str = "",
        sampling: Sampling = GREEDY,
        fallback: Fallback = FALLBACK,
        voice: VoiceActivity | None = VOICE,
        window_s: float = units.WINDOW_S,
        watch: Watch = NOBODY,
    ) -> Iterator[Result]:
        """As `transcribe`, each result as soon as it is ready; `watch` hears of every segment meanwhile."""
        task = Task(RECOGNISE, language_code(language), initial_prompt)
        cuts = Cuts(voice, window_s)
        return recognise(self.engine, recordings, task, cuts, sampling=sampling, fallback=fallback, watch=watch)

    def translate(self, recording: Source, *, to: str, language: str = "auto", sampling: Sampling = GREEDY) -> Result:
        """What is said in one recording of any length, in another language.

        Args:
            recording: as for `transcribe`.
            to: the language to write, a name such as `German` or a code such as `de`.
            language: the language spoken, or `auto` to find it out.
            sampling: greedy unless stated.
        """
        return next(self.translate_each([recording], to=to, language=language, sampling=sampling))

    def translate_each(
        self,
        recordings: Iterable[Source],
        *,
        to: str,
        language: str = "auto",
        initial_prompt: str = "",
        sampling: Sampling = GREEDY,
        fallback: Fallback = FALLBACK,
        voice: VoiceActivity | None = VOICE,
        window_s: float = units.WINDOW_S,
        watch: Watch = NOBODY,
    ) -> Iterator[Result]:
        """As `translate`, each result as soon as it is ready, with all that `transcribe_each` takes."""
        task = Task(TRANSLATE.format(language_name(to)), language_code(language), initial_prompt)
        cuts = Cuts(voice, window_s)
        return recognise(self.engine, recordings, task, cuts, sampling=sampling, fallback=fallback, watch=watch)

    def detect_language(self, recording: Source, *, languages: Sequence[str] = HEARD) -> dict[str, float]:
        """The probability of each language in the first 30 s, likeliest first; they sum to 1.

        Raises:
            UserError: no languages, the recording cannot be heard, or the engine cannot score texts.
        """
        if not languages:
            raise UserError("no languages to choose among; name some, such as ['en', 'de']")
        window = next(stream_windows(recording, longest_s=units.WINDOW_S))
        return language_probabilities(self.engine, window.waveform, tuple(map(language_code, languages)))

    @overload
    def ask(
        self, question: str, recording: list[Source], *, system: str | None = ..., sampling: Sampling | None = ...
    ) -> list[Result]: ...
    @overload
    def ask(
        self,
        question: str,
        recording: Source | None = ...,
        *,
        system: str | None = ...,
        sampling: Sampling | None = ...,
    ) -> Result: ...
    def ask(
        self,
        question: str,
        recording: Source | list[Source] | None = None,
        *,
        system: str | None = None,
        sampling: Sampling | None = None,
    ) -> Result | list[Result]:
        """Answer a question about one recording, about each in a list, or without any.

        Args:
            question: what the user types.
            recording: a path, `-`, bytes, a file object, `(array, rate)`, a list of them, or None for text alone.
            system: how the model should behave; None is the published "You are a helpful assistant."
            sampling: None is the model's generation_config.

        Raises:
            UserError: a recording cannot be heard, or is too long for the model's context.
        """
        if recording is None:
            return self.answer(question_about(question, 0, system), [], sampling=sampling)
        if isinstance(recording, list):
            return list(self.ask_each(question, recording, system=system, sampling=sampling))
        return next(self.ask_each(question, [recording], system=system, sampling=sampling))

    def ask_each(
        self,
        question: str,
        recordings: Iterable[Source],
        *,
        system: str | None = None,
        sampling: Sampling | None = None,
        watch: Watch = NOBODY,
    ) -> Iterator[Result]:
        """As `ask`, each result as soon as it is ready."""
        prompt = question_about(question, 1, system)
        return self.answer_each(((prompt, [recording]) for recording in recordings), sampling=sampling, watch=watch)

    def answer(self, prompt: Prompt, recordings: Sequence[Source], *, sampling: Sampling | None = None) -> Result:
        """Continue any conversation or raw prompt: several turns, several recordings, text alone.

        Args:
            prompt: messages, or a `RawPrompt`, with an `Audio()` in the place of each recording.
            recordings: one for each `Audio()`, in order.
            sampling: None is the model's generation_config.
        """
        return next(self.answer_each([(prompt, recordings)], sampling=sampling))

    def answer_each(
        self,
        asked: Iterable[tuple[Prompt, Sequence[Source]]],
        *,
        sampling: Sampling | None = None,
        watch: Watch = NOBODY,
    ) -> Iterator[Result]:
        """As `answer`, for many prompts with their recordings, each result as soon as it is ready."""
        heard: list[tuple[str | None, float]] = []
        refused: list[UserError] = []

        def requests() -> Iterator[Request]:
            for prompt, recordings in asked:
                path = path_of(recordings[0]) if len(recordings) == 1 else None
                try:
                    request = _request(prompt, recordings)
                except UserError as error:
                    if watch.refused is None:
                        refused.append(error)  # a batch that it would share is answered first
                        return
                    watch.refused(path, error)
                    continue
                heard.append((path, sum(audio.duration_s for audio in request.audios)))
                yield request

        for answer in self.engine.generate(requests(), sampling or self.defaults):
            path, duration_s = heard.pop(0)
            yield Result(path, answer.text.strip(), duration_s, answer.num_tokens, answer.finish_reason)
        if refused:
            raise refused[0]

    def stream(
        self, prompt: str | Prompt, *recordings: Source, system: str | None = None, sampling: Sampling | None = None
    ) -> Iterator[str]:
        """The answer to a question about recordings, or to any prompt, piece by piece as it is said."""
        if isinstance(prompt, str):
            prompt = question_about(prompt, len(recordings), system)
        return self.engine.stream(_request(prompt, recordings), sampling or self.defaults)

    def chat(self, *, system: str | None = None, sampling: Sampling | None = None) -> Chat:
        """A conversation that remembers its turns."""
        return Chat(self.engine, system=system, sampling=sampling)


def load(
    model: str | Path = "mini",
    *,
    engine: str = "native",
    revision: str | None = None,
    dtype: str = "auto",
    device: str = "auto",
    batch_size: int = 8,
) -> Assistant:
    """A ready assistant.

    Args:
        model: `mini` (embedded), a checkpoint directory, or a hub id such as `Qwen/Qwen2-Audio-7B-Instruct`.
        engine: `native`, `transformers`, `vllm`, or the URL of an OpenAI-compatible server, which knows `model`.
        revision: branch, tag or commit of a hub id.
        dtype: `float32`, `bfloat16`, or `auto`: bfloat16 on CUDA, float32 elsewhere.
        device: `cpu`, `cuda`, `mps`, or `auto`: the fastest there is.
        batch_size: how many windows of 30 s are answered at once; more of shorter ones.

    Raises:
        UserError: no such model, engine, device or dtype, or a checkpoint whose tensors do not fit.
    """
    return Assistant(
        open_engine(str(model), engine=engine, revision=revision, dtype=dtype, device=device, batch_size=batch_size)
    )


def question_about(question: str, num_recordings: int, system: str | None = None) -> list[Message]:
    """One user turn: the recordings, then the question; a system turn before it where one is given.

    Raises:
        UserError: an empty question.
    """
    if not question.strip():
        raise UserError("the question is empty; expected a text such as 'What is said?'")
    asked = Message("user", (*[Audio()] * num_recordings, question))
    return [asked] if system is None else [Message("system", (system,)), asked]


def _request(prompt: Prompt, recordings: Sequence[Source]) -> Request:
    if isinstance(prompt, RawPrompt) and not any(prompt.content):
        raise UserError("the raw prompt is empty; expected a text, a recording, or both")
    audios = tuple(hear(recording) for recording in recordings)
    return Request(prompt if isinstance(prompt, RawPrompt) else tuple(prompt), audios)


__all__ = ["Assistant", "load", "question_about"]
