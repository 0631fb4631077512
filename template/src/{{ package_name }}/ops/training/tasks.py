"""What another commit's code is asked to do in its own environment, by `python -m`.

    retrain DATA OUT [full]   fit and judge on the data in folder DATA; write the manifest to OUT
    score MODEL DATA OUT      judge the stored model on DATA's holdout; write its metrics to OUT
    prepare DATA              load the rows from their source into folder DATA

It knows nothing of MLflow, so it starts quickly, and its results cannot reach the registry.
"""

import os
import sys
import threading
from pathlib import Path

from ..core import flavor
from ..core.context import Context
from ..core.errors import UserError
from ..core.files import write_file, write_json
from ..core.project import model
from ..core.seeding import deterministic
from ..core.settings import settings
from ..data import dataset
from ..provenance.manifest import Data, collect_manifest
from . import evaluation


def main(arguments: list[str]) -> None:
    """Do what `arguments` say."""
    match arguments:
        case ["retrain", data, out, *full]:
            config = settings(data_dir=Path(data))
            split = dataset.read(config)
            context = Context.of(config.params, config)
            outcome = evaluation.run(split, config.params, context, comparisons=bool(full))
            used = Data(source=split.manifest.source, files=split.manifest.files)
            manifest = collect_manifest(config, config.params, used, outcome.model, outcome.metrics)
            write_file(Path(out), manifest.model_dump_json().encode())
        case ["score", stored, data, out]:
            config = settings(data_dir=Path(data))
            with deterministic(Context.of(config.params, config)):
                x, y = evaluation.matrix(dataset.read(config).holdout)
                scores = evaluation.predict(flavor.load(Path(stored)), x)
            write_json(Path(out), model.metrics(y, scores))
        case ["prepare", data]:
            dataset.prepare(settings(data_dir=Path(data)))
        case _:
            raise UserError("tasks: retrain DATA OUT [full] | score MODEL DATA OUT | prepare DATA")


def end_with(caller: int) -> None:
    """End this process as soon as the one that started it has closed its end of a pipe, or died."""
    os.read(caller, 1)
    os._exit(1)


if __name__ == "__main__":
    if "ML_CALLER" in os.environ:
        threading.Thread(target=end_with, args=[int(os.environ["ML_CALLER"])], daemon=True).start()
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
