"""Governors, boost, heat and clock on made-up machines."""

from pathlib import Path

from slipstream.host import power
from tests.host.machines import server, tree


def test_every_core_is_counted(tmp_path: Path) -> None:
    files = server(4)
    files["sys/devices/system/cpu/cpu3/cpufreq/scaling_governor"] = "powersave\n"
    found = power.read(tree(tmp_path, files))
    assert found.governors == {"performance": 7, "powersave": 1}
    assert found.energy_preferences == {"performance": 8}
    assert found.caps_mhz == {"4509": 8}
    assert (found.driver, found.boost, found.throttled) == ("amd-pstate-epp", True, 8)


def test_heat_is_the_cpu_s_not_the_disk_s(tmp_path: Path) -> None:
    assert power.read(tree(tmp_path, server())).temperature == 64.25


def test_thermal_zones_stand_in_for_sensors(tmp_path: Path) -> None:
    files = {
        "sys/class/thermal/thermal_zone0/type": "acpitz\n",
        "sys/class/thermal/thermal_zone0/temp": "99000\n",
        "sys/class/thermal/thermal_zone1/type": "x86_pkg_temp\n",
        "sys/class/thermal/thermal_zone1/temp": "47000\n",
    }
    assert power.read(tree(tmp_path, files)).temperature == 47.0


def test_intel_s_switch_is_the_other_way_round(tmp_path: Path) -> None:
    root = tree(tmp_path, {"sys/devices/system/cpu/intel_pstate/no_turbo": "1\n"})
    assert power.read(root).boost is False


def test_a_machine_that_says_nothing_is_not_guessed_at(tmp_path: Path) -> None:
    assert power.read(tmp_path) == power.Power(None, None, None, None, None, None, None)
    assert power.nominal_ghz(tmp_path) is None


def test_the_nominal_clock(tmp_path: Path) -> None:
    root = tree(tmp_path, server())
    assert power.nominal_ghz(root) == 2.5
    tree(tmp_path, {"sys/devices/system/cpu/cpu0/cpufreq/base_frequency": "2600000\n"})
    assert power.nominal_ghz(root) == 2.6
