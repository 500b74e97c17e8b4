"""Names of the files in a run directory; docs/architecture.md describes their content."""

import re

MANIFEST = "manifest.json"
SHARDS = "shards"
RECORDS = "records"
LEDGER = "ledger.parquet"
EMBEDDINGS = "embeddings.parquet"
PREDICTIONS = "predictions.parquet"
DISTANCES = "distances.parquet"
TENSORS = "tensors.parquet"  # where a target is one
TABLES = "tables"
REPORT = "report.html"
LOCK = ".lock"
CHECKPOINTS = "checkpoints"
TUNE = ".tune"  # Ray Tune's notes on its trials; never read again
TRAIN = ".train"  # Ray Train's notes on its workers; never read again
PROBE = "probe"  # a draft by which nodes check that they reach the run directory
SUBMISSION = "submission"
SCALE_FACTS = "scale.meta.json"
FIT_PROGRESS, FIT = "fit_progress.json", "fit.json"

TABLE = re.compile(r"Mat2Vec-[SHL]-\d+(-plain)?\.(csv|meta\.json)")
SNAPSHOT = re.compile(r"[0-9a-f]{24}\.snapshot")
FOLDERS = frozenset({SHARDS, RECORDS, TABLES, CHECKPOINTS, TUNE, TRAIN, SUBMISSION})
# Names that jobs write at the top of a run directory. A new file has to be added here, or a killed
# job leaves its draft behind: tests/orchestrator/test_ownership.py compares.
FILES = frozenset(
    {MANIFEST, LEDGER, EMBEDDINGS, PREDICTIONS, DISTANCES, TENSORS, REPORT, PROBE}
    | {"SHA256SUMS", "without.txt", "folds.parquet", "quarantine.csv"}
    | {"ensemble.parquet", "ensemble.json", FIT_PROGRESS, FIT}
    | {"groups.csv", "consensus.json", "partners.parquet", "geometry.parquet"}
    | {"clusterings.parquet", "screening.csv", "untrained.csv", "relations.csv"}
    | {"scale.csv", "element_scale.json", "pareto.parquet", "replaceability.parquet", SCALE_FACTS}
    | {"transfer.parquet", "transfer.json", "transfer_ledger.parquet"}
    | {"dos_ledger.parquet", "dos_predictions.parquet", "dos_elements.parquet", "dos.json"}
    | {"contrast_ledger.parquet", "contrast_predictions.parquet", "contrast_embeddings.parquet"}
    | {"contrast.json"}
)
