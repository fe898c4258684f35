"""Reads the hand-made cases of cases.txt.

    [group] MOMENT              the moment from which the times of the group count
    rules NAME {...}            the rules of a business of the group
    DEVICE ITEM...              what is heard of a device of the group's own business
    NAME/DEVICE ITEM...         of the business NAME; an indented line continues the line before

A time is minutes, days before a d and seconds after a colon: 6, 5:59.999, 2d120, -0:30. Items:

    6       heard strongly (-60 dBm) at 6 minutes       0..6/2  at 0, 2, 4 and 6 minutes
    6w      weakly (-80 dBm)                            6@-71   with -71 dBm
    6a      associated                                  6r      with a randomised address
    6>8     arrived at 8 minutes                        6!till  by the router "till"
    0+joined  with the report that the device joined the router; or +alive, +left
    login:ann:9         ann logs in with the device; 9r and 9>12 as above
    merge:ann:bob:20    the CRM merges ann into bob
    delete:ann:20       the CRM deletes ann
"""
import json
import re
from pathlib import Path

from inputs import STRONG, WEAK, Inputs
from visits import DAY, MINUTE

TIME = r"-?(?:\d+d)?\d*(?::\d\d(?:\.\d{3})?)?"
SIGHTING = re.compile(rf"(?P<at>{TIME})(?:\.\.(?P<to>{TIME})/(?P<every>\d+))?(?P<flags>[arw]*)(?:@(?P<rssi>-?\d+))?"
                      rf"(?:\+(?P<session>joined|alive|left))?(?:!(?P<sensor>\w+))?(?:>(?P<arrives>{TIME}))?")
LOGIN = re.compile(rf"login:(?P<contact>[^:]+):(?P<at>{TIME})(?P<flag>r?)(?:>(?P<arrives>{TIME}))?")
MERGE = re.compile(rf"merge:(?P<contact>[^:]+):(?P<into>[^:]+):(?P<at>{TIME})")
DELETE = re.compile(rf"delete:(?P<contact>[^:]+):(?P<at>{TIME})")


def milliseconds(time):
    """Returns a time of the cases in milliseconds, or None for None."""
    if time is None:
        return None
    days, minutes, seconds = re.fullmatch(r"-?(?:(\d+)d)?(\d*)(?::([\d.]+))?", time).groups()
    size = int(days or 0) * DAY + int(minutes or 0) * MINUTE + round(float(seconds or 0) * 1000)
    return -size if time.startswith("-") else size


def make():
    """Returns the Inputs of all cases."""
    inputs, group = Inputs(), None
    text = re.sub(r"\n +", " ", re.sub(r"(?m)^#.*\n", "", Path(__file__).with_name("cases.txt").read_text()))
    for line in text.splitlines():
        if heading := re.fullmatch(r"\[(\S+)] (\S+)", line):
            group = inputs.group(*heading.groups())
        elif line.startswith("rules "):
            _, business, rules = line.split(" ", 2)
            group.rules(business, json.loads(rules))
        elif line:
            device, *items = line.split()
            business, _, device = device.rpartition("/")
            for item in items:
                add(group, business, device, item)
    return inputs


def add(group, business, device, item):
    """Adds one item of a line."""
    if match := LOGIN.fullmatch(item):
        group.login(device, milliseconds(match["at"]), match["contact"], milliseconds(match["arrives"]),
                    randomised=match["flag"] == "r", business=business)
    elif match := MERGE.fullmatch(item):
        group.merge(match["contact"], match["into"], milliseconds(match["at"]), business=business)
    elif match := DELETE.fullmatch(item):
        group.delete(match["contact"], milliseconds(match["at"]), business=business)
    elif match := SIGHTING.fullmatch(item):
        flags, first = match["flags"], milliseconds(match["at"])
        last, every = (milliseconds(match["to"]), int(match["every"]) * MINUTE) if match["to"] else (first, MINUTE)
        for at in range(first, last + 1, every):
            rssi = int(match["rssi"] or (WEAK if "w" in flags else STRONG))
            group.heard(device, at, rssi=rssi, associated="a" in flags, randomised="r" in flags,
                        arrives=milliseconds(match["arrives"]), business=business,
                        sensor=match["sensor"] or "door", **{"session": match["session"]} if match["session"] else {})
    else:
        raise ValueError(f"cases.txt: {group.name}, {device}: {item} is no item")
