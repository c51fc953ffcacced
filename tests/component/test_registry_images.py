"""A real registry is asked: names become digests, and images say how they are run."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.component.registry_server import LAYER, PASSWORD, Server, TokenServer, layer, registry

from gantry.registry import Image, Needs, NotAuthorised, NotFound, Package, Reference, Registries, logins

APP = {"apiVersion": "1.0.0", "command": '["python3", "/opt/holoscan/app"]', "version": 1.0, "workingDirectory": "/var/holoscan"}
PKG = {"apiVersion": "1.0.0", "resources": {"cpu": 1, "gpu": 0.5, "memory": "1Gi", "gpuMemory": "6 GiB", "sharedMemory": "512MiB"}, "models": {}}
MAP_CONFIG = {
    "Entrypoint": ["/var/holoscan/tools"], "User": "1000:1000", "WorkingDir": "/var/holoscan",
    "Env": ["PATH=/usr/bin", "HOLOSCAN_INPUT_PATH=/var/holoscan/input"],
    "Labels": {"org.monai.deploy.app-sdk": "3.5.0", "org.opencontainers.image.title": "spleen_seg", "org.opencontainers.image.version": "1.2"},
}  # fmt: skip
BIG = bytes(range(256)) * 8192
"""2 MiB that gzip makes small; only the size in the registry counts."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with registry(tmp_path_factory.mktemp("registry"), tls=True, users=True) as made:
        yield made


async def look(server: Server, name: str, *, password: str = PASSWORD, place: str = "", known: str = "", prefer: tuple[str, ...] = ()) -> Image | None:
    registries = Registries(authorities=server.authorities)
    known_logins = logins(server.secret(password=password, place=place))
    return await registries.look(Reference.parse(f"{server.address}/{name}"), logins=known_logins, known=known, prefer=prefer)


async def test_a_tag_becomes_a_digest_and_the_image_says_how_it_is_run(server: Server) -> None:
    config = {"Entrypoint": ["/app/run"], "Cmd": ["--fast"], "User": "app", "WorkingDir": "/app", "Labels": {"org.opencontainers.image.version": "3"}}
    digest = server.push("vendor/nodules", "1.0", layers=(layer({"app/run": "x"}),), config=config)
    image = await look(server, "vendor/nodules:1.0")
    assert image is not None
    assert image.config is not None
    assert (image.digest, image.architectures, image.package) == (digest, ("amd64",), None)
    assert (image.config.entrypoint, image.config.command, image.config.user, image.config.directory) == (("/app/run",), ("--fast",), "app", "/app")
    assert image.config.labels == {"org.opencontainers.image.version": "3"}
    assert 0 < image.size < 400
    pinned = Reference.parse(f"{server.address}/vendor/nodules:1.0").pinned(digest)
    assert pinned == f"{server.address}/vendor/nodules:1.0@{digest}"
    assert await look(server, pinned.removeprefix(f"{server.address}/")) == image, "the pinned name is the same image"


async def test_an_image_that_has_not_changed_is_not_read_again(server: Server) -> None:
    first = server.push("vendor/moving", "latest", config={"Cmd": ["one"]})
    assert await look(server, "vendor/moving", known=first) is None
    second = server.push("vendor/moving", "latest", config={"Cmd": ["two"]})
    image = await look(server, "vendor/moving", known=first)
    assert image is not None
    assert image.config is not None
    assert (image.digest, image.config.command) == (second, ("two",))


async def test_an_index_is_pinned_as_a_whole_and_read_for_the_nodes_architecture(server: Server) -> None:
    images = {one: server.push("vendor/both", one, config={"Cmd": [one]}, architecture=one) for one in ("amd64", "arm64")}
    digest = server.push_index("vendor/both", "2", images)
    image = await look(server, "vendor/both:2", prefer=("arm64",))
    assert image is not None
    assert image.config is not None
    assert (image.digest, image.architectures, image.config.command) == (digest, ("amd64", "arm64"), ("arm64",))
    image = await look(server, "vendor/both:2")
    assert image is not None
    assert image.config is not None
    assert image.config.command == ("amd64",), "the commonest when nobody says"


async def test_the_manifests_of_a_map_are_read_out_of_its_last_layers(server: Server) -> None:
    layers = (layer({"opt/holoscan/app/app.py": "print()"}), layer({"./etc/holoscan/app.json": json.dumps(APP)}), layer({"etc/holoscan/pkg.json": json.dumps(PKG)}), layer({}))
    server.push("vendor/spleen", "1.2", layers=layers, config=MAP_CONFIG)
    image = await look(server, "vendor/spleen:1.2")
    assert image is not None
    assert image.package == Package("MAP 1.0", "1.0", Needs(cpu="1", memory="1Gi", gpu=1, gpu_memory="6Gi", shared_memory="512Mi"))


async def test_the_first_generation_of_maps_is_known_by_its_environment(server: Server) -> None:
    app = {"api-version": "0.1.0", "command": "python3 -u /opt/monai/app/app.py", "working-directory": "/var/monai/", "version": "0.0.0"}
    pkg = {"api-version": "0.1.0", "resources": {"cpu": 1, "gpu": 1, "memory": "1024Mi"}}
    files = layer({"etc/monai/app.json": json.dumps(app), "etc/monai/pkg.json": json.dumps(pkg)})
    server.push("vendor/old", "1", layers=(files,), config={"Env": ["MONAI_INPUTPATH=/var/monai/input"]})
    image = await look(server, "vendor/old:1")
    assert image is not None
    assert image.package is not None
    assert (image.package.contract, image.package.needs.memory, image.package.needs.gpu) == ("MAP 0.x", "1024Mi", 1)


async def test_layers_of_zstandard_are_read_too(server: Server) -> None:
    import zstandard

    packed = zstandard.ZstdCompressor().compress(layer({"etc/holoscan/app.json": json.dumps(APP)}))
    server.push("vendor/zstd", "1", layers=(packed,), config=MAP_CONFIG, kind=LAYER.replace("gzip", "zstd"), packed=False)
    image = await look(server, "vendor/zstd:1")
    assert image is not None
    assert image.package is not None
    assert image.package.contract == "MAP 1.0"


async def test_a_squashed_map_is_an_image_whose_manifests_are_not_known(server: Server) -> None:
    server.push("vendor/squashed", "1", layers=(layer({"etc/holoscan/app.json": json.dumps(APP), "model.bin": BIG}),), config=MAP_CONFIG, packed=False)
    image = await look(server, "vendor/squashed:1")
    assert image is not None
    assert image.config is not None
    assert (image.config.says_map, image.package) == (True, None)


@pytest.mark.parametrize("place", ["", "https://{address}/v2/", "{address}/vendor"], ids=["by host", "by address", "by a part of the registry"])
async def test_a_pull_secret_is_matched_as_the_kubelet_does(server: Server, place: str) -> None:
    digest = server.push("vendor/private", "1")
    image = await look(server, "vendor/private:1", place=place.format(address=server.address))
    assert image is not None
    assert image.digest == digest


WRONG = {"a wrong password": ("no", ""), "a secret of another registry": (PASSWORD, "other.example"), "a secret of another part": (PASSWORD, "{address}/elsewhere")}


@pytest.mark.parametrize(("password", "place"), WRONG.values(), ids=WRONG.keys())
async def test_credentials_that_do_not_fit_are_said_so(server: Server, password: str, place: str) -> None:
    server.push("vendor/private", "1")
    with pytest.raises(NotAuthorised) as caught:
        await look(server, "vendor/private:1", password=password, place=place.format(address=server.address))
    wanted = f"registry {server.address} refuses the credentials for vendor/private, or wants some: check template.scheduling.imagePullSecrets"
    assert str(caught.value) == wanted


async def test_what_is_not_there_is_said_so(server: Server) -> None:
    server.push("vendor/nodules", "1.0")
    with pytest.raises(NotFound) as caught:
        await look(server, "vendor/nodules:9")
    assert str(caught.value) == f"registry {server.address} has no vendor/nodules with 9; check the image's name and tag"


async def test_a_model_need_be_no_container_image(server: Server) -> None:
    digest = server.push("models/weights", "7", layers=(layer({"w.onnx": BIG}),), raw_config=b"{}")
    registries, reference = Registries(authorities=server.authorities), Reference.parse(f"{server.address}/models/weights:7")
    image = await registries.look(reference, logins=logins(server.secret()), model=True)
    assert image is not None
    assert (image.digest, image.config) == (digest, None)


async def test_tokens_are_asked_for_where_the_registry_says(tmp_path: Path) -> None:
    """As Docker Hub, GitHub and most others have it. The registry's own store is filled by one without users first."""
    with registry(tmp_path) as filling:
        private = filling.push("vendor/private", "1")
        public = filling.push("open/tool", "1")
    with TokenServer(tmp_path / "tokens") as tokens, registry(tmp_path, token_realm=tokens.realm, issuer=tokens.certificates) as server:
        registries = Registries(authorities=tokens.certificates.authority.read_text(), insecure=(server.address,))
        image = await registries.look(Reference.parse(f"{server.address}/vendor/private:1"), logins=logins(server.secret()))
        assert image is not None
        assert image.digest == private
        image = await registries.look(Reference.parse(f"{server.address}/open/tool:1"))
        assert image is not None
        assert image.digest == public
        assert tokens.asked[-1] == "", "nobody's credentials for what everybody may read"
        with pytest.raises(NotAuthorised):
            await registries.look(Reference.parse(f"{server.address}/vendor/private:1"), logins=logins(server.secret(password="no")))
