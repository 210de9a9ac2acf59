"""AIR-Bench's chats before a judge: any engine that takes text, as a rule an OpenAI-compatible server.

What the published evaluation does (OFA-Sys/AIR-Bench, score_chat.py and cal_score.py): one user message holds the
recording's description in words, the question, the reference as the answer of Assistant 1 and the model's answer as
that of Assistant 2; the judge, gpt-4-0125-preview with at most 1024 tokens, is to give one line with two scores of 1
to 10. It is asked again with both answers changed over. The same here, in our own words. Unlike it: greedy by default,
so that a score can be repeated (there the temperature is 1.0, and by the toss of a coin 2.0 for half of the items); and
our engines send the system message of the chat template along, where the published script sends none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from auricle.content_cache import ContentCache
from auricle.conversation import Sampling
from auricle.engines import Engine
from auricle.engines.remembered import Remembered
from auricle.errors import UserError
from auricle.evaluate.sample import Answered

LOWEST, HIGHEST = 1, 10
_MAX_NEW_TOKENS = 1024  # of the published script
_MESSAGE = """\
Two assistants were asked about a recording that you cannot hear. You judge how well each of them answered.

What the recording holds:
{description}

What they were asked:
{question}

Assistant 1 answered:
{first}
(end of the answer of Assistant 1)

Assistant 2 answered:
{second}
(end of the answer of Assistant 2)

Give each answer a whole number from {lowest} to {highest}, higher for the better: is it helpful, does it answer the \
question, is it accurate by the description, does it leave nothing out? Reply with one line that holds nothing but the \
score of Assistant 1, a space and the score of Assistant 2."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What one reply of the judge gives the reference and the model's answer, from 1 to 10."""

    reference: int
    model: int


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer with the judge's scores. None: the judge gave no reply, or one that is no two scores.

    after: with the reference as Assistant 1 and the answer as Assistant 2; before: the other way round.
    """

    answered: Answered
    after: Scores | None
    before: Scores | None

    @property
    def num_failed(self) -> int:
        """How many of the two replies give no scores."""
        return (self.after is None) + (self.before is None)


def judge(
    answered: Sequence[Answered],
    engine: Engine,
    *,
    name: str,
    cache: ContentCache,
    temperature: float = 0.0,
    watch: Callable[[int, int], None] | None = None,
) -> list[Judged]:
    """Have every answer to a chat judged in both positions; a model that gave none is judged by an empty answer.

    Every reply is kept at once by judge, temperature and message, and never asked for again, those included that are
    no scores. Only what the judge refused is asked again when called again; so a judge that was stopped goes on.

    Args:
        answered: samples with the description of the recording as `meta_info` among their details.
        engine: the judge; `open_engine(model, engine="http://...")` for a server.
        name: the judge's.
        cache: of replies.
        temperature: of the judge; 0 is greedy, the published 1.0.
        watch: told how many messages of how many have been dealt with.

    Raises:
        UserError: a sample has no description, or the judge refused five times in a row.
    """
    messages = [(_message(item, answer_first=False), _message(item, answer_first=True)) for item in answered]
    sampling = Sampling(temperature=temperature, max_new_tokens=_MAX_NEW_TOKENS)
    remembered = Remembered(engine, sampling, name=f"{name} at {temperature:g}", cache=cache)
    replies = remembered.replies([message for pair in messages for message in pair], watch)
    return [
        Judged(item, read_scores(replies.get(after, "")), _swapped(read_scores(replies.get(before, ""))))
        for item, (after, before) in zip(answered, messages, strict=True)
    ]


def read_scores(reply: str) -> Scores | None:
    """Both scores of a reply with the reference first, as cal_score.py reads them: two whole numbers and a space.

    Line breaks do not count. None for anything else; scores outside 1 to 10 too, at which that script stops (above 10)
    or which it takes (below 1).
    """
    try:
        reference, model = map(int, reply.strip().replace("\n", "").split(" "))
    except ValueError:
        return None
    return Scores(reference, model) if all(LOWEST <= score <= HIGHEST for score in (reference, model)) else None


def _swapped(scores: Scores | None) -> Scores | None:
    return scores and Scores(scores.model, scores.reference)


def _message(item: Answered, *, answer_first: bool) -> str:
    description = dict(item.sample.details).get("meta_info")
    if description is None:
        raise UserError(
            f"sample {item.sample.id} of {item.sample.source} has no meta_info: the judge reads it in place of the "
            "recording, and the official list lacks it; take AIR-Bench as its publisher ships it"
        )
    first, second = (item.text, item.sample.reference) if answer_first else (item.sample.reference, item.text)
    return _MESSAGE.format(
        description=description,
        question=item.sample.prompt,
        first=first,
        second=second,
        lowest=LOWEST,
        highest=HIGHEST,
    )
