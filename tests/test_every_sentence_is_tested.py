"""Every sentence that a user may be told stands in a test: a new one without a test fails here.

It compares words: a run of a sentence's words, its gaps filled, must stand in some string of some other test. It cannot
see which line said them, so two places that say the same may hide behind one test.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import auricle

SOURCE, TESTS = Path(auricle.__file__).parent, Path(__file__).parent
RUN_WORDS, RUN_LETTERS = 3, 12  # a shorter run, such as "expected a", is too common to prove anything
PASSED_ON = {"naming"}  # functions that put a place before another error's sentence
GAP = "\0"  # what an f-string fills in


def wording(text: ast.Constant | ast.JoinedStr) -> str:
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else GAP for part in parts)


def strings(node: ast.AST) -> Iterator[str]:
    """The wording of every string under the node, docstrings apart."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.JoinedStr) or (isinstance(child, ast.Constant) and isinstance(child.value, str)):
            yield from () if isinstance(node, ast.Expr) else [wording(child)]
        else:
            yield from strings(child)


def sentences(module: str) -> Iterator[str]:
    """What each `UserError(...)` is given: a string, or else those of the function that lists or makes them."""
    functions = {node.name: node for node in ast.walk(ast.parse(module)) if isinstance(node, ast.FunctionDef)}
    for function in functions.values():
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "UserError":
                given = call.args[0]
                if isinstance(given, ast.Call) and isinstance(given.func, ast.Name) and given.func.id in PASSED_ON:
                    continue
                if isinstance(given, ast.Constant | ast.JoinedStr):
                    yield wording(given)
                else:
                    maker = functions[given.func.id] if isinstance(given, ast.Call) else function
                    yield from (text for text in strings(maker) if len(text.split()) > RUN_WORDS)


def runs(sentence: str) -> Iterator[str]:
    """From each word on, the fewest words that are enough; the whole sentence where it has not so many."""
    words = sentence.split()
    pairs = [(start, end) for start in range(len(words)) for end in range(start + RUN_WORDS, len(words) + 1)]
    enough = [(start, end) for start, end in pairs if len(re.findall(r"\w", "".join(words[start:end]))) >= RUN_LETTERS]
    for start, end in dict(reversed(enough)).items() or [(0, len(words))]:
        yield " ".join(words[start:end]).strip(f"{GAP};:,. ")


def is_tested(sentence: str, said: set[str], tested: str) -> bool:
    """Whether a run of it stands in a test. One that another sentence holds proves nothing, unless it has no other;
    a sentence of gaps alone only passes on another.
    """
    own = [run for run in runs(sentence) if not any(run in other for other in said - {sentence})]
    return any(re.search(re.escape(run).replace(GAP, ".{0,80}?"), tested) for run in own or runs(sentence))


def test_every_sentence_is_tested_and_one_without_a_test_is_missed():
    said = {sentence for path in SOURCE.rglob("*.py") for sentence in sentences(path.read_text())}
    trees = [ast.parse(path.read_text()) for path in TESTS.rglob("*.py") if path != Path(__file__)]
    tested = "\n".join(text.replace("\\", "") for tree in trees for text in strings(tree))  # a pattern's backslashes
    assert [sentence for sentence in said if not is_tested(sentence, said, tested)] == []

    module = 'def look(moon):\n    raise UserError(f"the moon {moon!r} is made of cheese; " "leave one of them out")\n'
    [sentence] = sentences(module)
    assert sentence == f"the moon {GAP} is made of cheese; leave one of them out"
    assert not is_tested(sentence, said, tested)
    assert is_tested(sentence, said, "the moon 'Io' is made of")
    assert len(set(sentences((SOURCE / "conversation.py").read_text()))) == 13
