"""Write a study's table, JSON and pictures from its finished trials."""

from sji_edge.core.files import write_atomic, write_json
from sji_edge.studies.compare import Compared, compare
from sji_edge.studies.dataset import held_out, open_dataset
from sji_edge.studies.figures import draw
from sji_edge.studies.run import Cell
from sji_edge.studies.settings import StudySettings
from sji_edge.studies.table import as_json, markdown
from sji_edge.studies.workers import Pool

TABLE, FIGURES_JSON = "table.md", "figures.json"


def report(settings: StudySettings, cells: list[Cell]) -> list[Compared]:
    """Write ``table.md``, ``figures.json`` and three pictures into the study's folder; return the comparison."""
    data = held_out(open_dataset(settings.data, settings.good_class))
    with Pool(settings.workers, settings.threads) as pool:
        compared = compare(cells, data, settings.replicates, pool.in_order)
    draw(compared, settings.out)
    write_json(settings.out / FIGURES_JSON, as_json(compared, data, settings))
    write_atomic(settings.out / TABLE, markdown(compared, data, settings))
    return compared
