"""Writes what the vendors' packagers write into an image, by their own code: run where their wheels are installed, when a test image is built.

`python pack.py map-1.0|map-0.x OUT`: OUT gets app.json and pkg.json, and of MAP 1.0 `tools`, the entrypoint. The packagers' own Docker build is not
used: it downloads from places that a test has not, and its bases take gigabytes. The Dockerfiles here follow its templates.
"""

import json
import shutil
import sys
import types
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CONFIGURATION = """\
application: {title: Test package, version: 1.0, inputFormats: [], outputFormats: []}
resources: {cpu: 1, gpu: 0, memory: 1Gi}
"""
"""app.yaml as an author of a MAP 1.0 writes it; the tutorials' version is a number, too."""


def without_inits(top: str, *names: str) -> Path:
    """The modules of these packages can be imported one by one, and nothing that their __init__ would load. Where the first one lies."""
    spec = find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"{top} is not installed here")
    place = Path(next(iter(spec.submodule_search_locations)))
    for name in (top, *names):
        module = types.ModuleType(name)
        module.__path__ = [str(place.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = module
    return place


def of_1_0(out: Path) -> None:
    """holoscan-cli. The rest of its packager drives Docker."""
    place = without_inits("holoscan_cli", "holoscan_cli.packager", "holoscan_cli.common")
    docker = types.ModuleType("holoscan_cli.common.dockerutils")  # needs python-on-whales
    docker.parse_docker_image_name_and_tag = None  # type: ignore[attr-defined]
    sys.modules[docker.__name__] = docker
    from holoscan_cli.common.enum_types import SdkType
    from holoscan_cli.packager.config_reader import ApplicationConfiguration
    from holoscan_cli.packager.parameters import PackageBuildParameters

    (application := out / "app").mkdir(parents=True)
    (application / "__main__.py").touch()
    (file := out / "app.yaml").write_text(CONFIGURATION)
    parameters = PackageBuildParameters()
    parameters.app_config_file_path = file
    parameters.application = application
    parameters.timeout = 0
    configuration = ApplicationConfiguration()
    configuration.read(file)
    manifest = configuration.populate_app_manifest(parameters)
    manifest.sdk, manifest.sdk_version = SdkType.MonaiDeploy.value, "3.5.0"
    write(out / "app.json", manifest.data)
    package = configuration.populate_package_manifest(parameters)
    package.platform_config = "dgpu"
    write(out / "pkg.json", package.data)
    shutil.copy(place / "packager" / "templates" / "tools.sh", out / "tools")


def of_0_x(out: Path) -> None:
    """App SDK 0.5. Its package imports all of the SDK, and that NumPy and networkx; its packager alone needs neither."""
    without_inits("monai", "monai.deploy", "monai.deploy.packager", "monai.deploy.utils")
    from monai.deploy.packager.constants import DefaultValues as Default
    from monai.deploy.packager.util import create_app_manifest, create_package_manifest

    told: dict[str, Any] = {  # as Application.get_package_info() gives it
        "command": "python3 -u /opt/monai/app/app.py", "sdk-version": "0.5.1", "models": [], "resource": {"cpu": 1, "gpu": 0, "memory": "1024Mi"},
    }  # fmt: skip
    arguments = {
        "input_dir": Default.INPUT_DIR, "output_dir": Default.OUTPUT_DIR, "working_dir": Default.WORK_DIR, "models_dir": Default.MODELS_DIR,
        "api-version": Default.API_VERSION, "timeout": Default.TIMEOUT, "version": "1.0", "application_info": told,
    }  # fmt: skip
    create_app_manifest(arguments, str(out))
    create_package_manifest(arguments, str(out))
    for path in (out / "map").iterdir():
        path.rename(out / path.name)


def write(path: Path, document: dict[str, Any]) -> None:
    """As the packager does."""
    path.write_text(json.dumps(document))


if __name__ == "__main__":
    target = Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    {"map-1.0": of_1_0, "map-0.x": of_0_x}[sys.argv[1]](target)
