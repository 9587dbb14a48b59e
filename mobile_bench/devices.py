"""Lists what can be measured on: this machine, and every phone that adb sees.

    python -m mobile_bench.devices

One device a line: its name for --device, then model, processor, version of Android, ABI, cores with their highest
frequency, governor and temperature, or its state and what to do where it cannot be used; of a phone that adb reaches in
two ways, by USB and Wi-Fi, which other serial is the same phone. --output writes the same as JSON.
A phone needs USB debugging (Settings, Developer options) and its owner's consent to this computer.
"""

import dataclasses

from absl import flags

from ofa_tf.common import OfaError, cli, write_json
from ofa_tf.devices.device_flags import ADB

_OUTPUT = flags.DEFINE_string("output", None, "a JSON file for the list, none unless given")


def main(argv):
    del argv
    from ofa_tf.devices import HOST, host
    from ofa_tf.devices.adb import Adb
    from ofa_tf.devices.phone_facts import PhoneFacts

    this = host.describe()
    found = {HOST: {"state": "device", **this}}
    print(f"{HOST}: {this['cpu']}, {this['cores']} cores, {this['os']}")
    for it in Adb(ADB.value).listed():
        serial, state = it.serial, it.state
        if it.same_as:
            found[serial] = {"state": state, "same_as": it.same_as}
            print(f"{serial}: the same phone as {it.same_as}{'' if it.device else f' ({state})'}")
            continue
        try:
            if it.device is None:
                raise it.error
            facts = PhoneFacts.read(it.device)
        except OfaError as error:
            # Those that cannot be used are listed, too: that is what this is called for.
            found[serial] = {"state": state, "error": str(error)}
            print(f"{serial}: {str(error).removeprefix(f'phone {serial}: ')}")
            continue
        found[serial] = {"state": state, **dataclasses.asdict(facts)}
        print(
            f"{serial}: {facts.model}, {facts.soc}, Android {facts.android}, {facts.abi}, {facts.core_text}, governor "
            f"{'/'.join(facts.governors) or 'unknown'}, {facts.reading}"
        )
    if _OUTPUT.value:
        write_json(_OUTPUT.value, found)


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
