from __future__ import annotations

import json
from importlib import metadata

import pytest

from bge_components.cli.inspection import findings


def checks_of(result) -> dict[str, dict]:
    return {check["name"]: check for check in json.loads(result.stdout)["checks"]}


def test_a_sound_installation_is_reported_sound(bge):
    result = bge("doctor", "--json")
    assert result.exit_code == 0, result.stdout
    assert json.loads(result.stdout)["healthy"] is True
    checks = checks_of(result)
    assert checks["torch"]["version"] == metadata.version("torch")
    assert checks["device cpu"]["dtype"] in ("float32", "bfloat16")
    assert checks["device cpu"]["dtype_reason"]
    assert checks["device cpu"]["memory_bytes"] > 2**28
    assert checks["self-test"]["like"] > checks["self-test"]["unlike"]


def test_people_get_a_table_and_a_verdict(bge):
    result = bge("doctor", "--offline")
    assert result.exit_code == 0
    assert "everything works" in result.stdout
    assert "transformers" in result.stdout
    assert "hub" not in [line.split("│")[2].strip() for line in result.stdout.splitlines() if "│" in line]


@pytest.mark.parametrize(
    ("package", "version", "reason"),
    [
        ("transformers", "5.2.9", "CVE-2026-4372"),
        ("torch", "2.9.1+cpu", "below 2.10"),
        ("numpy", None, "not installed"),
    ],
)
def test_a_package_below_its_floor_is_exit_code_1_and_says_why(bge, monkeypatch, package, version, reason):
    real = metadata.version

    def version_of(name: str) -> str:
        if name != package:
            return real(name)
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(metadata, "version", version_of)
    result = bge("doctor", "--json")
    assert result.exit_code == 1
    check = checks_of(result)[package]
    assert check["status"] == "fail"
    assert reason in check["detail"]
    assert "pip install" in check["detail"]


def test_an_offline_environment_is_respected(bge, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub = checks_of(bge("doctor", "--json"))["hub"]
    assert (hub["status"], hub["reachable"]) == ("ok", None)


def test_a_hub_out_of_reach_is_a_warning_and_no_failure(shell):
    done = shell("$BGE doctor --json", HF_HUB_OFFLINE="0")
    assert done.returncode == 0, done.stdout + done.stderr
    hub = next(check for check in json.loads(done.stdout)["checks"] if check["name"] == "hub")
    assert (hub["status"], hub["reachable"]) == ("warn", False)
    assert "'mini' work" in hub["detail"]


def test_a_broken_setting_is_found_and_the_rest_is_still_looked_at(bge, monkeypatch):
    monkeypatch.setenv("BGE_REPLICAS", "none")
    result = bge("doctor", "--json")
    assert result.exit_code == 1
    checks = checks_of(result)
    assert checks["settings"]["status"] == "fail"
    assert "BGE_REPLICAS" in checks["settings"]["detail"]
    assert checks["mini"]["status"] == "ok"


def test_a_variable_that_nothing_reads_is_a_warning_with_the_near_name(bge, monkeypatch):
    for name, value in (("BGE_IDLE_S", "3"), ("BGE_DTYPE", "float32"), ("BGE_DEBUG", "1")):
        monkeypatch.setenv(name, value)
    assert {found.name: found for found in findings(ask_hub=False)}["settings"].status == "ok"
    monkeypatch.setenv("BGE_IDLE", "3")
    monkeypatch.setenv("BGE_COLOUR", "red")
    result = bge("doctor", "--offline", "--json")
    assert result.exit_code == 0
    check = checks_of(result)["settings"]
    assert check["status"] == "warn"
    assert "nothing reads BGE_IDLE, did you mean BGE_IDLE_S?" in check["detail"]
    assert (
        check["detail"].endswith("nothing reads BGE_COLOUR") or "nothing reads BGE_COLOUR;" in check["detail"]
    )


def test_one_broken_look_does_not_stop_the_others(monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("driver\nmissing")

    monkeypatch.setattr("bge_components.backends.available_devices", broken)
    found = {finding.name: finding for finding in findings(ask_hub=False)}
    assert found["devices"].status == "fail"
    assert found["devices"].detail == "RuntimeError: driver missing"
    assert "self-test" in found
