"""What a vault holds: opened with the right password, and never shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1fleet.cli import main as cli
from r1fleet.errors import FleetError, InventoryError, UsageError, Where
from r1fleet.inventory import vault
from r1fleet.inventory.source import load_yaml_text
from tests.plays import Project

# Made by ansible-vault; the password is "open sesame", that of the labelled one "other".
TEXT = """\
$ANSIBLE_VAULT;1.1;AES256
32336339303639343562616664306462613430353833613965396438303666303763373132306430
3533663064656337323630643934383330313934663536390a613562623934303861336565653632
61646330333666616537383533616330353839663436343638346666333735643832633366663761
3632346432656532340a306336363165636133663932646139623632316362366430656238373930
63386537343336636233663664383366643736396439643132303036633439633237
"""
LABELLED = """\
$ANSIBLE_VAULT;1.2;AES256;lab
33333039626231386664353061393331313862653230313163663537623561326134323066383335
6435373262346539346664316338346437666162393438620a613234376566336431383537633466
30313761626239663863316364396131316564623331633835623539346462643733323631653432
6138656464353832300a643161303863326564313830666134363665666630333632316464366465
6536
"""
VARIABLES = """\
$ANSIBLE_VAULT;1.1;AES256
65616163613937393636366462643633646639306634326134653835316634373736346662666266
3537343131356538306363313637366432666330656164380a333336323461326534363636636566
65393661303565383037626565363438336536396232643437356636656632313839326462313766
3134336331646330610a616439313932313035643337363166306630343936616439336435376235
39303361376462656536363265346130366537313135393737336230666563343230326331383634
6537393237636234383965383763643331646332666635333833
"""
BROKEN = """\
$ANSIBLE_VAULT;1.1;AES256
31633962653564653764306235353039323363623635386161663635333836306539356133666366
6163353432386262313436653365393965643965336134360a373531623563353434336435623866
39633636316631663736386130396262366536613533666662353633643436376531356336313163
3930363136343136320a383137346566626334323931613633633932626539356335643434623963
61363162333237636538376465313364346333613134666336633030613832623566323039316230
3336643262643830613463346166666161343034393763333030
"""
TEMPLATE = """\
$ANSIBLE_VAULT;1.1;AES256
31666566363138353266386466353265393038623962356361306463343863343265613965616166
3365343862633262613964623264313333643564653964340a356666316635626137623064336338
37373833393664343732383061613037326465313731636334376339343366346666396365646661
3132623730363832640a616235333732333734383739363063303863333463646330656433383764
36633464303364313966623936386530313562313064303564343834346564356161
"""


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[vault.Keyring]:
    monkeypatch.delenv(vault.PASSWORD_FILE, raising=False)
    vault.keyring.cache_clear()
    keys = vault.keyring()
    keys.passwords = (vault.Password(b"open sesame"),)
    yield keys
    vault.keyring.cache_clear()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, hosts=1)


def tagged(text: str, indent: int) -> str:
    return "!vault |\n" + "".join(f"{' ' * indent}{line}\n" for line in text.splitlines())


def test_a_value_is_decrypted_where_it_is_used_and_is_no_template(project: Project) -> None:
    project.write("inventories/group_vars/all.yaml", f"secret: {tagged(TEXT, 2)}box: {{inner: 1}}\n")
    told = project.tasks("""
        - {name: alone, debug: {msg: "{{ secret }}"}}
        - {name: mixed, debug: {msg: "<{{ secret | upper }}>"}}
        - {name: near, debug: {msg: "{{ hostvars['h1'].secret[:3] }}"}}
    """)
    assert told.messages() == ["two {{ 1 + 1 }} hunter2secret", "<TWO {{ 1 + 1 }} HUNTER2SECRET>", "two"]


def test_values_inside_of_lists_and_mappings_are_decrypted(project: Project) -> None:
    project.write("inventories/group_vars/all.yaml", f"box:\n  list:\n    - {tagged(TEXT, 6)}")
    told = project.tasks("- {name: one, debug: {msg: '{{ box }}'}}")
    assert told.messages() == [{"list": ["two {{ 1 + 1 }} hunter2secret"]}]


def test_a_file_encrypted_as_a_whole_is_read_and_its_templates_are_rendered(project: Project) -> None:
    project.write("playbooks/vars/secret.yaml", VARIABLES)
    told = project.tasks("""
        - include_vars: secret.yaml
        - {name: one, debug: {msg: "{{ other }}"}}
    """)
    assert told.messages()[-1] == "deep secret text!"


def test_encrypted_files_are_decrypted_on_their_way_to_hosts(project: Project) -> None:
    project.write("playbooks/files/blob", TEXT)
    project.write("playbooks/templates/note.j2", TEMPLATE)
    told = project.tasks("""
        - copy: {src: blob, dest: /x}
        - copy: {src: blob, dest: /y, decrypt: false}
        - template: {src: note.j2, dest: /z}
        - {name: looked up, debug: {msg: "{{ lookup('file', 'blob') }}"}}
    """)
    sent = []
    for _, call in told.transport.calls:
        with call.blobs[0].open() as stream:
            sent.append(stream.read())
    assert sent == [b"two {{ 1 + 1 }} hunter2secret", TEXT.encode(), b"rendered 1\n"]
    assert told.messages() == ["two {{ 1 + 1 }} hunter2secret"]


def test_a_wrong_password_is_told_with_the_place(project: Project, keys: vault.Keyring) -> None:
    keys.passwords = (vault.Password(b"guess", "prod"),)
    path = project.write("inventories/group_vars/all.yaml", f"plain: 1\nsecret: {tagged(TEXT, 2)}")
    told = project.tasks("- {name: one, debug: {msg: '{{ secret }}'}}")
    assert told.result("one")["msg"] == f"the vault password is wrong for this ({path}:2:9)"
    assert told.result("one")["hint"] == "passwords tried: prod"


def test_without_a_password_the_hint_says_how_to_give_one(keys: vault.Keyring) -> None:
    keys.passwords = ()
    with pytest.raises(InventoryError, match="no vault password is given") as caught:
        load_yaml_text(VARIABLES, "vars.yaml", "variables")
    assert caught.value.where == Where("vars.yaml", 1)
    assert "--ask-vault-pass" in str(caught.value.hint)


def test_an_id_chooses_the_password_and_any_other_may_fit(keys: vault.Keyring) -> None:
    keys.passwords = (vault.Password(b"open sesame"), vault.Password(b"other", "lab"))
    assert keys.open(LABELLED, Where("x")) == b"labelled secret"
    keys.opened.clear()
    keys.passwords = (vault.Password(b"other", "elsewhere"),)
    assert keys.open(LABELLED, Where("x")) == b"labelled secret"
    keys.opened.clear()
    keys.passwords = (vault.Password(b"no", "lab"),)
    with pytest.raises(InventoryError, match="its vault id is lab"):
        keys.open(LABELLED, Where("x"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("$ANSIBLE_VAULT;1.0;AES\n61\n", "format is not supported"),
        ("$ANSIBLE_VAULT;1.1;AES256\n6162\n", "damaged"),
        ("$ANSIBLE_VAULT;1.1;AES256\nxyz\n", "damaged"),
        (TEXT.replace("3", "4"), "wrong|damaged"),
    ],
)
def test_what_is_no_sound_vault_is_told(keys: vault.Keyring, text: str, words: str) -> None:
    with pytest.raises(InventoryError, match=words):
        keys.open(text, Where("x", 1))


def test_no_error_shows_what_was_decrypted(project: Project) -> None:
    project.write("inventories/group_vars/all.yaml", f"secret: {tagged(TEXT, 2)}")
    told = project.tasks("""
        - {name: one, debug: {msg: "{{ secret | from_json }}"}, ignore_errors: true}
        - {name: two, debug: {msg: "{{ {}[secret] }}"}, ignore_errors: true}
        - {name: three, debug: {msg: x}, loop: "{{ secret }}", ignore_errors: true}
        - {name: four, template: {src: "{{ secret }}", dest: /x}, ignore_errors: true}
    """)
    said = [f"{told.result(name)['msg']} {told.result(name).get('hint')}" for name in ("one", "two", "three", "four")]
    assert "hunter2" not in " ".join(said)


def test_a_broken_encrypted_file_is_not_shown() -> None:
    with pytest.raises(FleetError, match="what is encrypted here is not valid YAML") as caught:
        load_yaml_text(BROKEN, "vars.yaml", "variables")
    assert "deep" not in str(caught.value)
    assert caught.value.where is not None
    assert caught.value.where.path == "vars.yaml"


def test_a_password_file_may_be_a_script_and_the_environment_may_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "keys-client"
    script.write_text('#!/bin/sh\n[ "$1 $2" = "--vault-id lab" ] && echo for lab || echo open sesame\n')
    script.chmod(0o700)
    assert vault.read_identity(f"lab@{script}", lambda _: "").text == b"for lab"
    monkeypatch.setenv(vault.PASSWORD_FILE, os.fspath(script))
    vault.keyring.cache_clear()
    assert vault.keyring().open(VARIABLES, Where("x")).startswith(b"whole:")


def test_a_prompt_asks_with_the_label() -> None:
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return " typed \n"

    assert vault.read_identity("lab@prompt", ask) == vault.Password(b"typed", "lab")
    assert asked == ["Vault password (lab)"]


@pytest.mark.parametrize("content", [None, "", "#!/bin/sh\nexit 3\n"])
def test_a_password_file_that_gives_none_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "pw"
    if content is not None:
        path.write_text(content)
        path.chmod(0o700 if content else 0o600)
    with pytest.raises(UsageError, match="vault password"):
        vault.read_password(path)


def test_play_opens_what_is_encrypted_with_the_password_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], keys: vault.Keyring
) -> None:
    keys.passwords = ()
    (tmp_path / "pw").write_text("open sesame\n")
    site = tmp_path / "site.yaml"
    site.write_text(f"""
- hosts: localhost
  gather_facts: false
  vars:
    secret: {tagged(TEXT, 6)}
  tasks:
    - {{name: one, debug: {{msg: "{{{{ secret[:3] }}}}"}}}}
""")
    assert cli.run(["play", str(site), "--vault-password-file", str(tmp_path / "pw")]) == 0
    assert "two" in capsys.readouterr().out
    vault.keyring.cache_clear()
    assert cli.run(["play", str(site)]) == 2
    assert "no vault password is given" in capsys.readouterr().out
