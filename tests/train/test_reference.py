"""The reference's log-probabilities: computed once, found again, never another's."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from auricle.content_cache import ContentCache
from auricle.data import Label, Pack, make_pack
from auricle.errors import UserError
from auricle.model import Qwen2Audio
from auricle.prepare import Prepared, Prompt
from auricle.train.reference import FrozenCopy, Reference, fingerprint, sequence_logps, without_adapter
from auricle.train.trainee import Trainee


class Counting:
    """A reference whose every token costs its own id, and which counts its forwards."""

    def __init__(self) -> None:
        self.num_forwards = 0

    def __call__(self, pack: Pack) -> torch.Tensor:
        self.num_forwards += 1
        return pack.targets.float()


def sequence(*ids: int, num_scored: int = 2, key: str | None = None) -> tuple[Prepared, Label]:
    loss = [place >= len(ids) - num_scored for place in range(len(ids))]
    return Prepared(Prompt(ids, tuple(loss), ())), Label("line 1", "s", "t", repr(ids) if key is None else key)


@pytest.fixture
def pack() -> Pack:
    return make_pack([sequence(1, 2, 3), sequence(1, 5, 6, 7, num_scored=3), sequence(9, 8, 7, 6)])


@pytest.fixture
def open_cache(tmp_path: Path) -> Iterator[Callable[[], ContentCache]]:
    opened: list[ContentCache] = []

    def open_() -> ContentCache:
        opened.append(ContentCache(tmp_path / "deep" / "logps.sqlite"))
        return opened[-1]

    yield open_
    for cache in opened:
        cache.close()


def test_a_sequences_log_probability_is_the_sum_over_its_tokens(pack: Pack):
    assert sequence_logps(pack.targets.float(), pack).tolist() == [-5, -18, -13]


def test_computed_once_and_found_by_the_next_run(pack: Pack, open_cache: Callable[[], ContentCache]):
    first = Counting()
    reference = Reference(open_cache(), "weights", first)
    assert reference.logps(pack).tolist() == [-5, -18, -13]
    assert reference.logps(pack).tolist() == [-5, -18, -13]
    assert first.num_forwards == 1
    second = Counting()
    again = Reference(open_cache(), "weights", second)
    other_order = make_pack([sequence(9, 8, 7, 6), sequence(1, 2, 3)])  # another pack of the same sequences
    assert again.logps(other_order).tolist() == [-13, -5]
    assert second.num_forwards == 0


@pytest.mark.parametrize(
    "changed",
    [
        make_pack([sequence(1, 2, 4)]),
        make_pack([sequence(1, 2, 3, key="the same ids, another recording")]),
        make_pack([sequence(1, 2, 3, num_scored=1)]),
    ],
    ids=["ids", "audio", "places that are scored"],
)
def test_what_is_not_the_same_is_computed(pack: Pack, open_cache: Callable[[], ContentCache], changed: Pack):
    nll = Counting()
    reference = Reference(open_cache(), "weights", nll)
    reference.logps(pack)
    reference.logps(changed)
    assert nll.num_forwards == 2


def test_other_weights_are_other_keys(pack: Pack, open_cache: Callable[[], ContentCache]):
    Reference(open_cache(), "weights", Counting()).logps(pack)
    nll = Counting()
    Reference(open_cache(), "other weights", nll).logps(pack)
    assert nll.num_forwards == 1


def test_a_fingerprint_is_of_weights_and_arithmetic(tiny_model: Callable[..., Qwen2Audio]):
    model, same = tiny_model(seed=1), tiny_model(seed=1)
    before = fingerprint(model, "float32")
    assert before == fingerprint(same, "float32")
    assert fingerprint(model, "bfloat16") != before
    assert fingerprint(tiny_model(seed=2), "float32") != before
    assert fingerprint(same.to(torch.bfloat16), "float32") != before
    with torch.no_grad():
        model.language_model.model.norm.weight[3] += 1e-7
    assert fingerprint(model, "float32") != before


def test_precompute_counts_and_goes_on_where_it_was(pack: Pack, open_cache: Callable[[], ContentCache]):
    more = make_pack([sequence(1, 2, 3), sequence(4, 4, 4), sequence(4, 4, 4)])
    nll = Counting()
    reference = Reference(open_cache(), "weights", Counting())
    first = reference.precompute([pack], nll)
    assert (first.num_computed, first.num_known) == (3, 0)
    second = reference.precompute([pack, more, more], nll)
    assert (second.num_computed, second.num_known) == (1, 6)
    assert nll.num_forwards == 2
    assert len(open_cache()) == 4


def test_one_missing_of_a_pack_keeps_what_was_known(pack: Pack, open_cache: Callable[[], ContentCache]):
    Reference(open_cache(), "weights", Counting()).logps(make_pack([sequence(1, 2, 3)]))

    def doubled(pack: Pack) -> torch.Tensor:
        return 2 * pack.targets.float()

    assert Reference(open_cache(), "weights", doubled).logps(pack).tolist() == [-5, -36, -26]


def _fill_forever(path: Path, start: int) -> None:
    reference = Reference(ContentCache(path), "weights", lambda pack: pack.targets.float())
    for number in range(start, 10**6):
        reference.logps(make_pack([sequence(1, number, 3), sequence(2, number, 3)]))


@pytest.mark.parametrize("num_processes", [1, 3])
def test_killed_in_between_nothing_is_lost_or_doubled(tmp_path: Path, num_processes: int):
    """Writers of the same keys are killed amid their writing; what stands then is whole and right."""
    path = tmp_path / "logps.sqlite"
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_fill_forever, args=(path, 0)) for _ in range(num_processes)]
    for process in processes:
        process.start()
    time.sleep(0.4)
    for process in processes:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    cache = ContentCache(path)
    num_kept = len(cache)
    assert num_kept >= 4
    assert num_kept % 2 == 0  # both of a pack, or none
    nll = Counting()
    reference = Reference(cache, "weights", nll)
    for number in range(num_kept // 2):
        both = make_pack([sequence(1, number, 3), sequence(2, number, 3)])
        assert reference.logps(both).tolist() == [-number - 3] * 2
    assert nll.num_forwards == 0
    assert len(cache) == num_kept
    cache.close()


def test_the_copy_is_loaded_on_the_first_miss_only(
    pack: Pack, open_cache: Callable[[], ContentCache], tiny_model: Callable[..., Qwen2Audio]
):
    loaded: list[Trainee] = []

    def load() -> Trainee:
        loaded.append(Trainee(tiny_model(seed=3)).requires_grad_(True))
        return loaded[-1]

    copy = FrozenCopy(load)
    reference = Reference(open_cache(), "weights", copy)
    assert loaded == []
    first = reference.logps(pack)
    reference.logps(make_pack([sequence(3, 3, 3)]))
    assert len(loaded) == 1
    assert not any(parameter.requires_grad for parameter in loaded[0].parameters())
    assert torch.equal(first, sequence_logps(Trainee(tiny_model(seed=3))(pack), pack).detach())
    copy.free()
    reference.logps(pack)
    assert len(loaded) == 1  # all known
    reference.logps(make_pack([sequence(2, 2, 2)]))
    assert len(loaded) == 2


def test_with_lora_the_reference_is_the_model_without_its_adapter(
    pack: Pack, open_cache: Callable[[], ContentCache], tiny_model: Callable[..., Qwen2Audio]
):
    pytest.importorskip("peft")
    from auricle.extend.lora import add_lora, without_lora
    from auricle.extend.settings import LoraSettings

    model = tiny_model(seed=5)
    before = sequence_logps(Trainee(model)(pack), pack)
    add_lora(model, LoraSettings())
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    trainee = Trainee(model)
    reference = Reference(open_cache(), "weights", without_adapter(trainee, lambda: without_lora(model)))
    adapted = sequence_logps(trainee(pack), pack).detach()
    assert torch.allclose(reference.logps(pack), before, atol=1e-4)
    assert not torch.allclose(adapted, before, atol=0.1)
    assert torch.equal(sequence_logps(trainee(pack), pack).detach(), adapted)  # the adapter is on again


def test_log_probabilities_are_constants(pack: Pack, open_cache: Callable[[], ContentCache]):
    weight = torch.ones((), requires_grad=True)
    assert not Reference(open_cache(), "w", lambda pack: weight * pack.targets).logps(pack).requires_grad


def test_labels_without_keys_are_a_mistake_of_the_stage(open_cache: Callable[[], ContentCache]):
    with pytest.raises(ValueError, match="has no content hash"):
        Reference(open_cache(), "weights", Counting()).logps(make_pack([sequence(1, 2, 3, key="")]))


def test_a_file_that_is_no_cache_is_refused(tmp_path: Path):
    path = tmp_path / "logps.sqlite"
    path.write_text("not a database, but long enough to be taken for one" * 100)
    with pytest.raises(UserError, match="cannot be used: file is not a database"):
        ContentCache(path)


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path):
    cache = ContentCache(tmp_path / "logps.sqlite")
    cache.put({"a": "1"})
    cache._connection.execute("PRAGMA max_page_count = 4")  # what SQLite says when the disk has no more room
    with pytest.raises(UserError, match="database or disk is full"):
        cache.put({f"{number:064}": "2" * 64 for number in range(1000)})
    assert cache.get(["a", f"{0:064}"]) == {"a": "1"}
    cache.close()


def test_many_keys_at_once(open_cache: Callable[[], ContentCache]):
    cache = open_cache()
    items = {f"{number}": f"{number * number}" for number in range(2345)}
    cache.put(items)
    cache.put({"7": "the first write stays"})
    assert cache.get([*items, "unknown", "3"]) == items
