"""All claims with their comparisons and verdicts as one structure: the page of the claims is made from it.

`python -m skdcore.study pages` writes it to <results>/claims.json.  Numbers are rounded to DIGITS; null is what there
is no record of.
"""

import json
from pathlib import Path

import fastjsonschema
import pandas

from skdcore.records import TEXT, write_json
from skdcore.study.claims import ACCURACY, claims, judge, within
from skdcore.study.contents import CLAIMS, fingerprint, hashes
from skdcore.study.evidence import everywhere
from skdcore.study.experiments import RESULTS, ROOT, deciding
from skdcore.study.measured import measured
from skdcore.study.sentences import basis

DIGITS = 6
_OR_NULL = {"type": ["number", "null"]}


def _object(required, **properties):
    """A JSON schema of an object that has all these properties and no other."""
    return {"type": "object", "required": [*required.split(), *properties], "additionalProperties": False} | {
        "properties": dict.fromkeys(required.split(), TEXT) | properties
    }


VERDICT = _object(
    "experiment place network what verdict",
    regime={"type": ["string", "null"]},
    n={"type": ["integer", "null"], "minimum": 0},
    runs={"type": "array", "items": TEXT},
    **dict.fromkeys("estimate low high baseline printed".split(), _OR_NULL),
)
CLAIM = _object(
    "id kind says asks where size computed",
    verdicts={"type": "array", "items": VERDICT, "minItems": 1},
)
SCHEMA = _object(
    "records",
    claims={"type": "array", "items": CLAIM},
    families={"type": "object", "additionalProperties": {"type": "array", "items": TEXT}},
)
FORM = fastjsonschema.compile(SCHEMA)


def assess(results=RESULTS):
    """The structure of SCHEMA.

    `claims` are those of study.yml, in its order, with a row for each verdict: `regime` (null where there is none);
    `place`, where the verdict holds (empty at the paper's own scale); the `experiment` of an accuracy; `network`;
    `what` is compared or measured; `n`; the `estimate` from `low` to `high`; the `baseline` of a difference of few
    seeds; the paper's `printed` difference; the `verdict`; and `runs`, the addresses of the pages of the runs compared,
    from the site's root, the method's first. Differences of accuracy are in percentage points. `families` {regime: what
    made the intervals of its comparisons of accuracy}. `records` is a hash of what all this is made from.
    """
    rows, families, evidence = {}, {}, everywhere(results)
    for regime in deciding():
        frame, found = judge(regime, evidence[regime.id])
        for row in frame.itertuples():
            rows.setdefault(row.claim, []).append(_comparison(regime, row))
        if found:
            families[regime.id] = [_family(*one) for one in found]
    described = [_claim(claim, rows.get(claim.id, []), evidence, results) for claim in claims()]
    return FORM({"records": _hash(results), "claims": described, "families": families})


def write(results):
    """Writes the structure to <results>/claims.json, over an older one, and returns the file."""
    file = Path(results, CLAIMS)
    write_json(file, assess(results))
    return file


def read(results=RESULTS):
    """What `write` wrote there or, without the file or once something has changed, what `assess` gives.

    Raises ValueError for a file of another form, unless other code has written it.
    """
    file = Path(results, CLAIMS)
    try:
        found = json.loads(file.read_text())
        if found["records"] == _hash(results):
            return FORM(found)
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: not an assessment of the claims: {error!r}") from None
    return assess(results)


def _hash(results):
    """A hash of the records, benchmarks and drawings in a folder, of study.yml and of the code."""
    made_from = hashes(Path(results), "*/*/*/*/*.json", "bench/*.json", "drawings/*/*/*/*.npz")
    return fingerprint(made_from | hashes(ROOT, "study.yml", "skdcore/**/*.py"))


def _claim(claim, comparisons, evidence, results):
    verdicts = comparisons if claim.kind == ACCURACY else [_row(**row) for row in measured(claim, evidence, results)]
    texts = {key: getattr(claim, key) for key in ("id", "kind", "says", "asks", "where", "size")}
    return texts | {"computed": claim.computed(), "verdicts": verdicts}


def _comparison(regime, row):
    """A row of `claims.judge`."""
    one = row.comparison
    numbers = {"n": row.n, "estimate": row.gain, "low": row.low, "high": row.high, "baseline": row.baseline}
    where = {"regime": regime.id, "place": within(regime), "network": row.network}
    where["experiment"] = one.experiment.paper or one.experiment.name
    return _row(**where, what=str(one), printed=row.printed, verdict=row.verdict, runs=row.runs, **numbers)


def _row(verdict, what, regime=None, place="", experiment="", network="", n=0, runs=(), **numbers):
    """A verdict in the form of the schema."""
    known = {key: numbers.get(key) for key in ("estimate", "low", "high", "baseline", "printed")}
    known = {key: None if pandas.isna(value) else round(float(value), DIGITS) for key, value in known.items()}
    n = None if n is None else int(n)
    about = {"regime": regime, "place": place, "experiment": experiment, "network": network, "what": what, "n": n}
    about["runs"] = list(runs) if n else []
    return about | known | {"verdict": verdict}


def _family(evidence, contrasts, c):
    text = f"**{evidence.network} on {evidence.dataset}.** {basis(evidence)}"
    if contrasts:
        text += f" The {contrasts} contrasts of the claims with other rows are a second family, with c = {c:.2f}."
    return text
