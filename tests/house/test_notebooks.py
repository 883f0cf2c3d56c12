"""The notebooks of the docs are run, by the interpreter that runs the tests."""

from pathlib import Path

import nbformat
import pytest
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "docs" / "notebooks").glob("*.ipynb"))
CELL_SECONDS = 120

each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


class ThisInterpreter(AsyncKernelManager):
    """Starts a kernel of the interpreter that runs the tests, whatever kernels are installed or named."""

    @property
    def kernel_spec(self):
        """What every notebook gets."""
        return KernelSpec(**get_kernel_dict())  # its command begins with sys.executable


@pytest.fixture(scope="module")
def run(spleeter_weights, tmp_path_factory):
    """Run a notebook once in an empty folder; return it with its outputs, and that folder."""
    done = {}

    def run_once(notebook):
        if notebook not in done:
            around = tmp_path_factory.mktemp(notebook.stem)
            folders = {name: around / name for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "TMPDIR", "here")}
            for folder in folders.values():
                folder.mkdir()
            here = folders.pop("here")
            with pytest.MonkeyPatch.context() as patch:
                for name, folder in folders.items():
                    patch.setenv(name, str(folder))
                client = NotebookClient(
                    nbformat.read(notebook, as_version=4),
                    kernel_manager_class=ThisInterpreter,
                    resources={"metadata": {"path": str(here)}},
                    timeout=CELL_SECONDS,
                    allow_errors=True,
                )
                done[notebook] = client.execute(), here
        return done[notebook]

    return run_once


def list_outputs(executed):
    """Return the outputs of all cells."""
    return [output for cell in executed.cells if cell.cell_type == "code" for output in cell.outputs]


@each_notebook
def test_it_is_kept_without_outputs(notebook):
    """A notebook in the repository has no outputs and no counts, so that its changes can be read."""
    cells = [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.mark.weights
@each_notebook
def test_it_runs(notebook, run):
    """Every cell runs without an error or a warning, and nothing is left in the folder where it ran."""
    executed, here = run(notebook)
    outputs = list_outputs(executed)
    assert [output.traceback for output in outputs if output.output_type == "error"] == []
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert list(here.iterdir()) == []


@pytest.mark.weights
@each_notebook
def test_it_shows_pictures_and_players(notebook, run):
    """It draws pictures, and what can be heard has a player."""
    shown = [output.data for output in list_outputs(run(notebook)[0]) if "data" in output]
    assert any("image/png" in data for data in shown)
    assert any("<audio" in data.get("text/html", "") for data in shown)
