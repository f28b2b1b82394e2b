"""``sji-edge engine``: lists, shows, verifies, releases, packs, unpacks and signs engines."""

from pathlib import Path
from typing import Annotated

import typer

from sji_edge.cli.options import ENGINES, EngineBundle, Engines, PublicKey, Threads

engine = typer.Typer(
    name="engine",
    no_args_is_help=True,
    help="List, show, verify, release, sign, pack and unpack engines.",
)

NamedBundle = Annotated[Path, typer.Argument(metavar="ENGINE", help="Engine folder.")]
Passphrase = Annotated[bool, typer.Option("--passphrase", help="Ask for the private key's passphrase.")]


@engine.command("list")
def list_engines(engines: Engines = ENGINES) -> None:
    """List the engines in a folder, and say for each whether it can be used here.

    Example: `sji-edge engine list`
    """
    from sji_edge.cli.render.engine import print_engines
    from sji_edge.workflows.engines import manage

    print_engines(manage.list_engines(engines))


@engine.command()
def show(bundle: EngineBundle = None, engines: Engines = ENGINES) -> None:
    """Show an engine's manifest: model, limits, parity, files, and every attempt of the build.

    Example: `sji-edge engine show engines/demo`
    """
    from sji_edge.cli.render.engine import print_engine
    from sji_edge.workflows.engines.manage import shown_engine

    print_engine(shown_engine(bundle, engines))


@engine.command()
def verify(
    bundle: EngineBundle = None,
    require_signature: PublicKey = None,
    threads: Threads = 0,
    engines: Engines = ENGINES,
) -> None:
    """Verify an engine on this machine: hashes, signature, compatibility, and a replay of its golden crops.

    Needs no PyTorch: the golden crops carry its logits. Exit 3 if a verdict differs or the engine is not released, 5
    if it is altered, not signed by the key, or cannot run here.

    Example: `sji-edge engine verify engines/demo --require-signature line.pub.pem`
    """
    from sji_edge.cli.render.engine import print_verified
    from sji_edge.workflows.engines.manage import verify_engine

    verified = verify_engine(bundle, engines=engines, require_signature=require_signature, threads=threads)
    print_verified(verified, require_signature)
    verified.require_pass()


@engine.command()
def release(
    bundle: NamedBundle,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Rebuild the engine for this device, from the graph in its folder."),
    ] = False,
    name: Annotated[str, typer.Option(help="Name of the new engine's folder; default: NAME-DEVICE.")] = "",
    require_signature: PublicKey = None,
    threads: Threads = 0,
) -> None:
    """Prove an engine on this machine and release it into its own folder; exit 3 if it fails its gate.

    Use it on the machine with the card for an engine that was built ahead of time. Needs no PyTorch: the golden crops
    carry its logits. The limits are adapted to the new engine's own scores.

    Example: `sji-edge engine release engines/demo-tensorrt-rtx-int8`
    """
    from sji_edge.cli.render.console import console
    from sji_edge.cli.render.parity import print_parity
    from sji_edge.cli.render.tensorrt import say_build
    from sji_edge.core.extras import require

    require("onnx", purpose="sji-edge engine release")
    from sji_edge.workflows.engines.prove_here import release_here

    with console().status("proving") as status:
        built = release_here(
            bundle,
            rebuild=rebuild,
            name=name,
            require_signature=require_signature,
            threads=threads,
            progress=status.update,
        )
    say_build(built.bundle.manifest.build)
    print_parity(built.report, built.bundle.manifest.name)
    built.require_release()
    console().print(f"released: {built.folder}", markup=False)


@engine.command()
def pack(
    bundle: EngineBundle = None,
    archive: Annotated[
        Path | None,
        typer.Argument(help="Archive to write, NAME.tar.zst or NAME.zip; default: ENGINE.tar.zst here."),
    ] = None,
    require_signature: PublicKey = None,
    engines: Engines = ENGINES,
) -> None:
    """Pack a verified engine into one file, to carry it to another machine.

    Example: `sji-edge engine pack engines/demo demo.tar.zst`
    """
    from sji_edge.cli.render.console import console
    from sji_edge.workflows.engines.manage import pack_engine

    target = pack_engine(bundle, archive, engines=engines, require_signature=require_signature)
    console().print(f"packed: {target} ({target.stat().st_size / 1e6:.2f} MB)", markup=False)


@engine.command()
def unpack(
    archive: Annotated[Path, typer.Argument(help="Archive written by sji-edge engine pack.")],
    name: Annotated[
        str, typer.Option(help="Name of the new engine's folder; default: the archive's name.")
    ] = "",
    require_signature: PublicKey = None,
    engines: Engines = ENGINES,
) -> None:
    """Unpack an engine into engines/; its folder appears only after the engine is verified.

    Example: `sji-edge engine unpack demo.tar.zst --require-signature line.pub.pem`
    """
    from sji_edge.cli.render.console import console
    from sji_edge.runtime.bundle.archive import unpack as unpack_bundle
    from sji_edge.workflows.engines.manage import state_of

    bundle = unpack_bundle(archive, engines, name, require_signature=require_signature)
    console().print(f"unpacked: {bundle.folder} ({state_of(bundle)})", markup=False)
    step = "release" if bundle.manifest.waits_for_device else "verify"
    console().print(f"next: sji-edge engine {step} {bundle.folder}", markup=False)


@engine.command()
def sign(
    bundle: NamedBundle,
    key: Annotated[
        Path, typer.Option(help="Private Ed25519 key (PEM file) written by sji-edge engine keygen.")
    ],
    passphrase: Passphrase = False,
) -> None:
    """Sign a released engine: its manifest, which holds the hash of every file.

    Example: `sji-edge engine sign engines/demo --key line.pem`
    """
    from sji_edge.cli.render.console import console
    from sji_edge.workflows.engines.manage import sign_engine

    name = sign_engine(bundle, key, _ask(passphrase))
    console().print(f"signed: {bundle} with key {name}", markup=False)


@engine.command()
def keygen(
    private: Annotated[Path, typer.Argument(help="File for the private key, NAME.pem.")],
    passphrase: Passphrase = False,
) -> None:
    """Make a key pair: the private key stays where engines are released, the public key goes to the edge.

    Example: `sji-edge engine keygen line.pem`
    """
    from sji_edge.cli.render.console import console
    from sji_edge.core.extras import require

    require("cryptography", purpose="sji-edge engine keygen")
    from sji_edge.runtime.bundle.signature import make_keys

    public, name = make_keys(private, _ask(passphrase, confirm=True))
    console().print(f"private key: {private} (keep it secret)\npublic key: {public} ({name})", markup=False)


def _ask(wanted: bool, confirm: bool = False) -> bytes | None:
    if not wanted:
        return None
    text: str = typer.prompt("passphrase", hide_input=True, confirmation_prompt=confirm)
    return text.encode()
