"""``sji-edge engine``: looking at bundles, proving them here, and carrying them to another machine."""

from pathlib import Path
from typing import Annotated

import typer

engine = typer.Typer(
    name="engine",
    no_args_is_help=True,
    help="List, show, verify, sign, pack and unpack engine bundles.",
)

Bundle = Annotated[Path | None, typer.Argument(help="Engine bundle; default: the newest released one.")]
Engines = Annotated[Path, typer.Option(help="Folder of all engines.")]
PublicKey = Annotated[
    Path | None,
    typer.Option("--require-signature", help="Public key (PEM); refuse a bundle that it did not sign."),
]
Passphrase = Annotated[bool, typer.Option("--passphrase", help="Ask for the private key's passphrase.")]
ENGINES = Path("engines")
REBUILD_HERE = "rebuild it on this machine"


@engine.command("list")
def list_engines(engines: Engines = ENGINES) -> None:
    """List the bundles of a folder, and say of each whether it can be used here.

    Example: `sji-edge engine list`
    """
    from sji_edge.cli.render.engine import print_engines
    from sji_edge.core.errors import UsageError

    found = sorted(path for path in engines.glob("*") if path.is_dir() and not path.name.startswith("."))
    if not found:
        raise UsageError(f"no engine in {engines}", hint="make one with sji-edge build-engine")
    print_engines(found)


@engine.command()
def show(bundle: Bundle = None, engines: Engines = ENGINES) -> None:
    """Show what a bundle says of itself: model, thresholds, parity, files, and what was tried.

    Example: `sji-edge engine show engines/demo`
    """
    from sji_edge.cli.render.engine import print_engine
    from sji_edge.runtime.bundle.bundle import verify_bundle
    from sji_edge.workflows.artifacts import released_engine

    print_engine(verify_bundle(released_engine(bundle, engines).folder, require_released=False))


@engine.command()
def verify(
    bundle: Bundle = None,
    require_signature: PublicKey = None,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: the backend chooses.")] = 0,
    engines: Engines = ENGINES,
) -> None:
    """Prove a bundle on this machine: hashes, signature, compatibility, and its golden crops judged again.

    Needs no PyTorch: the golden crops carry its logits. Exit 3 when a verdict differs or the bundle is not
    released, 5 when it is altered, not signed by the key, or cannot run here.

    Example: `sji-edge engine verify engines/demo --require-signature line.pub.pem`
    """
    from rich.markup import escape

    from sji_edge.cli.render.common import console
    from sji_edge.cli.render.parity import print_parity
    from sji_edge.core.errors import GateError
    from sji_edge.parity.crops import golden_joints
    from sji_edge.parity.run import run_parity
    from sji_edge.runtime.bundle.bundle import environment_changes, open_bundle
    from sji_edge.workflows.artifacts import released_engine

    opened = open_bundle(
        released_engine(bundle, engines).folder, require_released=False, require_signature=require_signature
    )
    terminal = console()
    signed = f", signed by {require_signature}" if require_signature else ""
    terminal.print(escape(f"files: {len(opened.manifest.files)} as written{signed}"))
    changes = environment_changes(opened)
    terminal.print("machine: " + ("the one that it was proven on" if not changes else "another"))
    for change in changes:
        terminal.print(f"  - {change}", markup=False)
    report = run_parity(opened, golden_joints(opened), threads)
    print_parity(report, f"{opened.manifest.name} on golden crops, here")
    failures = [*report.result.failures]
    if not opened.manifest.released:
        failures.insert(0, "it was never released")
    if failures:
        proven = report.result and opened.manifest.waits_for_device
        hint = f"release it here: sji-edge engine release {opened.folder}" if proven else REBUILD_HERE
        raise GateError(f"{opened.folder} fails: {'; '.join(failures)}", hint=hint)


@engine.command()
def release(
    bundle: Annotated[Path, typer.Argument(help="Engine bundle, released elsewhere or not at all.")],
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make the engine anew from the bundle's graph, for this device.")
    ] = False,
    name: Annotated[str, typer.Option(help="Name of the new bundle; default: NAME-DEVICE.")] = "",
    require_signature: PublicKey = None,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: the backend chooses.")] = 0,
) -> None:
    """Prove an engine on this machine and release it here, as a bundle of its own; exit 3 when its gate fails.

    An engine that was built ahead of time for a card that was not there waits for this. Needs no PyTorch: the
    golden crops carry its logits. The thresholds are carried over to this engine's own scores.

    Example: `sji-edge engine release engines/demo-tensorrt-rtx-int8`
    """
    from sji_edge.cli.render.common import console
    from sji_edge.cli.render.parity import print_parity
    from sji_edge.cli.render.tensorrt import say_build
    from sji_edge.core.errors import GateError
    from sji_edge.core.extras import require
    from sji_edge.runtime.bundle.bundle import verify_bundle
    from sji_edge.workflows.engines.prove_here import adopt

    require("onnx", purpose="sji-edge engine release")
    verified = verify_bundle(bundle, require_released=False, require_signature=require_signature)
    with console().status("proving") as status:
        built = adopt(
            verified, rebuild=rebuild, name=name, threads=threads, step=lambda text: status.update(text)
        )
    say_build(built.bundle.manifest.build)
    print_parity(built.report, built.bundle.manifest.name)
    if not built.bundle.manifest.released:
        raise GateError(
            f"{built.bundle.folder} is not released: {'; '.join(built.report.result.failures)}",
            hint="build a wider precision with sji-edge build-engine",
        )
    console().print(f"released: {built.bundle.folder}", markup=False)


@engine.command()
def pack(
    bundle: Bundle = None,
    archive: Annotated[
        Path | None, typer.Argument(help="NAME.tar.zst or NAME.zip; default: ENGINE.tar.zst here.")
    ] = None,
    require_signature: PublicKey = None,
    engines: Engines = ENGINES,
) -> None:
    """Write a verified bundle into one file, to carry it to another machine.

    Example: `sji-edge engine pack engines/demo demo.tar.zst`
    """
    from sji_edge.cli.render.common import console
    from sji_edge.runtime.bundle.archive import pack as pack_bundle
    from sji_edge.workflows.artifacts import released_engine

    folder = released_engine(bundle, engines).folder
    target = archive or Path(f"{folder.resolve().name}.tar.zst")
    pack_bundle(folder, target, require_signature=require_signature)
    console().print(f"packed: {target} ({target.stat().st_size / 1e6:.2f} MB)", markup=False)


@engine.command()
def unpack(
    archive: Annotated[Path, typer.Argument(help="A .tar.zst or .zip of sji-edge engine pack.")],
    name: Annotated[str, typer.Option(help="Name of the new bundle; default: the archive's.")] = "",
    require_signature: PublicKey = None,
    engines: Engines = ENGINES,
) -> None:
    """Unpack a bundle into engines/; it appears there only after it is verified.

    Example: `sji-edge engine unpack demo.tar.zst --require-signature line.pub.pem`
    """
    from sji_edge.cli.render.common import console
    from sji_edge.cli.render.engine import state_of
    from sji_edge.runtime.bundle.archive import unpack as unpack_bundle

    bundle = unpack_bundle(archive, engines, name, require_signature=require_signature)
    console().print(f"unpacked: {bundle.folder} ({state_of(bundle)})", markup=False)
    step = "release" if bundle.manifest.waits_for_device else "verify"
    console().print(f"next: sji-edge engine {step} {bundle.folder}", markup=False)


@engine.command()
def sign(
    bundle: Annotated[Path, typer.Argument(help="Engine bundle.")],
    key: Annotated[Path, typer.Option(help="Private key of sji-edge engine keygen (Ed25519, PEM).")],
    passphrase: Passphrase = False,
) -> None:
    """Sign a released bundle: its manifest, which pins the hash of every file.

    Example: `sji-edge engine sign engines/demo --key line.pem`
    """
    from sji_edge.cli.render.common import console
    from sji_edge.runtime.bundle.bundle import verify_bundle
    from sji_edge.runtime.bundle.signature import sign as sign_bundle

    verified = verify_bundle(bundle)
    name = sign_bundle(bundle, verified.manifest_bytes, key, _ask(passphrase))
    console().print(f"signed: {bundle} with key {name}", markup=False)


@engine.command()
def keygen(
    private: Annotated[Path, typer.Argument(help="Where the private key goes: NAME.pem.")],
    passphrase: Passphrase = False,
) -> None:
    """Make a pair of keys; the private one stays where engines are released, the public one goes to the edge.

    Example: `sji-edge engine keygen line.pem`
    """
    from sji_edge.cli.render.common import console
    from sji_edge.runtime.bundle.signature import make_keys

    public, name = make_keys(private, _ask(passphrase, confirm=True))
    console().print(f"private key: {private} (keep it secret)\npublic key: {public} ({name})", markup=False)


def _ask(wanted: bool, confirm: bool = False) -> bytes | None:
    if not wanted:
        return None
    text: str = typer.prompt("passphrase", hide_input=True, confirmation_prompt=confirm)
    return text.encode()
