"""Inventories are read as ansible-inventory 2.19 reads them; the expected values were taken from it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from r1fleet.errors import InventoryError
from r1fleet.inventory import Inventory, beside, load, magic

TRICKY = """
all:
  vars: {x: all_inline, y: all_inline}
  children:
    gpu:
      children:
        b: {hosts: {h5: , h4: }}
        a: {hosts: {h3: , h4: }, vars: {x: a_inline, pri: a}}
    cpu:
      hosts: {h1: {z: 1}, h2: }
      vars: {y: cpu_inline, when: 2020-01-01, oct: 0644}
    zz:
      hosts: {h4: , h1: {z: 2}}
      vars: {pri: zz, x: zz}
  hosts:
    h0:
top:
  hosts: {"h[6:8:2].ex:2222": }
  vars: {ansible_group_priority: 3}
"""


def written(folder: Path, text: str, name: str = "cluster.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text), encoding="utf-8")
    return path


def read(folder: Path, text: str) -> Inventory:
    return load(written(folder, text))


def variables(inventory: Inventory, host: str) -> dict[str, object]:
    return dict(inventory.hosts[host].variables)


def test_hosts_and_groups_stand_in_ansibles_order(tmp_path: Path) -> None:
    inventory = read(tmp_path, TRICKY)
    assert inventory.name == "cluster"
    assert list(inventory.hosts) == ["h0", "h1", "h2", "h4", "h6.ex", "h8.ex", "h5", "h3"]
    assert inventory.groups["gpu"].hosts == ("h5", "h4", "h3")
    assert inventory.groups["all"].children == ("ungrouped", "gpu", "cpu", "zz", "top")
    assert inventory.groups["ungrouped"].hosts == ("h0",)
    assert inventory.groups["all"].hosts == tuple(inventory.hosts)
    assert inventory.hosts["h4"].groups == ("a", "b", "gpu", "zz")
    assert inventory.hosts["h0"].groups == ("ungrouped",)


def test_a_groups_own_hosts_come_first_then_level_by_level(tmp_path: Path) -> None:
    inventory = read(
        tmp_path,
        """
        all:
          children:
            p2:
              children: {deep: {children: {deeper: {hosts: {zz: , h1: }}}}, other: {hosts: {o1: }}}
              hosts: {h1: }
            one: {hosts: solo}
          hosts: {first: }
        other: {children: {deeper: }}
        """,
    )
    assert inventory.groups["all"].hosts == ("first", "h1", "solo", "o1", "zz")
    assert inventory.groups["p2"].hosts == ("h1", "o1", "zz")
    assert inventory.groups["other"].hosts == ("o1", "zz", "h1")
    assert inventory.hosts["zz"].groups == ("deep", "deeper", "other", "p2")


def test_variables_of_the_file_parents_first_deeper_groups_win(tmp_path: Path) -> None:
    inventory = read(tmp_path, TRICKY)
    assert variables(inventory, "h1") == {
        "oct": 420, "pri": "zz", "when": "2020-01-01", "x": "zz", "y": "cpu_inline", "z": 2,
    }  # fmt: skip
    assert variables(inventory, "h4") == {"pri": "a", "x": "a_inline", "y": "all_inline"}
    assert variables(inventory, "h6.ex") == {"ansible_port": 2222, "x": "all_inline", "y": "all_inline"}


def test_files_beside_the_inventory_win_over_its_groups_and_lose_to_its_hosts(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        all:
          vars: {a: inline_all, b: inline_all, c: inline_all, d: inline_all, e: inline_all, f: inline_all}
          children:
            gpu:
              vars: {b: inline_gpu, c: inline_gpu, d: inline_gpu, e: inline_gpu, f: inline_gpu}
              hosts:
                h1: {e: inline_h1, f: inline_h1}
        """,
    )
    written(tmp_path, "{c: file_all, d: file_all, e: file_all, f: file_all}", "group_vars/all.yml")
    written(tmp_path, "{d: file_gpu, e: file_gpu, f: file_gpu}", "group_vars/gpu.json")
    written(tmp_path, "f: file_h1\n", "host_vars/h1")
    assert variables(load(path), "h1") == {
        "a": "inline_all", "b": "inline_gpu", "c": "file_all", "d": "file_gpu", "e": "inline_h1", "f": "file_h1",
    }  # fmt: skip


def test_variables_beside_a_playbook_win_over_those_beside_the_inventory_of_the_same_kind(tmp_path: Path) -> None:
    path = written(tmp_path / "inventories", "gpu: {hosts: {h1: {e: inline_h1}}}\n")
    written(tmp_path / "inventories", "{a: i_all, b: i_all, c: i_all, d: i_all}", "group_vars/all.yml")
    written(tmp_path / "inventories", "{c: i_gpu, d: i_gpu}", "group_vars/gpu.yml")
    written(tmp_path / "plays", "{b: p_all, c: p_all, e: p_all}", "group_vars/all.yml")
    written(tmp_path / "plays", "{d: p_gpu}", "group_vars/gpu.yml")
    inventory = beside(load(path), tmp_path / "plays")
    assert variables(inventory, "h1") == {"a": "i_all", "b": "p_all", "c": "i_gpu", "d": "p_gpu", "e": "inline_h1"}
    assert variables(load(path), "h1")["d"] == "i_gpu"


def test_a_folder_of_variables_is_read_in_sorted_order(tmp_path: Path) -> None:
    path = written(tmp_path, "all: {hosts: {h1: }}\n")
    written(tmp_path, "{a: 1, b: 1, c: 1}", "host_vars/h1/10-first.yml")
    written(tmp_path, "{b: 2, c: 2}", "host_vars/h1/20-second.yaml")
    written(tmp_path, "{c: 3}", "host_vars/h1/30-more/deep")
    written(tmp_path, "{a: hidden}", "host_vars/h1/.40.yml")
    written(tmp_path, "{a: backup}", "host_vars/h1/50.yml~")
    written(tmp_path, "a text", "host_vars/h1/60.txt")
    written(tmp_path, "{a: shadowed}", "host_vars/h1.yml")
    inventory = load(path)
    assert variables(inventory, "h1") == {"a": 1, "b": 2, "c": 3}
    assert inventory.warnings == (
        f"{tmp_path}/host_vars/h1.yml is not read, because {tmp_path}/host_vars/h1 is there; keep one of them",
    )


def test_group_priority_decides_at_the_same_depth(tmp_path: Path) -> None:
    text = """
    a: {hosts: {h1: }, vars: {x: a, ansible_group_priority: 10}}
    b: {hosts: {h1: }, vars: {x: b}}
    """
    inventory = read(tmp_path, text)
    assert variables(inventory, "h1") == {"x": "a"}
    assert variables(read(tmp_path, text.replace(", ansible_group_priority: 10", "")), "h1") == {"x": "b"}


def test_of_two_values_for_one_host_the_later_line_wins(tmp_path: Path) -> None:
    inventory = read(tmp_path, "all:\n  hosts: {h1: {x: 1}}\n  children: {a: {hosts: {h1: {x: 2}}}}\n")
    assert variables(inventory, "h1") == {"x": 2}
    inventory = read(tmp_path, "all:\n  children: {a: {hosts: {h1: {x: 2}}}}\n  hosts: {h1: {x: 1}}\n")
    assert variables(inventory, "h1") == {"x": 1}


def test_mappings_replace_each_other_whole(tmp_path: Path) -> None:
    inventory = read(tmp_path, "all: {vars: {m: {a: 1}}, hosts: {h1: {m: {b: 2}}}}\n")
    assert variables(inventory, "h1") == {"m": {"b": 2}}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("node[01:03].example", ["node01.example", "node02.example", "node03.example"]),
        ("node[01:16:5]", ["node01", "node06", "node11", "node16"]),
        ("n[8:10]", ["n8", "n9", "n10"]),
        ("n[:2]", ["n0", "n1", "n2"]),
        ("h[a:c]", ["ha", "hb", "hc"]),
        ("r[1:2]n[a:b]", ["r1na", "r1nb", "r2na", "r2nb"]),
        ("192.168.114.[10:11]", ["192.168.114.10", "192.168.114.11"]),
        ("2001:db8::1", ["2001:db8::1"]),
        ("[2001:db8::1]", ["2001:db8::1"]),
    ],
)
def test_ranges(tmp_path: Path, pattern: str, names: list[str]) -> None:
    assert list(read(tmp_path, f'all: {{hosts: {{"{pattern}": {{x: 1}}}}}}').hosts) == names


@pytest.mark.parametrize(("written_as", "port"), [("h1:2222", 2222), ("[2001:db8::1]:22", 22), ("h[1:2]:99", 99)])
def test_a_host_may_carry_its_port(tmp_path: Path, written_as: str, port: int) -> None:
    inventory = read(tmp_path, f'all: {{hosts: {{"{written_as}": }}}}')
    assert {host.variables["ansible_port"] for host in inventory.hosts.values()} == {port}


def test_localhost_is_there_without_being_named(tmp_path: Path) -> None:
    written(tmp_path, "{x: 1, ansible_connection: ssh}", "group_vars/all.yml")
    inventory = read(tmp_path, "all: {hosts: {h1: }}")
    local = inventory.host("localhost")
    assert local.is_local
    assert local.variables["x"] == 1
    assert "localhost" not in inventory.hosts
    assert [host.name for host in inventory.select("localhost")] == ["localhost"]
    assert not load(written(tmp_path, "all: {hosts: {localhost: }}")).host("localhost").is_local
    with pytest.raises(InventoryError, match='no host "h2"') as caught:
        inventory.host("h2")
    assert caught.value.hint == "there is only h1"


def test_magic_variables(tmp_path: Path) -> None:
    inventory = read(tmp_path, "gpu: {hosts: {h1.ex: , h2.ex: }}\nrack: {children: {gpu: }}\n")
    assert magic(inventory, inventory.hosts["h1.ex"]) == {
        "groups": {
            "all": ["h1.ex", "h2.ex"], "ungrouped": [], "gpu": ["h1.ex", "h2.ex"], "rack": ["h1.ex", "h2.ex"],
        },
        "group_names": ["gpu", "rack"],
        "inventory_hostname": "h1.ex",
        "inventory_hostname_short": "h1",
        "inventory_dir": str(tmp_path),
        "inventory_file": str(tmp_path / "cluster.yaml"),
    }  # fmt: skip


def test_a_group_named_like_a_host_is_a_warning(tmp_path: Path) -> None:
    inventory = read(tmp_path, "gpu:\n  hosts:\n    gpu:\n")
    assert inventory.warnings == (f"{tmp_path}/cluster.yaml:1:1: gpu is both a group and a host",)


@pytest.mark.parametrize(
    ("text", "line", "what", "hint"),
    [
        ("", None, "the inventory is empty", "all:"),
        ("# nothing\n---\n", None, "the inventory is empty", "all:"),
        ("- h1\n", 1, "must be a mapping of groups", "all:"),
        ("[gpu]\nh1\n", 1, "written as INI", "YAML"),
        ("h1 ansible_host=10.0.0.1\n", 1, "written as INI", "YAML"),
        ("all:\n  hosts:\n\t  h1:\n", 3, "not valid YAML", "spaces"),
        ("all:\n  hosts: [h1]\n", 2, "`hosts` of group all must be a mapping", "`node1:`"),
        ("all:\n  host: {h1: }\n", 2, "unknown key `host` in group all", "`hosts`"),
        ("all:\n  node1: {}\n", 2, "unknown key `node1` in group all", "below `hosts:`"),
        ("gpu: h1\n", 1, "group gpu must be a mapping", "hosts"),
        ("hosts: {h1: }\n", 1, "`hosts` stands outside of any group", "`all:`"),
        ("all:\n  hosts:\n    h1: 10.0.0.1\n", 3, "the variables of host h1 must be a mapping", "name: value"),
        ("all:\n  hosts:\n    10: {}\n", 3, "10 is no host name", "quotes"),
        ("all:\n  hosts:\n    a b: {}\n", 3, "'a b' is no host name", "one word"),
        ("all:\n  vars: {1: x}\n", 2, "1 is no variable name", "quotes"),
        ("all:\n  hosts:\n    h1: {ansible_port: ssh}\n", 3, "ansible_port is 'ssh'", "number"),
        ("all:\n  hosts:\n    h1: {ansible_port: 70000}\n", 3, "ansible_port is 70000", "65535"),
        ("all:\n  hosts:\n    h1:70000:\n", 3, "70000 is no port", "65535"),
        ("all:\n  hosts:\n    h[1:2: {}\n", 3, "bracket without its twin", "[1:16]"),
        ("all:\n  hosts:\n    h[3:1]: {}\n", 3, "counts down", "[1:3]"),
        ("all:\n  hosts:\n    h[01:100]: {}\n", 3, "different lengths", "zeros"),
        ("all:\n  hosts:\n    h[1:x]: {}\n", 3, "[1:x] is no range", "[a:f]"),
        ("all:\n  hosts:\n    h[1:9:0]: {}\n", 3, "[1:9:0] is no range", "[1:16:2]"),
        ("all:\n  hosts:\n    h[1:99999999999]: {}\n", 3, "more than 65536 hosts", ""),
        ("all:\n  hosts:\n    h[1:999][1:999]: {}\n", 3, "more than 65536 hosts", ""),
        ("a: {vars: {ansible_group_priority: high}}\n", 1, "ansible_group_priority is 'high'", "number"),
        (
            "a:\n  children:\n    b:\nb:\n  children:\n    c:\nc:\n  children:\n    a:\n",
            9,
            "a -> b -> c -> a",
            "own child",
        ),
        ("a:\n  children:\n    all:\n", 3, "cycle", "own child"),
        ("a:\n  children:\n    a:\n", 3, "a -> a", "own child"),
        ("all: {hosts: {h1: }}\nall: {}\n", 2, '"all" is given twice', "keep one"),
    ],
)
def test_bad_input_is_one_clear_error(tmp_path: Path, text: str, line: int | None, what: str, hint: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InventoryError) as caught:
        load(path)
    error = caught.value
    assert what in error.what
    assert hint in (error.hint or "")
    assert error.where is not None
    assert (error.where.path, error.where.line) == (str(path), line)


def test_two_addresses_for_one_host_name_both_places(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """\
        a: {hosts: {h1: {ansible_host: 10.0.0.1}}}
        b:
          hosts:
            h1: {ansible_host: 10.0.0.2}
        """,
    )
    with pytest.raises(InventoryError) as caught:
        load(path)
    assert caught.value.what == (
        f"host h1 has two addresses: ansible_host is 10.0.0.1 at {path}:1:18 and 10.0.0.2 here"
    )
    assert (caught.value.where and caught.value.where.line) == 4
    same = read(tmp_path, "a: {hosts: {h1: {ansible_host: x}}}\nb: {hosts: {h1: {ansible_host: x}}}\n")
    assert same.hosts["h1"].address == "x"


def test_a_missing_inventory_names_those_nearby(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "all:", "inventories/h200.yaml")
    written(tmp_path, "all:", "inventories/lab.yaml")
    with pytest.raises(InventoryError, match="no such inventory: inventories/h20") as caught:
        load("inventories/h20.yaml")
    assert caught.value.hint == "there is inventories/h200.yaml"
    with pytest.raises(InventoryError) as caught:
        load("inventories")
    assert caught.value.what == "a folder is no inventory: one file is one cluster"
    assert caught.value.hint == "name one of inventories/h200.yaml, inventories/lab.yaml"


def test_host_lists_and_programs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match='"h1," is a list of hosts'):
        load("h1,")
    path = written(tmp_path, "#!/bin/sh\necho\n", "dynamic")
    path.chmod(0o755)
    with pytest.raises(InventoryError, match="a program is not run"):
        load(path)


def test_bad_files_of_variables_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, "all: {hosts: {h1: }}\n")
    bad = written(tmp_path, "- a\n", "group_vars/all.yml")
    with pytest.raises(InventoryError, match="must be a mapping of names") as caught:
        load(path)
    assert caught.value.where is not None
    assert caught.value.where.path == str(bad)
