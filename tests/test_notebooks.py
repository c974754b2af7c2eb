"""Every template runs through papermill at tiny parameters, is short, and refuses what it does not know."""

import json

import nbformat
import papermill
import pytest
from distributed import Client

from skdcore.records import path, read
from skdcore.study.experiments import ROOT, experiment
from skdcore.study.kernels import MANAGED

TEMPLATES = sorted((ROOT / "notebooks").glob("*.ipynb"))
READERS = ("index", "equal_cost", "runs", "seeds", "when")  # they train nothing
RETOLD = dict.fromkeys(  # from what is committed
    ("results", "discussion", "conclusion", "faults", "claims", "fig_3", "fig_4"), {"results": "results"}
)
OTHERS = (
    RETOLD
    | dict.fromkeys(READERS, {})
    | {"train_one": {"epochs": 1}, "by_hand": {"epochs": 1}, "side_by_side": {"methods": "['kd']", "minutes": 0}}
)
DRAWINGS = ("fig_5", "fig_8", "fig_9")  # these train runs of experiments
HIDDEN = {"hide-input", "remove-input", "remove-cell"}
EXPERIMENTS = [path.stem for path in TEMPLATES if path.stem not in (*OTHERS, *DRAWINGS)]
pytestmark = pytest.mark.filterwarnings("default")  # nbclient, jupyter_client and tornado warn of each other


@pytest.fixture(scope="module")
def kept(shared):
    """One results folder for all test processes, so that a run that is in several tables is trained once."""
    (folder := shared("results")).mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def scheduler():
    """The address of one Dask worker for all notebooks, as each would start processes of its own."""
    with Client(n_workers=1, threads_per_worker=1, dashboard_address=":0", memory_limit=None) as client:
        yield client.scheduler.address


def run(template, out, **given):
    papermill.execute_notebook(template, out, parameters=given, cwd=out.parent, progress_bar=False, **MANAGED)
    return nbformat.read(out, as_version=4)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_template_runs_and_writes_only_where_it_is_told(template, tmp_path, kept, folder, request):
    tiny = OTHERS.get(template.stem)
    if tiny is None:
        address = request.getfixturevalue("scheduler")
        tiny = {"dataset": f"folder:{folder}", "seeds": "[0]", "epochs": 1, "scheduler": address}
    before = {file: file.stat().st_mtime_ns for file in (ROOT / "results").rglob("*") if file.is_file()}
    done = run(template, tmp_path / "out.ipynb", **{"results": str(kept)} | tiny)
    assert not any(cell.get("outputs") and cell.outputs[0].output_type == "error" for cell in done.cells)
    assert before == {file: file.stat().st_mtime_ns for file in (ROOT / "results").rglob("*") if file.is_file()}
    if template.stem in EXPERIMENTS:
        text = json.dumps(done)
        for run_ in experiment(template.stem).runs(f"folder:{folder}", ["resnet10_w16"], [0], epochs=1):
            assert f"{read(path(kept, run_.settings()))['final']['accuracy']:.2f}" in text


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_template_has_12_lines_of_code_beside_its_parameters_and_no_outputs(template):
    cells = [cell for cell in nbformat.read(template, as_version=4).cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    described = [line for line in tagged[0].source.splitlines() if line and not line.startswith("from typing")]
    assert all(": " in line.split(" = ")[0] and "  # " in line for line in described)
    lines = [line for cell in cells if cell is not tagged[0] for line in cell.source.splitlines() if line.strip()]
    assert len(lines) <= 12
    if template.stem != "index":  # the home page shows no code
        assert [cell for cell in cells if "hide-input" not in cell.metadata["tags"]] == tagged, "only they are unfolded"
    assert {line.split(":")[0] for line in described} == papermill.inspect_notebook(template).keys()


def test_the_code_that_a_page_shows_unfolded_runs_by_itself():
    for template in TEMPLATES:
        cells = [cell for cell in nbformat.read(template, as_version=4).cells if cell.cell_type == "code"]
        shown = [cell.source for cell in cells if not HIDDEN & set(cell.metadata["tags"])]
        exec("\n".join(shown), names := {})
        assert "results" in names or template.stem == "index"


def test_unknown_parameter_stops_a_notebook_and_names_the_near_one(tmp_path):
    with pytest.raises(papermill.PapermillExecutionError, match="unknown parameter 'seed'; did you mean seeds"):
        run(ROOT / "notebooks/table_1.ipynb", tmp_path / "out.ipynb", seed="[0]", results=str(tmp_path / "results"))
    assert not (tmp_path / "results").exists()
