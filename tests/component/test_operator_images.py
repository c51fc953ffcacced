"""The operator asks a real registry: Runs carry digests, steps need no command, and what is wrong stands in a condition. One operator for all tests."""

import json
from collections.abc import Iterator

import pytest
from tests.builders import BRIDGE, PIPELINE, changed
from tests.component.control_plane import ControlPlane
from tests.component.operator_process import Hospital, Object, Operator, a_hospital, condition, named, wait
from tests.component.registry_server import USER, Server, layer, registry
from tests.component.test_registry_images import APP, MAP_CONFIG, PKG

from gantry.kube import PIPELINES

A_BRIDGE = changed(changed(BRIDGE, "spec.url", "http://127.0.0.1:9"), "spec.credentialsSecretRef", ...)
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull"}, "type": "kubernetes.io/dockerconfigjson"}
INTERVAL = "1"
"""Seconds between two looks; ten minutes in a hospital."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with registry(tmp_path_factory.mktemp("registry"), tls=True, users=True) as made:
        yield made


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, api_server: ControlPlane, server: Server) -> Iterator[Hospital]:
    made = a_hospital(api_server, tmp_path_factory.mktemp("images"), "images", bridge=A_BRIDGE, pipeline=None)
    made.apply(SECRET | {"stringData": server.secret()})
    with made.operator(**settings(server)):
        yield made
    made.api.http.close()


def settings(server: Server) -> dict[str, str]:
    assert server.certificates is not None
    return {"GANTRY_REGISTRIES": "yes", "GANTRY_REGISTRY_CA": str(server.certificates.authority), "GANTRY_IMAGES_INTERVAL": INTERVAL}


def a_pipeline(name: str, image: str, *, secret: str = "pull", node: str = "", **step: object) -> Object:
    body = named(changed(PIPELINE, "spec.template.steps.0", {"name": "detect", "image": image, **step}), name)
    body = changed(body, "spec.template.report", {"algorithm": {"name": "A", "version": "1", "manufacturer": "B"}})
    scheduling = {"imagePullSecrets": [{"name": secret}]} | ({"nodeSelector": {"kubernetes.io/arch": node}} if node else {})
    return changed(body, "spec.template.scheduling", scheduling)


def status(hospital: Hospital, name: str) -> Object:
    made = hospital.api.get(PIPELINES, hospital.namespace, name) or {}
    found = made.get("status") or {}
    assert isinstance(found, dict)
    return found


def says(hospital: Hospital, name: str, resolved: str, ready: str = "True/Ready") -> str:
    """Waits for both conditions; gives the message of ImagesResolved."""

    def told() -> tuple[str, str]:
        seen = status(hospital, name)
        return condition(seen, "ImagesResolved"), condition(seen, "Ready")

    wait(lambda: told() == (resolved, ready), f"{name} is {resolved} and {ready}", tell=lambda: status(hospital, name))
    return message(hospital, name, "ImagesResolved")


def message(hospital: Hospital, name: str, kind: str) -> str:
    return next(str(one["message"]) for one in status(hospital, name)["conditions"] if one["type"] == kind)


def test_a_step_without_command_gets_its_images(hospital: Hospital, server: Server) -> None:
    digest = server.push("v/app", "1", config={"Entrypoint": ["/app/run"], "Cmd": ["--fast"], "User": "1000", "Labels": {"org.opencontainers.image.version": "1.0.3"}})
    hospital.apply(a_pipeline("plain", f"{server.address}/v/app:1"))
    assert says(hospital, "plain", "True/Resolved") == "new Runs carry the image's digest"
    (image,) = status(hospital, "plain")["images"]
    assert (image["digest"], image["entrypoint"], image["arguments"], image["version"]) == (digest, ["/app/run"], ["--fast"], "1.0.3")
    assert (image["architectures"], image["user"]) == (["amd64"], "1000")


def test_a_tag_that_moves_is_seen(hospital: Hospital, server: Server) -> None:
    first = server.push("v/moving", "stable", config={"Cmd": ["one"]})
    hospital.apply(a_pipeline("moving", f"{server.address}/v/moving:stable"))
    says(hospital, "moving", "True/Resolved")
    assert status(hospital, "moving")["images"][0]["digest"] == first
    second = server.push("v/moving", "stable", config={"Cmd": ["two"]})
    wait(lambda: status(hospital, "moving")["images"][0]["digest"] == second, "the new digest is in the status")
    assert status(hospital, "moving")["images"][0]["arguments"] == ["two"]


def test_a_map_tells_its_generation_and_what_it_needs(hospital: Hospital, server: Server) -> None:
    layers = (layer({"etc/holoscan/app.json": json.dumps(APP)}), layer({"etc/holoscan/pkg.json": json.dumps(PKG)}))
    server.push("v/spleen", "1", layers=layers, config=MAP_CONFIG)
    hospital.apply(a_pipeline("spleen", f"{server.address}/v/spleen:1", contract="MAP"))
    says(hospital, "spleen", "True/Resolved")
    (image,) = status(hospital, "spleen")["images"]
    assert (image["contract"], image["title"], image["version"]) == ("MAP 1.0", "spleen_seg", "1.2")
    assert image["needs"] == {"cpu": "1", "memory": "1Gi", "gpu": 1, "gpuMemory": "6Gi", "sharedMemory": "512Mi"}


def test_a_map_that_is_taken_for_something_else_is_told(hospital: Hospital, server: Server) -> None:
    layers = (layer({"etc/holoscan/app.json": json.dumps(APP)}),)
    server.push("v/mistaken", "1", layers=layers, config=MAP_CONFIG)
    hospital.apply(a_pipeline("mistaken", f"{server.address}/v/mistaken:1"))
    assert "is a MONAI application package (MAP 1.0), and contract is Native: set contract: MAP" in says(hospital, "mistaken", "True/Resolved")


def test_what_is_no_map_is_told(hospital: Hospital, server: Server) -> None:
    server.push("v/app", "1", config={"Cmd": ["x"]})
    hospital.apply(a_pipeline("no-map", f"{server.address}/v/app:1", contract="MAP"))
    assert "neither labels nor environment of the image are those of a MONAI application package" in says(hospital, "no-map", "False/ContractUnknown")


def test_an_image_for_other_processors_is_told(hospital: Hospital, server: Server) -> None:
    server.push("v/arm", "1", config={"Cmd": ["x"]}, architecture="arm64")
    hospital.apply(a_pipeline("arm", f"{server.address}/v/arm:1", node="amd64"))
    words = says(hospital, "arm", "False/WrongArchitecture")
    assert "it is built for arm64, and the nodes its Runs may come to are amd64; build it for them" in words


def test_a_manifest_that_is_broken_is_told(hospital: Hospital, server: Server) -> None:
    server.push("v/broken", "1", layers=(layer({"etc/holoscan/app.json": "{"}),), config=MAP_CONFIG)
    hospital.apply(a_pipeline("broken", f"{server.address}/v/broken:1", contract="MAP"))
    assert "/etc/holoscan/app.json in the image is not JSON" in says(hospital, "broken", "False/ManifestBroken")


def test_without_image_and_without_command_nothing_starts_and_the_way_out_is_told(hospital: Hospital, server: Server) -> None:
    hospital.apply(a_pipeline("nowhere", f"{server.address}/v/nowhere:1"))
    says(hospital, "nowhere", "False/ImageNotFound", "False/CommandUnknown")
    words = message(hospital, "nowhere", "Ready")
    assert words.startswith(f"step detect has no command, and that of its image {server.address}/v/nowhere:1 is not known: registry {server.address} has no v/nowhere")
    assert words.endswith("write command to be independent of the registry")
    hospital.apply(a_pipeline("nowhere", f"{server.address}/v/nowhere:1", command=["run"]))
    says(hospital, "nowhere", "False/ImageNotFound")


def test_an_image_without_any_command_is_told(hospital: Hospital, server: Server) -> None:
    server.push("v/silent", "1")
    hospital.apply(a_pipeline("silent", f"{server.address}/v/silent:1"))
    says(hospital, "silent", "True/Resolved", "False/CommandUnknown")
    assert message(hospital, "silent", "Ready").endswith("has neither Entrypoint nor Cmd: write command")


def test_a_pull_secret_that_is_missing_or_wrong_is_told_and_one_that_comes_later_is_found(hospital: Hospital, server: Server) -> None:
    server.push("v/app", "1", config={"Cmd": ["x"]})
    hospital.apply(a_pipeline("locked", f"{server.address}/v/app:1", secret="later", command=["x"]))
    words = says(hospital, "locked", "False/NotAuthorised")
    assert "check template.scheduling.imagePullSecrets; secret later does not exist" in words
    assert USER not in words
    hospital.apply(SECRET | {"metadata": {"name": "later"}, "stringData": server.secret()})
    says(hospital, "locked", "True/Resolved")


def test_a_registry_that_dies_takes_nothing_away_and_a_new_process_begins_with_what_was_known(
    tmp_path_factory: pytest.TempPathFactory, api_server: ControlPlane
) -> None:
    with registry(tmp_path_factory.mktemp("dying"), tls=True, users=True) as server:
        digest = server.push("v/app", "1", config={"Cmd": ["x"]})
        hospital = a_hospital(api_server, tmp_path_factory.mktemp("dying-operator"), "images-dying", bridge=A_BRIDGE, pipeline=None)
        hospital.apply(SECRET | {"stringData": server.secret()})
        with hospital.operator(**settings(server)) as operator:
            hospital.apply(a_pipeline("app", f"{server.address}/v/app:1"))
            says(hospital, "app", "True/Resolved")
            server.process.kill()
            server.process.wait()
            words = says(hospital, "app", "False/RegistryAway")
            assert words == f"step detect, image {server.address}/v/app:1: no connection to registry {server.address}; check its address, DNS and NetworkPolicy"
            again(operator)
            says(hospital, "app", "False/RegistryAway")
            assert status(hospital, "app")["images"][0]["digest"] == digest, "and the pipeline is Ready by it, without command"
        hospital.api.http.close()


def again(operator: Operator) -> None:
    operator.kill()
    operator.start()
