"""Small repositories of many shapes, each with the checks that a reader says it fails."""

from dataclasses import dataclass

from tests.audit.good import HASH, notebook, pixi_lock, uv_lock

README = "# x\n\n`pip install -r requirements.txt`\n"
# What each repository without tests and CI lacks.
BARE = {"TS101", "CI101"}
TEST = """\
from train import model, rows


def test_model_predicts_on_data_from_the_pipeline():
    assert model(rows()).predict([[1]]) == [1]
"""
GITHUB = """\
on: push
permissions: {contents: read}
jobs:
  a:
    steps:
      - uses: actions/checkout@v4
      - run: pip install -r requirements.txt
      - run: pytest
"""


@dataclass(frozen=True)
class Sample:
    """A repository and what it fails."""

    name: str
    files: dict[str, str]
    fails: set[str]


SAMPLES = [
    Sample(
        "a script and nothing else",
        {
            "train.py": "import pandas as pd\nfrom sklearn.svm import SVC\n"
            "t = pd.read_csv('/home/anna/t.csv')\nSVC().fit(t, t.y)\n"
        },
        BARE | {"RB101", "RB103", "RB104", "RB106", "EX110", "CF103"},
    ),
    Sample(
        "requirements with open versions",
        {
            "README.md": README,
            "requirements.txt": "pandas\nscikit-learn>=1.0\n",
            "train.py": "import argparse\nimport sys\nimport pandas as pd\n"
            "from sklearn.model_selection import train_test_split\n"
            "a, b = train_test_split(pd.read_csv(sys.argv[1]), test_size=0.2)\n",
            "t.csv": "a\n",
        },
        BARE | {"RB103", "LK101", "EX101"},
    ),
    Sample(
        "direct requirements pinned, indirect ones not",
        {
            "README.md": README,
            "runtime.txt": "python-3.11.9\n",
            "requirements.txt": "pandas==2.2.3\nscikit-learn==1.5.2\n",
            "train.py": "import pandas as pd\n",
            "tests/test_train.py": TEST,
            ".github/workflows/ci.yml": GITHUB,
            ".github/dependabot.yml": "version: 2\n",
        },
        {"LK101"},
    ),
    Sample(
        "a pip freeze",
        {
            "README.md": README,
            ".python-version": "3.11\n",
            "requirements.txt": "joblib==1.4\nnumpy==2.0\npandas==2.2.3\npython-dateutil==2.9\n"
            "pytz==2024.1\nscikit-learn==1.5.2\nscipy==1.14\nsix==1.16\nthreadpoolctl==3.5\n",
            "train.py": "import pandas as pd\n",
            "tests/test_train.py": TEST,
            ".github/workflows/ci.yml": GITHUB,
        },
        {"LK102", "CI107"},
    ),
    Sample(
        "conda with loose versions and a notebook",
        {
            "README.md": "`conda env create -f environment.yml`\n",
            "environment.yml": "dependencies:\n  - python=3.11\n  - pandas=2.2\n  - pip:\n"
            "    - seaborn\n",
            "a.ipynb": notebook("import pandas as pd", "import seaborn", counts=(7, 3)),
        },
        {"CI101", "LK101", "NB101"},
    ),
    Sample(
        "conda, locked under its own names",
        {
            "README.md": "`conda-lock install`\n",
            "environment.yml": "dependencies:\n  - python=3.11\n  - pytorch=2.4\n  - opencv=4.*\n",
            "conda-lock.yml": "package:\n"
            f"- {{name: pytorch, version: 2.4.0, hash: {{sha256: {HASH}}}}}\n"
            f"- {{name: opencv, version: 4.9.0, hash: {{sha256: {HASH}}}}}\n",
            "x.py": "import cv2\nimport torch\n",
        },
        BARE,
    ),
    Sample(
        "pixi, locked under conda's names",
        {
            "README.md": "`pixi install`\n",
            "pixi.toml": '[workspace]\nname = "x"\nchannels = ["conda-forge"]\n[dependencies]\n'
            'python = "3.12.*"\npytorch = ">=2.4,<3"\n[pypi-dependencies]\n'
            'humanize = "==4.12.3"\nme = { path = ".", editable = true }\n'
            '[feature.test.dependencies]\npytest = "*"\n',
            "pixi.lock": pixi_lock("pytorch-2.5.1-cpu_0", "pytest-8.3.4-pyhd_0"),
            "train.py": "import humanize\nimport torch\n",
        },
        BARE,
    ),
    Sample(
        "pixi, with a lock of another version and one package less",
        {
            "README.md": "`pixi install`\n",
            "pyproject.toml": '[project]\nname = "x"\nrequires-python = ">=3.12"\n',
            "sub/pixi.toml": '[dependencies]\nnumpy = "1.26.*"\nscipy = "*"\n',
            "sub/pixi.lock": pixi_lock("numpy-2.1.0-py_0"),
            "train.py": "import numpy\n",
        },
        BARE | {"LK103"},
    ),
    Sample(
        "pixi in pyproject.toml, without a lock",
        {
            "README.md": "`pixi install`\n",
            "pyproject.toml": '[project]\nname = "x"\n[tool.pixi.dependencies]\n'
            'python = "3.12.*"\nnumpy = "*"\n[tool.pixi.pypi-dependencies]\nhumanize = "*"\n',
            "train.py": "import humanize\nimport numpy\n",
        },
        BARE | {"LK101"},
    ),
    Sample(
        "conda, with a lock of other versions",
        {
            "README.md": "`conda-lock install`\n",
            "environment.yml": "dependencies:\n  - python=3.11\n  - opencv=4.*\n",
            "conda-lock.yml": "package:\n"
            f"- {{name: opencv, version: 3.9.0, hash: {{sha256: {HASH}}}}}\n",
            "x.py": "import cv2\n",
        },
        BARE | {"LK103"},
    ),
    Sample(
        "setup.py with a list that has a name",
        {
            "README.rst": "pip install .\n",
            "setup.py": "from setuptools import setup\nMORE = 'numpy==2.1.0\\n'\n"
            "NEEDS = ['pandas==2.2.3']\n"
            "setup(name='x', python_requires='>=3.9', install_requires=NEEDS,\n"
            "      extras_require={'more': MORE})\n",
            "x/__init__.py": "import numpy\nimport pandas\nimport polars\n",
        },
        BARE | {"LK101", "RB102"},
    ),
    Sample(
        "setup.py with a list that grows",
        {
            "README.rst": "pip install .\n",
            "setup.py": "from setuptools import setup\nNEEDS = []\nNEEDS.append('numpy')\n"
            "setup(name='x', python_requires='>=3.9', install_requires=NEEDS)\n",
            "x/__init__.py": "import numpy\n",
        },
        BARE | {"LK101"},
    ),
    Sample(
        "setup.py with a computed list",
        {
            "README.rst": "pip install .\n",
            "setup.py": "from setuptools import setup\n"
            "setup(name='x', python_requires='>=3.9', install_requires=open('r').read())\n",
            "x/__init__.py": "import numpy as np\n\n\ndef noise():\n    return np.random.rand(3)\n",
        },
        BARE | {"LK101", "EX103"},
    ),
    Sample(
        "setup.py in words, with tests of another style",
        {
            "README.md": "pip install -e .\n",
            "setup.py": "import setuptools\n"
            "setuptools.setup(name='x', install_requires=['torch==2.5.0'])\n",
            "x/fit.py": "import torch\n\n\ndef fit(net, data):\n    for b in data:\n"
            "        net(b).backward()\n    torch.save(net, 'n.pt')\n",
            "x/fit_test.py": "import unittest\n\n\nclass T(unittest.TestCase):\n"
            "    def test_model_fit_on_a_batch_of_data_in_training(self):\n"
            "        self.assertTrue(f())\n",
            ".travis.yml": "script: python -m unittest\n",
        },
        {"RB103", "LK101", "EX104", "RD105", "CF103", "CI107"},
    ),
    Sample(
        "Pipenv, in sync",
        {
            "README.md": "pipenv sync\n",
            "Pipfile": '[packages]\npandas = "~=2.2"\n[requires]\npython_version = "3.11"\n',
            "Pipfile.lock": '{"default": {"pandas": {"version": "==2.2.3", "hashes": ["sha256:0"]}}}',  # noqa: E501
            "a.py": "import pandas\n",
        },
        BARE,
    ),
    Sample(
        "Pipenv, behind its Pipfile",
        {
            "README.md": "pipenv sync\n",
            "Pipfile": '[packages]\npandas = "~=2.2"\nlightgbm = "*"\n',
            "Pipfile.lock": '{"default": {"pandas": {"version": "==2.1.0", "hashes": ["sha256:0"]}}}',  # noqa: E501
            "a.py": "import pandas\n",
        },
        BARE | {"RB103", "LK103"},
    ),
    Sample(
        "uv, with a container",
        {
            "README.md": "uv sync\n",
            "pyproject.toml": '[project]\nname = "x"\nrequires-python = ">=3.11"\n'
            'dependencies = ["fastapi"]\n',
            "uv.lock": uv_lock({"fastapi": "0.115.0", "starlette": "0.40.0"}),
            "x/app.py": "from fastapi import FastAPI\nfrom starlette.requests import Request\n",
            "Dockerfile": "FROM python:3.12-slim AS b\nRUN pip install uv && uv sync --locked\n"
            'FROM b\nCOPY . .\nCMD ["x"]\n',
        },
        BARE | {"CN102", "CN104", "CN105"},
    ),
    Sample(
        "PDM, in sync, with GitLab",
        {
            "README.md": "pdm install\n",
            "pyproject.toml": '[project]\nname = "x"\nrequires-python = ">=3.11"\n'
            'dependencies = ["numpy>=2"]\n[tool.pdm]\n',
            "pdm.lock": f'[[package]]\nname = "numpy"\nversion = "2.1.0"\n'
            f'files = [{{file = "n.whl", hash = "sha256:{HASH}"}}]\n',
            "x/a.py": "import numpy as np\n",
            "tests/test_a.py": "def test_a():\n    assert f()\n",
            ".gitlab-ci.yml": "test:\n  script:\n    - pip install pdm ruff\n    - pdm run pytest\n",  # noqa: E501
        },
        {"TS102", "TS103", "TS104", "CI104", "CI107"},
    ),
    Sample(
        "Poetry, with a branch of somebody else's",
        {
            "README.md": "poetry install\n",
            "pyproject.toml": '[tool.poetry]\nname = "x"\n[tool.poetry.dependencies]\n'
            'python = "^3.11"\npandas = "^2.2"\nlib = {git = "https://g.example/lib", branch = "m"}\n',  # noqa: E501
            "a.py": "import pandas\nimport lib\n",
        },
        BARE | {"RB105", "LK101"},
    ),
    Sample(
        "notebooks only",
        {
            "README.md": "pip install -r requirements.txt\n",
            "requirements.txt": "scikit-learn\n",
            "a.ipynb": notebook(
                "!pip install lightgbm", "%matplotlib inline\nimport sklearn\nx?", "import lightgbm"
            ),
            "b.ipynb": notebook(
                "from sklearn.cluster import KMeans\nKMeans(3)",
                outputs=[{"output_type": "error", "ename": "E"}],
            ),
        },
        {"RB102", "RB103", "LK101", "EX102", "CI101", "NB102", "NB103"},
    ),
    Sample(
        "order of sets and of folders, where it matters and where it does not",
        {
            "README.md": "pip install numpy\n",
            ".python-version": "3.11\n",
            "a.py": "import os\nfrom pathlib import Path\n\n\ndef fine(x, p):\n"
            "    for f in p.glob('*.tmp'):\n        f.unlink()\n"
            "    n = len(os.listdir(p))\n    names = os.listdir(p)\n    names.sort()\n"
            "    for k in set(x):\n        print(k)\n"
            "    files = sorted(Path(p).iterdir())\n    seen = {a for a in set(x)}\n"
            "    return sorted(list(set(x))), n, files, seen, 3 in set(x), names\n",
            "b.py": "import glob\n\n\ndef wrong(x):\n    words = set(x)\n"
            "    index = {w: i for i, w in enumerate(words)}\n"
            "    return index, [open(f) for f in glob.glob('*.txt')]\n",
        },
        BARE | {"EX106", "EX107"},
    ),
    Sample(
        "seeds that are given, one by one",
        {
            "README.md": "pip install scikit-learn\n",
            ".python-version": "3.11\n",
            "a.py": "import random\nimport numpy as np\nrandom.seed(1)\nnp.random.seed(1)\n"
            "np.random.rand(2)\nrandom.shuffle([1])\nr = np.random.default_rng(3)\n",
            "b.py": "from sklearn.model_selection import KFold, train_test_split\n"
            "KFold(5)\ntrain_test_split([1], shuffle=False)\nKFold(5, shuffle=True, random_state=1)\n"  # noqa: E501
            "def f(**more):\n    return train_test_split([1], **more)\n",
            "c.py": "import random\nimport time\n\n\ndef pick(d):\n    start = time.time()\n"
            "    return random.sample(d, 2), time.time() - start\n",
        },
        BARE | {"RB101"},
    ),
    Sample(
        "Kubernetes and Compose without versions",
        {
            "README.md": "kubectl\n",
            "k8s/a.yml": "apiVersion: apps/v1\nkind: Deployment\nspec:\n  template:\n    spec:\n"
            "      containers:\n      - name: a\n        image: r.example/a:latest\n"
            "        ports: [{containerPort: 80}]\n---\napiVersion: v1\nkind: Service\n",
            "docker-compose.yml": "services:\n  a:\n    build: .\n    image: a\n  r:\n    image: redis\n"  # noqa: E501
            "  v:\n    image: x:${TAG}\n",
        },
        {"RD101", "RD102", "RD103", "RD104"},
    ),
    Sample(
        "secrets",
        {
            "README.md": "pip install numpy. Set "
            "postgres://user:password@localhost/db.\n",  # pragma: allowlist secret
            ".python-version": "3.11\n",
            "a.py": "import os\nK = 'ghp_" + "a1B2" * 9 + "'\nT = os.environ['THE_TOKEN']\n",
            ".env": "API_KEY=f3b1c9\nDEBUG=1\n",
        },
        BARE | {"CF101", "CF102", "CF104"},
    ),
    Sample(
        "downloads and hubs",
        {
            "README.md": "pip install pandas\n",
            ".python-version": "3.11\n",
            "requirements.txt": "pandas\ntransformers\n",
            "a.py": "import pandas as pd\nfrom transformers import AutoModel\n"
            "pd.read_csv('https://x.example/t.csv')\nAutoModel.from_pretrained('google/bert')\n"
            "AutoModel.from_pretrained('google/bert', revision='abc')\n"
            "AutoModel.from_pretrained('./local/bert')\n",
        },
        BARE | {"LK101", "EX109", "EX111"},
    ),
    Sample(
        "a broken file among others",
        {
            "README.md": "pip install pandas\n",
            ".python-version": "3.11\n",
            "old.py": "print 'x'\n",
            "a.py": "x = 1\n",
            ".gitlab-ci.yml": "a: [\n",
        },
        {"AU101", "TS101"},
    ),
    Sample("pages only", {"README.md": "# Notes\n", "notes/a.md": "x\n"}, set()),
    Sample(
        "a cookiecutter template",
        {
            "README.md": "pip install cookiecutter\n",
            "{{ cookiecutter.name }}/a.py": "import {{ cookiecutter.name }}\n",
            "{{ cookiecutter.name }}/requirements.txt": "pandas\n",
            "cookiecutter.json": "{}\n",
        },
        set(),
    ),
]
