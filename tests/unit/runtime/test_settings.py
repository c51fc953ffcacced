"""Settings from the environment: every mistake is told at once, with its variable."""

import pytest

from gantry.runtime import InvalidSettings, Settings, settings

LEAST = {"GANTRY_INSTALLATION": "hospital-a", "GANTRY_WORKER_IMAGE": "gantry/worker@sha256:1"}


def test_two_variables_are_enough() -> None:
    made = Settings.from_environment(LEAST)
    assert (made.namespaces, made.port, made.log_level, made.worker_pull_policy) == ((), 8080, "INFO", "IfNotPresent")


def test_namespaces_are_a_list() -> None:
    assert Settings.from_environment({**LEAST, "GANTRY_NAMESPACES": " b, a,,b"}).namespaces == ("a", "b")


def test_replicas_share_a_lease_by_namespace_and_name() -> None:
    assert Settings.from_environment(LEAST).lease is None
    made = Settings.from_environment({**LEAST, "GANTRY_LEASE": "radiology/gantry", "GANTRY_IDENTITY": "gantry-abc"})
    assert (made.lease, made.identity) == (("radiology", "gantry"), "gantry-abc")


def test_prices_are_by_resource() -> None:
    assert Settings.from_environment(LEAST).prices.per_hour == {}
    made = Settings.from_environment({**LEAST, "GANTRY_PRICES": "nvidia.com/gpu=2.5, nvidia.com/mig-1g.10gb=0.4", "GANTRY_CURRENCY": "CHF"}).prices
    assert (made.currency, made.per_hour) == ("CHF", {"nvidia.com/gpu": 2.5, "nvidia.com/mig-1g.10gb": 0.4})


WRONG = {
    "GANTRY_LEASE is 'gantry': give namespace/name, or leave it out": {"GANTRY_LEASE": "gantry"},
    "GANTRY_INSTALLATION is not set": {"GANTRY_INSTALLATION": " "},
    "GANTRY_WORKER_IMAGE is not set": {"GANTRY_WORKER_IMAGE": ""},
    "GANTRY_PORT is 'http': give a number from 0 to 65535": {"GANTRY_PORT": "http"},
    "GANTRY_PORT is '70000': give a number from 0 to 65535": {"GANTRY_PORT": "70000"},
    "GANTRY_LOG_LEVEL is 'verbose': give one of DEBUG, INFO, WARNING, ERROR": {"GANTRY_LOG_LEVEL": "verbose"},
    "GANTRY_WORKER_PULL_POLICY is 'Sometimes': give one of Always, IfNotPresent, Never": {"GANTRY_WORKER_PULL_POLICY": "Sometimes"},
    "GANTRY_PRICES has 'nvidia.com/gpu': give resource=price, for example nvidia.com/gpu=2.50": {"GANTRY_PRICES": "nvidia.com/gpu"},
    "GANTRY_PRICES has 'nvidia.com/gpu=nan': give resource=price": {"GANTRY_PRICES": "nvidia.com/gpu=nan"},
    "GANTRY_WORKERS is 'nan': give a number from 1 to 256": {"GANTRY_WORKERS": "nan"},
}


@pytest.mark.parametrize(("message", "change"), WRONG.items(), ids=WRONG.keys())
def test_a_wrong_variable_is_named_with_its_value_and_what_to_write(message: str, change: dict[str, str]) -> None:
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_environment(LEAST | change)
    assert message in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_environment({"GANTRY_PORT": "-1"})
    assert [word for word in ("GANTRY_INSTALLATION", "GANTRY_WORKER_IMAGE", "GANTRY_PORT") if word in str(caught.value)] == [
        "GANTRY_INSTALLATION", "GANTRY_WORKER_IMAGE", "GANTRY_PORT",
    ]  # fmt: skip


class TestTracing:
    """Whether there are traces is said by OpenTelemetry's own variables."""

    ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"

    @pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
    def test_an_endpoint_asks_for_them(self, name: str) -> None:
        assert not Settings.from_environment(LEAST).tracing
        assert not Settings.from_environment({**LEAST, name: " "}).tracing
        assert Settings.from_environment({**LEAST, name: "http://collector:4318"}).tracing

    def test_the_sdks_own_switch_counts(self) -> None:
        assert not Settings.from_environment({**LEAST, self.ENDPOINT: "http://collector:4318", "OTEL_SDK_DISABLED": "TRUE"}).tracing

    def test_grpc_is_not_spoken(self) -> None:
        with pytest.raises(InvalidSettings, match="OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc': give http/protobuf, or leave it out"):
            Settings.from_environment({**LEAST, self.ENDPOINT: "http://collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})

    def test_without_the_sdk_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(settings, "installed", lambda *_: False)
        with pytest.raises(InvalidSettings, match=r"the OpenTelemetry SDK is not installed: pip install 'gantry\[tracing\]'"):
            Settings.from_environment({**LEAST, self.ENDPOINT: "http://collector:4318"})

    def test_what_is_not_installed_is_found_without_an_import(self) -> None:
        assert settings.installed("json", "opentelemetry.sdk")
        assert not settings.installed("no_such_package")
        assert not settings.installed("no_such_package.inner")
