"""The result store's questions and insertions, in SQL."""

from slipstream.bench import store_rows as rows
from slipstream.bench.canary import ARM as CANARY

RUNS = """SELECT runs.*,
    COALESCE((SELECT reason FROM retractions WHERE retractions.run = runs.id ORDER BY number LIMIT 1), '') AS retracted,
    (SELECT COUNT(*) FROM cells WHERE cells.run = runs.id) AS cells,
    (SELECT COUNT(*) FROM cells WHERE cells.run = runs.id AND status <> 'ok') AS unusable,
    (SELECT COUNT(*) FROM claims WHERE claims.run = runs.id) AS claims
    FROM runs"""
# A report that another one was written over is no longer there to be read.
REPORTS = """SELECT * FROM reports WHERE NOT EXISTS (
    SELECT 1 FROM reports AS later WHERE later.path = reports.path AND later.rowid > reports.rowid
    ) ORDER BY rowid DESC"""

HOST = ("cpu", "machine", "cores", "quota", "engine")
"""What an attestation says of processor and engine build: runs alike in it are of the same host and build."""
CANARIES = f"""SELECT AVG(tokens / seconds) AS rate FROM cells JOIN runs ON runs.id = run
    WHERE arm = '{CANARY}' AND status = 'ok' AND seconds > 0 AND (? IS NULL OR json_extract(figures, '$.model') = ?)
    AND runs.id <> ? AND state = 'complete' AND suspect = ''
    AND {" AND ".join(f"json_extract(attestation, '$.{name}') IS ?" for name in HOST)}
    AND runs.id NOT IN (SELECT run FROM retractions WHERE run IS NOT NULL)
    GROUP BY runs.id ORDER BY runs.started"""

INSERT_RUN = rows.insert("runs", (*rows.RUN, "state"))
END_RUN = "UPDATE runs SET state = ?, ended = ?, suspect = ? WHERE id = ?"
INSERT_ARM = rows.insert("arms", ("run", "position", "name", "role", "configuration"))
INSERT_CELL = rows.insert("cells", ("run", *rows.CELL))
INSERT_CLAIM = rows.insert("claims", rows.CLAIM)
INSERT_CURVE = rows.insert("curves", ("run", "model", "depth", "width", "milliseconds"))
INSERT_RETRACTION = rows.insert("retractions", ("run", "claim", "reason", "at"))
