"""Sentences of Python's own documentation, which every interpreter carries as `pydoc_data.topics`.

A sentence is kept with its topic: two sentences of the same topic are about the same thing, which
is what a retrieval can be measured with.
"""

import re
from pydoc_data.topics import topics


def sentences(limit):
    """(topic, sentence) pairs, at most 6 of a topic, in an order that depends on nothing else."""
    found, seen = [], set()
    for topic in sorted(topics):
        text = topics[topic]
        paragraphs = [" ".join(p.split()) for p in text.split("\n\n")]
        taken = 0
        for paragraph in paragraphs:
            # Code, grammar, tables and headings are no sentences.
            if "::=" in paragraph or ">>>" in paragraph or "***" in paragraph or "---" in paragraph:
                continue
            for sentence in re.split(r"(?<=[.!?]) (?=[A-Z])", paragraph):
                sentence = re.sub(r"[`*\"]", "", sentence).strip()
                words = sentence.split()
                plain = sum(word.isalpha() for word in words)
                if not (8 <= len(words) <= 40 and sentence.endswith(".") and plain > 0.7 * len(words)):
                    continue
                if sentence in seen or taken == 6:
                    continue
                seen.add(sentence)
                found.append((topic, sentence))
                taken += 1
    return found if len(found) <= limit else interleaved(found, limit)


def interleaved(found, limit):
    """The first `limit` sentences when each topic gives one, then a second, and so on, by topic."""
    order, rounds = {}, []
    for topic, sentence in found:
        order[topic] = order.get(topic, -1) + 1
        rounds.append((order[topic], topic, sentence))
    return [(topic, sentence) for _, topic, sentence in sorted(rounds)[:limit]]
