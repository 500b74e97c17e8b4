"""Finds the partition of the elements on which a run's models agree most, and proves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

from analysis.consensus.agreement import Agreement, Reference, agree
from analysis.consensus.certificate import Certificate, certify
from analysis.consensus.memetic import evolve
from analysis.consensus.published import Settings, evolve_as_published
from analysis.elements import SYMBOLS
from analysis.mapping import Map
from orchestrator.element_groups.flags import GroupOptions
from orchestrator.element_groups.models import Measured
from orchestrator.element_groups.votes import Votes
from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import counted


@dataclass(frozen=True)
class Consensus:
    """The best partition, with its proof, and the agreement of the searches.

    Attributes:
        scores: best score of each search.
        same: mean adjusted Rand index between the searches' partitions; 1 for a single search.
    """

    agreement: Agreement
    certificate: Certificate
    scores: list[float]
    same: float


def find_consensus(
    options: GroupOptions, references: Sequence[Reference], on_actors: Map
) -> Consensus:
    """Finds the partition that agrees best with the models' pairs of elements, with its proof."""
    agreement = agree(references)
    _warn_of_strangers(agreement)
    searches = range(options.seed, options.seed + options.seeds)
    if options.paper:
        settings = Settings(population=options.population, generations=options.generations)
        found = list(on_actors(partial(_as_published, agreement, settings), searches))
    else:
        found = [evolve(agreement, seed, on_actors).labels for seed in searches]
    scores = [agreement.score(labels) for labels in found]
    best = found[int(np.argmax(scores))]
    certificate = certify(agreement, best, options.seconds)
    others = [adjusted_rand_score(best, labels) for labels in found if labels is not best]
    proof = "no partition is better" if certificate.proven else f"gap {certificate.gap:.2%}"
    print(
        f"consensus of {counted(agreement.references, 'vote')} on {len(agreement.numbers)}"
        f" elements: agreement {certificate.score:.6f}, upper bound {certificate.bound:.6f}"
        f" ({proof})"
    )
    return Consensus(agreement, certificate, scores, float(np.mean([1.0, *others])))


def _as_published(agreement: Agreement, settings: Settings, seed: int) -> np.ndarray:
    return evolve_as_published(agreement, seed, settings)[0]


def _warn_of_strangers(agreement: Agreement) -> None:
    """Reports elements that only one model has; refuses models without two elements in common."""
    common = agreement.shared - np.diag(np.diagonal(agreement.shared))
    if agreement.references > 1 and common.max(initial=0) < 2:
        raise UsageError(
            "no two elements are together in two models: there is nothing to agree on; let grids"
            " with common elements run"
        )
    once = agreement.numbers[np.diagonal(agreement.shared) == 1]
    if agreement.references > 1 and len(once):
        print(f"in one model only, which alone places them: {' '.join(_symbols(once))}")


def describe(
    options: GroupOptions,
    consensus: Consensus,
    measured: Measured,
    votes: Votes,
    tasks: Sequence[str],
) -> dict[str, Any]:
    """The content of `consensus.json`."""
    certificate, agreement = consensus.certificate, consensus.agreement
    return {
        "score": certificate.score,
        "upper_bound": certificate.bound,
        "gap": certificate.gap,
        "proven": certificate.proven,
        "clusters": int(certificate.labels.max()) + 1,
        "models": votes.entered,
        "votes": len(votes.references),
        "elements": len(agreement.numbers),
        "in_one_model_only": _symbols(agreement.numbers[np.diagonal(agreement.shared) == 1]),
        "tasks": list(tasks),
        "mixings": votes.mixings,
        "search": "published" if options.paper else "memetic",
        "seeds": [options.seed + place for place in range(options.seeds)],
        "seed_scores": consensus.scores,
        "seed_agreement": consensus.same,
        "branches": certificate.nodes,
        "triangles": certificate.triangles,
        "draws": options.draws,
        "resampled": " and ".join(votes.factors) or "models",
        "relations": str(options.counts.name) if options.counts else "10.1021/ic102031h",
        "left_out": measured.left_out,
    }


def _symbols(numbers: np.ndarray) -> list[str]:
    return [SYMBOLS[z] for z in numbers]
